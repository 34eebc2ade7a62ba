//! Where a client may have people sent back to.
//!
//! 1. `https` with a host; `http` to a loopback host; or a scheme of the client's own, such as
//!    `cursor://` or `com.example.app:/`. No fragment, no user name, nothing but ASCII.
//! 2. Never a scheme that runs or shows something by itself, such as `javascript:` or `data:`.
//! 3. What is asked for must be one of those that the client has registered, to the byte. The port of
//!    a loopback address alone may differ (RFC 8252, 7.3): programs take whichever is free.

use url::Url;

use super::issuer::is_loopback;
use super::params::encoded;

/// The longest redirect URI in bytes.
const LONGEST: usize = 2_048;

/// Schemes that are no program's own to be called by.
const FOREIGN: [&str; 17] = [
    "about",
    "blob",
    "chrome",
    "content",
    "data",
    "file",
    "filesystem",
    "ftp",
    "intent",
    "javascript",
    "jar",
    "mailto",
    "resource",
    "vbscript",
    "view-source",
    "ws",
    "wss",
];

/// Whether a client may register this.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn check(text: &str) -> Result<(), &'static str> {
    if text.len() > LONGEST {
        return Err("is too long");
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("must be ASCII without spaces");
    }
    if text.contains(['#', '\\', '"', '<', '>']) {
        return Err("must not have a fragment, nor a character that URLs do not have");
    }
    let url = Url::parse(text).map_err(|_| "is no URL")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user name or password");
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(&url) => Ok(()),
        "http" => Err("must begin with https://, but for a loopback address"),
        scheme if FOREIGN.contains(&scheme) => Err("has a scheme that is not allowed"),
        scheme => {
            let rest = text.get(scheme.len() + 1..).unwrap_or_default();
            if rest.starts_with('/') {
                Ok(())
            } else {
                Err("must have a path after its scheme")
            }
        }
    }
}

/// Whether what is asked for is among those registered.
pub(super) fn is_registered(asked: &str, registered: &[String]) -> bool {
    check(asked).is_ok()
        && registered
            .iter()
            .any(|known| known == asked || differs_in_loopback_port(known, asked))
}

fn differs_in_loopback_port(known: &str, asked: &str) -> bool {
    let (Ok(known), Ok(asked)) = (Url::parse(known), Url::parse(asked)) else {
        return false;
    };
    known.scheme() == "http"
        && asked.scheme() == "http"
        && is_loopback(&known)
        && known.host_str() == asked.host_str()
        && known.path() == asked.path()
        && known.query() == asked.query()
}

/// Whether a redirect leads to a program on the machine of whoever follows it.
pub(super) fn stays_here(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| match url.scheme() {
        "https" => false,
        "http" => is_loopback(&url),
        _ => true,
    })
}

/// What people are told of a redirect: its host, or the scheme of a program.
pub(super) fn shown(text: &str) -> String {
    let Ok(url) = Url::parse(text) else {
        return text.to_owned();
    };
    match (url.scheme(), url.host_str()) {
        ("http" | "https", Some(host)) => match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        },
        (scheme, _) => format!("{scheme}:"),
    }
}

/// The redirect with an answer in its query.
pub(super) fn with_answer<'a>(
    uri: &str,
    answer: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
    let mark = match uri.split_once('?') {
        None => "?",
        Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{uri}{mark}{}", encoded(answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_that_run_something_are_refused() {
        for good in [
            "https://claude.ai/api/mcp/auth_callback",
            "https://app.example:8443/cb?x=y",
            "http://127.0.0.1:3000/callback",
            "http://localhost/callback",
            "http://[::1]:1/cb",
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "com.example.app:/oauth2redirect",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "/callback",
            "//evil.example/cb",
            "http://app.example/cb",
            "http://localhost.evil.example/cb",
            "http://127.0.0.1.evil.example/cb",
            "http://127.0.0.1@evil.example/cb",
            "https://user:pw@app.example/cb",
            "https://app.example/cb#fragment",
            "https://app.example/cb#",
            "https://app.example\\@evil.example/",
            "https://app.example/c b",
            "https://app.example/\u{e9}",
            "javascript:alert(1)",
            "JavaScript://x/%0aalert(1)",
            "java\tscript://x/",
            "data:text/html,x",
            "vbscript://x/",
            "file:///etc/passwd",
            "blob:https://app.example/x",
            "intent://x/#Intent;end",
            "mailto:a@b.example",
            "myapp:opaque",
            "ws://app.example/",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(check(&format!("https://h/{}", "a".repeat(LONGEST))).is_err());
    }

    #[test]
    fn a_match_is_exact_but_for_the_port_of_a_loopback_address() {
        let registered = [
            "https://app.example/cb",
            "http://127.0.0.1/cb",
            "http://localhost:1234/cb?a=b",
            "myapp://cb",
        ]
        .map(str::to_owned);
        for good in [
            "https://app.example/cb",
            "http://127.0.0.1/cb",
            "http://127.0.0.1:5555/cb",
            "http://localhost:80/cb?a=b",
            "myapp://cb",
        ] {
            assert!(is_registered(good, &registered), "{good}");
        }
        for bad in [
            "https://app.example/cb/",
            "https://app.example/cb?x",
            "https://app.example:444/cb",
            "https://APP.example/cb",
            "https://app.example/cb/../cb",
            "https://app.example.evil.example/cb",
            "http://app.example/cb",
            "http://127.0.0.1:5555/other",
            "http://127.0.0.1:5555/cb?x=y",
            "http://127.0.0.2:5555/cb",
            "http://localhost/cb",
            "http://user@127.0.0.1/cb",
            "http://127.0.0.1/cb#x",
            "https://127.0.0.1/cb",
            "myapp://cb:1",
            "MYAPP://cb",
        ] {
            assert!(!is_registered(bad, &registered), "{bad}");
        }
    }

    #[test]
    fn answers_are_added_to_what_the_query_holds_already() {
        let answer = |uri| with_answer(uri, [("code", "a b"), ("iss", "https://x")]);
        let end = "code=a+b&iss=https%3A%2F%2Fx";
        assert_eq!(answer("https://h/cb"), format!("https://h/cb?{end}"));
        assert_eq!(answer("https://h/cb?"), format!("https://h/cb?{end}"));
        assert_eq!(
            answer("https://h/cb?a=b"),
            format!("https://h/cb?a=b&{end}")
        );
        assert_eq!(answer("app:/cb"), format!("app:/cb?{end}"));
    }

    #[test]
    fn people_are_told_where_they_go() {
        assert_eq!(shown("https://claude.ai/api/x?y"), "claude.ai");
        assert_eq!(shown("http://localhost:33418/"), "localhost:33418");
        assert_eq!(shown("cursor://anysphere/x"), "cursor:");
        assert!(stays_here("http://127.0.0.1:1/") && stays_here("cursor://x/"));
        assert!(!stays_here("https://claude.ai/"));
    }
}
