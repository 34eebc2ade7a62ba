//! Two cookies: one for a session, one for the form that begins it.
//!
//! Each holds 32 random bytes in hexadecimal digits and lives as long as the browser. Over TLS the
//! name's prefix makes the browser promise that nobody but this host has set it.

use http::header::{COOKIE, HeaderMap, HeaderValue};

use crate::key::fill_random;
use crate::oauth::seal::hex;

#[derive(Clone, Copy, Debug)]
pub(super) enum Cookie {
    /// Stands for somebody who has signed in.
    Session,
    /// Stands for a browser that was shown the form to sign in, so that nobody else can send it.
    Form,
}

impl Cookie {
    fn name(self, tls: bool) -> &'static str {
        match (self, tls) {
            (Self::Session, true) => "__Host-mcp-keys-oauth",
            (Self::Session, false) => "mcp-keys-oauth",
            (Self::Form, true) => "__Host-mcp-keys-oauth-form",
            (Self::Form, false) => "mcp-keys-oauth-form",
        }
    }

    /// What the request holds of it, if it can be one of ours.
    pub(super) fn read(self, headers: &HeaderMap, tls: bool) -> Option<&str> {
        let lines = headers.get_all(COOKIE).iter();
        lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find_map(|(name, value)| (name == self.name(tls)).then_some(value))
            .filter(|value| is_token(value))
    }

    /// Has the browser keep it.
    pub(super) fn set(self, value: &str, tls: bool) -> Option<HeaderValue> {
        self.written(value, tls, "")
    }

    /// Has the browser forget it.
    pub(super) fn clear(self, tls: bool) -> Option<HeaderValue> {
        self.written("", tls, "; Max-Age=0")
    }

    fn written(self, value: &str, tls: bool, end: &str) -> Option<HeaderValue> {
        let secure = if tls { "; Secure" } else { "" };
        let name = self.name(tls);
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{end}");
        let mut value = HeaderValue::try_from(text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// 32 bytes from the operating system, in hexadecimal digits.
pub(super) fn new_token() -> String {
    let mut bytes = [0; 32];
    fill_random(&mut bytes);
    hex(&bytes)
}

fn is_token(text: &str) -> bool {
    let is_digit = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    text.len() == 64 && text.bytes().all(is_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_read_as_it_was_set_and_from_its_own_name_only() {
        let token = new_token();
        assert!(is_token(&token) && token != new_token());
        for tls in [false, true] {
            let set = Cookie::Session.set(&token, tls).unwrap();
            let set = set.to_str().unwrap();
            assert!(set.contains("; Path=/; HttpOnly; SameSite=Lax"));
            assert_eq!(set.contains("; Secure"), tls);
            assert_eq!(set.starts_with("__Host-"), tls);
            let mut headers = HeaderMap::new();
            let pair = set.split(';').next().unwrap();
            headers.append(COOKIE, format!("a=b; {pair}").parse().unwrap());
            assert_eq!(Cookie::Session.read(&headers, tls), Some(token.as_str()));
            assert_eq!(Cookie::Session.read(&headers, !tls), None);
            assert_eq!(Cookie::Form.read(&headers, tls), None);
        }
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, "mcp-keys-oauth=x".parse().unwrap());
        assert_eq!(Cookie::Session.read(&headers, false), None);
    }
}
