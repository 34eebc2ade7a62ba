//! Messages of webhooks that were given up.

use maud::{Markup, html};

use super::visit::Visit;

/// How many are shown.
#[cfg(feature = "webhooks")]
const SIZE: usize = 20;

/// The latest ones, to admins; nothing where there are none.
#[cfg(feature = "webhooks")]
pub(super) fn shown(visit: &Visit) -> Markup {
    use super::{parts, times};

    let mut letters = visit.desk.dead_letters();
    if !visit.is_admin || letters.is_empty() {
        return html! {};
    }
    letters.sort_by_key(|letter| std::cmp::Reverse(letter.at));
    let more = letters.len().saturating_sub(SIZE);
    html! {
        section aria-labelledby="letters" {
            h2 #letters { "Webhook messages that were given up" }
            p.quiet { "They are held by this process alone, until it ends." }
            table.list {
                caption.hidden { "Webhook messages that were given up, the latest first" }
                thead { tr {
                    th scope="col" { "Message" }
                    th scope="col" { "About" }
                    th scope="col" { "Tried" }
                    th scope="col" { "Why" }
                    th scope="col" { "Given up" }
                } }
                tbody {
                    @for letter in letters.iter().take(SIZE) {
                        tr {
                            th scope="row" { code { (letter.event.data.kind()) } }
                            td data-label="About" {
                                @match letter.event.data.key() {
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
            }
            @if more > 0 { p.quiet { "and " (more) " more" } }
        }
    }
}

/// Without webhooks there is nothing to give up.
#[cfg(not(feature = "webhooks"))]
pub(super) fn shown(_: &Visit) -> Markup {
    html! {}
}
