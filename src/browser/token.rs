//! Random words that cannot be guessed: ids of sessions, and what forms carry.

use subtle::ConstantTimeEq;

use crate::key::fill_random;

/// 32 bytes from the operating system, in hexadecimal digits.
pub(crate) fn new_token() -> String {
    let mut bytes = [0; 32];
    fill_random(&mut bytes);
    hex(&bytes)
}

/// Whether a text can be a token.
pub(super) fn is_token(text: &str) -> bool {
    let is_digit = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    text.len() == 64 && text.bytes().all(is_digit)
}

/// Whether what was sent is this token; takes the same time for every wrong one. Nothing is the same as
/// no token.
pub(crate) fn is_same(sent: &str, token: &str) -> bool {
    !token.is_empty() && bool::from(sent.as_bytes().ct_eq(token.as_bytes()))
}

/// Bytes in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_random_and_hexadecimal() {
        let token = new_token();
        assert!(is_token(&token), "{token}");
        assert_ne!(token, new_token());
        assert_eq!(hex(&[0, 1, 0xab, 0xff]), "0001abff");
    }

    #[test]
    fn only_the_token_itself_is_the_same() {
        assert!(is_same("ab", "ab"));
        for (sent, token) in [("", ""), ("a", ""), ("", "ab"), ("ab", "abc"), ("AB", "ab")] {
            assert!(!is_same(sent, token), "{sent} {token}");
        }
    }
}
