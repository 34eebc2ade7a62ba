//! Whether a form was sent from the page itself, as far as the browser says.
//!
//! 1. `Sec-Fetch-Site`, which no page can forge, must be `same-origin` where it is sent.
//! 2. `Origin` must name the host that was asked for. `null`, which is sent for pages in a sandbox, and
//!    by browsers that tell nobody where they come from, will do with `same-origin` beside it only.
//!
//! A request without either does not come from a page in a browser, or from one so old that the
//! form's token alone has to do; that is asked for in any case.

use http::header::{HOST, HeaderMap, ORIGIN};
use http::{Uri, request::Parts};

/// Whether the request may change anything, if its token is right.
pub(super) fn is_own(head: &Parts) -> bool {
    let site = one(&head.headers, "sec-fetch-site");
    let origin = one(&head.headers, ORIGIN.as_str());
    let site_fits = match site {
        Header::Absent => true,
        Header::One(site) => site == "same-origin",
        Header::Unclear => false,
    };
    let origin_fits = match origin {
        Header::Absent => true,
        Header::One("null") => matches!(site, Header::One("same-origin")),
        Header::One(origin) => host_of(origin)
            .zip(host(head))
            .is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(&host)),
        Header::Unclear => false,
    };
    site_fits && origin_fits
}

enum Header<'h> {
    Absent,
    One(&'h str),
    Unclear,
}

fn one<'h>(headers: &'h HeaderMap, name: &str) -> Header<'h> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Header::Absent,
        (Some(line), None) => line.to_str().map_or(Header::Unclear, Header::One),
        (Some(_), Some(_)) => Header::Unclear,
    }
}

/// Host and port of an origin; without the port that goes without saying.
fn host_of(origin: &str) -> Option<String> {
    let uri: Uri = origin.parse().ok()?;
    let port = match (uri.scheme_str()?, uri.port_u16()) {
        ("http", Some(80)) | ("https", Some(443)) | (_, None) => String::new(),
        (_, Some(port)) => format!(":{port}"),
    };
    Some(format!("{}{port}", uri.host()?))
}

/// Which host was asked for. A port that goes without saying for either scheme is left out.
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
    use http::Request;

    use super::*;

    fn fits(host: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::post("/keys/new").header(HOST, host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        is_own(&request.body(()).unwrap().into_parts().0)
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
