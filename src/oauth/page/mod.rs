//! Pages for people: their shell, and what they tell the browser.
//!
//! 1. No script, no frames, no caches; the one style is in the page, and allowed by its hash.
//! 2. What others have written is text: the templates escape it.
//! 3. Forms go to where they came from. The consent page alone says nothing of that: the answer to its
//!    form sends people on to the client, browsers that hold a form to `form-action` hold all
//!    redirects after it to it as well, and where the client leads them next (`claude.ai` to
//!    `claude:`, for one) cannot be known here.
//! 4. `Cross-Origin-Opener-Policy` is not sent: clients open these pages in windows of their own, and
//!    wait for them to come back.

mod consent;

use std::sync::OnceLock;

use base64ct::{Base64, Encoding};
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

pub use self::consent::ConsentPage;
use crate::browser::SHELTERED;

const STYLE: &str = include_str!("style.css");

/// Where the forms of a page may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forms {
    Here,
    /// And from there to wherever the answer says.
    AndOn,
}

/// A page.
pub(super) fn page(
    status: StatusCode,
    title: &str,
    forms: Forms,
    content: &Markup,
) -> Response<Bytes> {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex, nofollow";
                title { (title) }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body { main { (content) } }
        }
    };
    let mut answer = Response::new(Bytes::from(markup.into_string()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    let html = (header::CONTENT_TYPE, "text/html; charset=utf-8");
    for (name, value) in SHELTERED.into_iter().chain([html]) {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::try_from(policy(forms)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    answer
}

fn policy(forms: Forms) -> String {
    static STYLE_HASH: OnceLock<String> = OnceLock::new();
    let hash = STYLE_HASH.get_or_init(|| Base64::encode_string(&Sha256::digest(STYLE)));
    let mut policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; frame-ancestors 'none'; \
         base-uri 'none'"
    );
    if forms == Forms::Here {
        policy.push_str("; form-action 'self'");
    }
    policy
}

/// A page that says what went wrong.
pub(super) fn problem(status: StatusCode, title: &str, text: &str) -> Response<Bytes> {
    let content = html! {
        h1 { (title) }
        p { (text) }
        p.quiet { "You can close this page, and start again in the program that brought you here." }
    };
    page(status, title, Forms::Here, &content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_allows_its_own_style_and_nothing_else() {
        let answer = problem(StatusCode::BAD_REQUEST, "Oh", "<script>alert(1)</script>");
        let policy = answer.headers()["content-security-policy"]
            .to_str()
            .unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"));
        assert!(policy.contains("frame-ancestors 'none'"));
        assert!(policy.contains("form-action 'self'"));
        assert_eq!(answer.headers()["x-frame-options"], "DENY");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let text = std::str::from_utf8(answer.body()).unwrap();
        // The hash is of what stands between the tags.
        assert!(text.contains(&format!("<style>{STYLE}</style>")));
        assert!(text.contains("&lt;script&gt;") && !text.contains("<script"));
    }
}
