//! Cookies: one for a session, one for the form that begins it.
//!
//! Each holds 32 random bytes in hexadecimal digits and lives as long as the browser. Over TLS the
//! name's prefix makes the browser promise that nobody but this host has set it.

use http::header::{COOKIE, HeaderMap, HeaderValue};

use super::token::is_token;

/// What browsers take for a promise that a cookie is of this host alone. Only over TLS.
const HOST: &str = "__Host-";

/// A cookie by its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cookie {
    /// With the prefix.
    name: &'static str,
    same_site: &'static str,
}

impl Cookie {
    /// One that is sent with requests from the page's own site alone.
    #[cfg(feature = "admin")]
    pub(crate) const fn strict(name: &'static str) -> Self {
        let same_site = "Strict";
        Self { name, same_site }
    }

    /// One that is sent as well where another site sends people here.
    #[cfg(feature = "oauth")]
    pub(crate) const fn lax(name: &'static str) -> Self {
        let same_site = "Lax";
        Self { name, same_site }
    }

    fn name(self, tls: bool) -> &'static str {
        let bare = self.name.strip_prefix(HOST).unwrap_or(self.name);
        if tls { self.name } else { bare }
    }

    /// What the request holds of it, if it can be one of ours.
    pub(crate) fn read(self, headers: &HeaderMap, tls: bool) -> Option<&str> {
        let lines = headers.get_all(COOKIE).iter();
        lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find_map(|(name, value)| (name == self.name(tls)).then_some(value))
            .filter(|value| is_token(value))
    }

    /// Has the browser keep it.
    pub(crate) fn set(self, value: &str, tls: bool) -> Option<HeaderValue> {
        self.written(value, tls, "")
    }

    /// Has the browser forget it.
    pub(crate) fn clear(self, tls: bool) -> Option<HeaderValue> {
        self.written("", tls, "; Max-Age=0")
    }

    fn written(self, value: &str, tls: bool, end: &str) -> Option<HeaderValue> {
        let secure = if tls { "; Secure" } else { "" };
        let (name, site) = (self.name(tls), self.same_site);
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite={site}{secure}{end}");
        let mut value = HeaderValue::try_from(text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::super::token::new_token;
    use super::*;

    const FIRST: Cookie = Cookie {
        name: "__Host-first",
        same_site: "Strict",
    };
    const OTHER: Cookie = Cookie {
        name: "__Host-first-other",
        same_site: "Lax",
    };

    #[test]
    fn a_cookie_is_read_as_it_was_set_and_from_its_own_name_only() {
        let token = new_token();
        for (cookie, other) in [(FIRST, OTHER), (OTHER, FIRST)] {
            for tls in [false, true] {
                let set = cookie.set(&token, tls).unwrap();
                assert!(set.is_sensitive());
                let set = set.to_str().unwrap();
                let site = cookie.same_site;
                assert!(set.contains(&format!("; Path=/; HttpOnly; SameSite={site}")));
                assert!(!set.contains("Max-Age") && !set.contains("Domain"));
                assert_eq!(set.contains("; Secure"), tls);
                assert_eq!(set.starts_with("__Host-"), tls);

                let mut headers = HeaderMap::new();
                headers.append(COOKIE, "elsewhere=1; x".parse().unwrap());
                let pair = set.split(';').next().unwrap();
                headers.append(COOKIE, format!("a=b; {pair}").parse().unwrap());
                assert_eq!(cookie.read(&headers, tls), Some(token.as_str()));
                assert_eq!(cookie.read(&headers, !tls), None);
                assert_eq!(other.read(&headers, tls), None);

                let clear = cookie.clear(tls).unwrap();
                let clear = clear.to_str().unwrap();
                assert!(clear.contains("=; ") && clear.ends_with("; Max-Age=0"));
                assert_eq!(clear.contains("; Secure"), tls);
            }
        }
    }

    #[test]
    fn what_cannot_be_ours_is_not_read() {
        for wrong in ["", "x", &"g".repeat(64), &"A".repeat(64), &"a".repeat(65)] {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, format!("first={wrong}").parse().unwrap());
            assert_eq!(FIRST.read(&headers, false), None, "{wrong}");
        }
    }
}
