//! The form to sign in with.

use bytes::Bytes;
use http::Response;
use maud::html;

use crate::browser::Word;
use crate::oauth::page::{Forms, page};

/// The form, which is sent to `place`.
pub(super) fn form(place: &str, token: &str, word: &Word) -> Response<Bytes> {
    let is_fault = word.text().is_some();
    let content = html! {
        h1 { "Sign in" }
        p.quiet {
            "A program wants to be connected. Present a key of yours; you are asked about the program \
             next. The key is not kept, and the program does not see it."
        }
        form method="post" action=(place) {
            input type="hidden" name="token" value=(token);
            div.field {
                label for="key" { "API key" }
                input #key name="key" type="password" required autocomplete="off" autocapitalize="off"
                    spellcheck="false" autofocus aria-invalid=[is_fault.then_some("true")]
                    aria-describedby=[is_fault.then_some("key-fault")];
                @if let Some(text) = word.text() { p.fault #key-fault role="alert" { (text) } }
            }
            div.acts { button.primary type="submit" { "Sign in" } }
        }
    };
    let mut answer = page(word.status(), "Sign in", Forms::Here, &content);
    word.tell_wait(answer.headers_mut());
    answer
}
