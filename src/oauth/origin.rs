//! Whether a form was sent from one of the issuer's own pages, as far as the browser says.
//!
//! 1. `Sec-Fetch-Site`, which no page can forge, must be `same-origin` where it is sent.
//! 2. `Origin` must be the issuer's where it is sent. `null` will do with `same-origin` beside it only.
//!
//! A request without either does not come from a page in a browser, or from one so old that what the
//! form carries has to do; that is asked for in any case.

use http::header::{HeaderMap, ORIGIN};

pub(super) fn is_own(headers: &HeaderMap, origin: &str) -> bool {
    let site = one(headers, "sec-fetch-site");
    let site_fits = match site {
        Line::Absent => true,
        Line::One(site) => site == "same-origin",
        Line::Unclear => false,
    };
    let origin_fits = match one(headers, ORIGIN.as_str()) {
        Line::Absent => true,
        Line::One("null") => matches!(site, Line::One("same-origin")),
        Line::One(sent) => sent.eq_ignore_ascii_case(origin),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(lines: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        is_own(&headers, "https://mcp.example.com")
    }

    #[test]
    fn forms_of_the_issuers_own_pages_pass_and_others_do_not() {
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
