//! Whether a form was sent from one of the pages themselves, as far as the browser says.
//!
//! 1. `Sec-Fetch-Site`, which no page can forge, must be `same-origin` where it is sent.
//! 2. `Origin` must be the page's own where it is sent. `null`, which is sent for pages in a sandbox, and
//!    by browsers that tell nobody where they come from, will do with `same-origin` beside it only.
//!
//! A request without either does not come from a page in a browser, or from one so old that what the
//! form carries has to do; that is asked for in any case.

use http::HeaderMap;
use http::header::ORIGIN;
#[cfg(feature = "admin")]
use http::{Uri, header::HOST, request::Parts};

/// Whether the form is of a page of this origin.
#[cfg(feature = "oauth")]
pub(crate) fn is_of_origin(headers: &HeaderMap, origin: &str) -> bool {
    is_own(headers, |sent| sent.eq_ignore_ascii_case(origin))
}

/// Whether the form is of a page of the host that was asked for.
#[cfg(feature = "admin")]
pub(crate) fn is_of_host(head: &Parts) -> bool {
    is_own(&head.headers, |sent| {
        host_of(sent)
            .zip(host(head))
            .is_some_and(|(sent, host)| sent.eq_ignore_ascii_case(&host))
    })
}

fn is_own(headers: &HeaderMap, is_ours: impl FnOnce(&str) -> bool) -> bool {
    let site = one(headers, "sec-fetch-site");
    let site_fits = match site {
        Line::Absent => true,
        Line::One(site) => site == "same-origin",
        Line::Unclear => false,
    };
    let origin_fits = match one(headers, ORIGIN.as_str()) {
        Line::Absent => true,
        Line::One("null") => matches!(site, Line::One("same-origin")),
        Line::One(sent) => is_ours(sent),
        Line::Unclear => false,
    };
    site_fits && origin_fits
}

enum Line<'h> {
    Absent,
    One(&'h str),
    Unclear,
}

fn one<'h>(headers: &'h HeaderMap, name: &str) -> Line<'h> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Line::Absent,
        (Some(line), None) => line.to_str().map_or(Line::Unclear, Line::One),
        (Some(_), Some(_)) => Line::Unclear,
    }
}

/// Host and port of an origin; without the port that goes without saying.
#[cfg(feature = "admin")]
fn host_of(origin: &str) -> Option<String> {
    let uri: Uri = origin.parse().ok()?;
    let port = match (uri.scheme_str()?, uri.port_u16()) {
        ("http", Some(80)) | ("https", Some(443)) | (_, None) => String::new(),
        (_, Some(port)) => format!(":{port}"),
    };
    Some(format!("{}{port}", uri.host()?))
}

/// Which host was asked for. A port that goes without saying for either scheme is left out.
#[cfg(feature = "admin")]
fn host(head: &Parts) -> Option<String> {
    let named = match head.uri.authority() {
        Some(authority) => authority.as_str(),
        None => head.headers.get(HOST)?.to_str().ok()?,
    };
    let bare = named
        .strip_suffix(":80")
        .or_else(|| named.strip_suffix(":443"));
    Some(bare.unwrap_or(named).to_owned())
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "admin")]
    mod of_the_host {
        use http::Request;

        use super::super::*;

        fn fits(host: &str, headers: &[(&str, &str)]) -> bool {
            let mut request = Request::post("/keys/new").header(HOST, host);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            is_of_host(&request.body(()).unwrap().into_parts().0)
        }

        #[test]
        fn forms_of_the_page_itself_pass() {
            let host = "keys.example:8443";
            assert!(fits(host, &[]));
            assert!(fits(host, &[("origin", "https://keys.example:8443")]));
            assert!(fits(host, &[("origin", "https://KEYS.example:8443")]));
            assert!(fits("keys.example", &[("origin", "https://keys.example")]));
            assert!(fits("[::1]:80", &[("origin", "http://[::1]")]));
            let both = [("origin", "null"), ("sec-fetch-site", "same-origin")];
            assert!(fits(host, &both));
        }

        #[test]
        fn forms_from_elsewhere_do_not() {
            let host = "keys.example:8443";
            for origin in [
                "https://evil.example",
                "https://keys.example",
                "https://keys.example:8444",
                "https://keys.example:8443.evil.example",
                "https://sub.keys.example:8443",
                "evil",
                "null",
                "",
            ] {
                assert!(!fits(host, &[("origin", origin)]), "{origin}");
            }
            for site in ["cross-site", "same-site", "none", "", "Same-Origin"] {
                assert!(!fits(host, &[("sec-fetch-site", site)]), "{site}");
            }
            let forged = [
                ("origin", "https://evil.example"),
                ("sec-fetch-site", "same-origin"),
            ];
            assert!(!fits(host, &forged));
            let twice = [("origin", "null"), ("origin", "null")];
            assert!(!fits(host, &twice));
        }
    }

    #[cfg(feature = "oauth")]
    mod of_an_origin {
        use super::super::*;

        fn fits(lines: &[(&'static str, &str)]) -> bool {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, value.parse().unwrap());
            }
            is_of_origin(&headers, "https://mcp.example.com")
        }

        #[test]
        fn forms_of_an_origin_pass_and_others_do_not() {
            let own = ("origin", "https://mcp.example.com");
            let same = ("sec-fetch-site", "same-origin");
            assert!(fits(&[]) && fits(&[own]) && fits(&[same]) && fits(&[own, same]));
            assert!(fits(&[("origin", "null"), same]));
            for origin in [
                "https://evil.example",
                "http://mcp.example.com",
                "https://mcp.example.com:8443",
                "https://mcp.example.com.evil.example",
                "null",
                "",
            ] {
                assert!(!fits(&[("origin", origin)]), "{origin}");
            }
            for site in ["cross-site", "same-site", "none", ""] {
                assert!(!fits(&[own, ("sec-fetch-site", site)]), "{site}");
            }
            assert!(!fits(&[("origin", "https://evil.example"), same]));
            assert!(!fits(&[own, own]));
        }
    }
}
