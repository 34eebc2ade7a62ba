//! What a client's document says.

use serde::Deserialize;
use url::{Host, Url};

use crate::oauth::redirect;

/// The longest id of this kind in bytes.
const LONGEST: usize = 512;

/// How many places to send people back to a client may have.
const MOST: usize = 32;

/// A client as its document describes it.
#[derive(Debug)]
pub(in crate::oauth) struct Described {
    pub(in crate::oauth) host: String,
    pub(in crate::oauth) name: Option<String>,
    pub(in crate::oauth) redirect_uris: Vec<String>,
}

#[derive(Deserialize)]
struct Wire {
    client_id: String,
    client_name: Option<String>,
    #[serde(default)]
    redirect_uris: Vec<String>,
    token_endpoint_auth_method: Option<String>,
    client_secret: Option<serde::de::IgnoredAny>,
}

/// The host of the document, if the text is a URL that a document may have.
pub(super) fn host_of(id: &str) -> Option<String> {
    let url = Url::parse(id).ok()?;
    let Some(Host::Domain(host)) = url.host() else {
        return None;
    };
    // What is written must be what is meant: nothing to be normalised, so that nobody has two ids.
    let is_plain = url.as_str() == id && id.len() <= LONGEST && url.path() != "/";
    let is_bare = url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    (url.scheme() == "https" && is_plain && is_bare).then(|| host.to_owned())
}

/// Reads the document at `url`.
pub(super) fn read(url: &str, body: &[u8]) -> Result<Described, &'static str> {
    let host = host_of(url).ok_or("its URL is not of the kind that is accepted")?;
    let wire: Wire =
        serde_json::from_slice(body).map_err(|_| "it is not the JSON of a client's metadata")?;
    if wire.client_id != url {
        return Err("it says another client_id than its own URL");
    }
    if wire
        .token_endpoint_auth_method
        .is_some_and(|method| method != "none")
    {
        return Err("its token_endpoint_auth_method is not none");
    }
    if wire.client_secret.is_some() {
        return Err("it holds a client_secret");
    }
    if wire.redirect_uris.is_empty() || wire.redirect_uris.len() > MOST {
        return Err("it has no redirect_uris, or too many");
    }
    if wire
        .redirect_uris
        .iter()
        .any(|uri| redirect::check(uri).is_err())
    {
        return Err("one of its redirect_uris is not allowed");
    }
    Ok(Described {
        host,
        name: wire.client_name.as_deref().and_then(shown_name),
        redirect_uris: wire.redirect_uris,
    })
}

/// A name that people can be shown: one line of 100 characters at most; nothing if nothing is left.
pub(in crate::oauth) fn shown_name(name: &str) -> Option<String> {
    let is_hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let line: String = name.chars().filter(|c| !is_hidden(*c)).take(100).collect();
    let line = line.trim();
    (!line.is_empty()).then(|| line.to_owned())
}
