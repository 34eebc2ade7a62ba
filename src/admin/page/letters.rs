//! Messages of webhooks that were given up.

use maud::{Markup, html};
use serde_json::Value;

use super::visit::Visit;
use super::{parts, times};
use crate::admin::rights::Act;
use crate::error::Error;
use crate::key::KeyId;
use crate::store::DeadLetter;

/// How many are shown.
const SIZE: usize = 20;

/// The latest ones, to admins; nothing where there are none.
pub(super) async fn shown(visit: &Visit) -> Result<Markup, Error> {
    if !visit.offers(Act::SeeDeadLetters) {
        return Ok(html! {});
    }
    let kept = visit.manager.dead_letters(SIZE).await?;
    if kept.letters.is_empty() {
        return Ok(html! {});
    }
    let more = kept.held.saturating_sub(kept.letters.len());
    Ok(html! {
        section aria-labelledby="letters" {
            h2 #letters { "Webhook messages that were given up" }
            table.list {
                caption.hidden { "Webhook messages that were given up, the latest first" }
                thead { tr {
                    th scope="col" { "Message" }
                    th scope="col" { "About" }
                    th scope="col" { "Tried" }
                    th scope="col" { "Why" }
                    th scope="col" { "Given up" }
                } }
                tbody { @for letter in &kept.letters { (row(visit, letter)) } }
            }
            @if more > 0 { p.quiet { "and " (more) " more" } }
            @if kept.dropped > 0 {
                p.quiet { "Of older ones, " (kept.dropped) " are not kept any more." }
            }
        }
    })
}

fn row(visit: &Visit, letter: &DeadLetter) -> Markup {
    let key = letter.event.pointer("/data/key").and_then(Value::as_str);
    let key: Option<KeyId> = key.and_then(|key| key.parse().ok());
    html! {
        tr {
            th scope="row" { code { (letter.event.pointer("/type").and_then(Value::as_str).unwrap_or("?")) } }
            td data-label="About" {
                @match key {
                    Some(key) => a href=(visit.link(&format!("/keys/{key}"))) { code { (key) } },
                    None => span.quiet { "\u{2013}" },
                }
            }
            td data-label="Tried" { (parts::count(letter.attempts as usize, "time")) }
            td data-label="Why" { (letter.reason) }
            td data-label="Given up" { (times::near(letter.at, visit.now)) }
        }
    }
}
