//! The page that asks people whether a program may be connected.

use bytes::Bytes;
use http::{Response, StatusCode};
use maud::{Markup, html};

use super::{Forms, page};
use crate::key::Scope;
use crate::oauth::consent::Question;

/// The consent page that comes with the crate: who asks, for what, and where the answer goes.
///
/// It is plain HTML without script, for narrow and wide, light and dark screens. To ask in your own
/// words, answer [`SignIn::ask`](crate::oauth::SignIn::ask) with a page of your own.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ConsentPage {
    service: Option<String>,
}

impl ConsentPage {
    /// The page.
    pub fn new() -> Self {
        Self::default()
    }

    /// What your service is called. Default: the name of the server that is asked for.
    pub fn service(mut self, name: impl Into<String>) -> Self {
        self.service = Some(name.into());
        self
    }

    /// The page with this question.
    pub fn answer(&self, question: &Question<'_>) -> Response<Bytes> {
        let status = match question.notice() {
            None => StatusCode::OK,
            Some(_) => StatusCode::FORBIDDEN,
        };
        let service = self.service.as_deref().unwrap_or(question.resource_name());
        let client = question.client_name().unwrap_or("A program");
        let title = format!("Connect {client} to {service}?");
        let content = html! {
            h1 { "Connect " bdi { (client) } " to " bdi { (service) } "?" }
            @if let Some(notice) = question.notice() { p.bad role="alert" { (notice) } }
            (facts(question))
            (warning(question))
            (form(question))
            (who(question))
        };
        page(status, &title, Forms::AndOn, &content)
    }
}

fn facts(question: &Question<'_>) -> Markup {
    html! {
        dl.facts {
            dt { "Program" }
            dd {
                @match question.client_name() {
                    Some(name) => { bdi { (name) } small { "It has chosen this name itself." } }
                    None => "It has given no name.",
                }
            }
            dt { "Known as" }
            dd {
                @match question.client_host() {
                    Some(host) => { bdi { (host) } small { bdi { (question.client_id()) } } }
                    None => { bdi { code { (question.client_id()) } } small { "It has registered itself. Nobody has looked at who it is." } }
                }
            }
            dt { "Answer goes to" }
            dd {
                bdi { (question.redirect_host()) }
                @if question.stays_here() { small { "A program on the device that you are using." } }
            }
            dt { "Server" }
            dd { bdi { (question.resource_name()) } small { bdi { (question.resource()) } } }
            dt { "It may use" }
            dd { (scopes(question.scopes())) (lacking(question.lacking())) }
        }
    }
}

fn scopes(scopes: &[Scope]) -> Markup {
    html! {
        @if scopes.is_empty() { "What needs no special right" }
        @else {
            ul.scopes { @for scope in scopes { li { code { (scope) } } } }
        }
    }
}

fn lacking(scopes: &[Scope]) -> Markup {
    html! {
        @if !scopes.is_empty() {
            small {
                "It asked for more than you have: "
                @for (at, scope) in scopes.iter().enumerate() { @if at > 0 { ", " } code { (scope) } }
            }
        }
    }
}

fn warning(question: &Question<'_>) -> Markup {
    html! {
        p.warn {
            "Allow this only if you have just begun it yourself"
            @if question.stays_here() { ", in a program on this device" }
            @else { ", at " bdi { (question.redirect_host()) } }
            "."
        }
    }
}

fn form(question: &Question<'_>) -> Markup {
    html! {
        form method="post" action=(question.action()) {
            @for (name, value) in question.fields() { input type="hidden" name=(name) value=(value); }
            @if question.may_choose_full() {
                fieldset {
                    legend { "How much it may do" }
                    // What a program asks for is not chosen for the person, and they are not to miss it.
                    @let is_open = question.asks_for_full();
                    @if is_open { p { "It asks to look and change. You may allow less." } }
                    label.choice {
                        input type="radio" name="access" value="read-only" checked[!is_open] required[is_open];
                        span { "Look only" small { "It reads, and changes nothing." } }
                    }
                    label.choice {
                        input type="radio" name="access" value="full";
                        span { "Look and change" small { "It may do all that these rights allow." } }
                    }
                }
            } @else {
                input type="hidden" name="access" value="read-only";
                p {
                    "It may look only: it reads, and changes nothing."
                    @if question.asks_for_full() { " It asked to change things, which you may not allow a program." }
                }
            }
            div.acts {
                button.primary type="submit" name="decision" value="allow" { "Allow" }
                // Nobody has to choose what they deny.
                button type="submit" name="decision" value="deny" formnovalidate { "Deny" }
            }
        }
    }
}

fn who(question: &Question<'_>) -> Markup {
    html! {
        p.quiet {
            "Signed in as " bdi { (question.owner()) } "."
            @if let Some(place) = question.elsewhere() { " " a href=(place) { "Sign in as somebody else" } }
        }
        p.quiet { "You can end the connection at any time, where your keys are listed." }
    }
}
