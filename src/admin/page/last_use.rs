//! When, from where and for what a key was last used.

use maud::{Markup, html};

use super::times;
use super::visit::Visit;
use crate::admin::rights::Act;
use crate::error::Error;
use crate::key::{Carrier, KeyInfo};
use crate::usage::LastUse;

/// The last use, as far as it is known: the time alone where usage is not recorded, or is none of the
/// business of whoever has signed in.
pub(super) async fn of_key(visit: &Visit, key: &KeyInfo) -> Result<Markup, Error> {
    let last = match visit.may(Act::SeeUsage) {
        true => visit.manager.last_use(key.id).await?,
        false => None,
    };
    // Either may have been written down first.
    let time = last.as_ref().map(|last| last.at).max(key.last_used_at);
    Ok(html! {
        @match time {
            Some(time) => (times::full(time, visit.now)),
            None => span.quiet { "Never" },
        }
        @if let Some(last) = &last { div.quiet { (told(last, key)) } }
    })
}

fn told(last: &LastUse, key: &KeyInfo) -> Markup {
    let place = match last.carrier {
        Carrier::Bearer => "as a bearer token",
        Carrier::Header => "in a header of its own",
        Carrier::Path => "in the path",
        Carrier::Other => "elsewhere in the request",
    };
    let old = key.previous.as_ref();
    let is_old = old.is_some_and(|old| old.credential == last.credential);
    html! {
        @if let Some(address) = last.address { "from " code { (address) } ", " }
        (place)
        @if is_old { ", with the old secret" }
        @else if key.previous.is_some() { ", with the new secret" }
        @else { ", with its secret number " (last.credential.as_u32()) }
        @if let Some(operation) = &last.operation { ", for " code { bdi { (operation) } } }
        @if let Some(server) = &last.server { " at " bdi { (server) } }
    }
}
