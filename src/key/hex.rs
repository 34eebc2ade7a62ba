//! Bytes as hexadecimal digits.

use std::fmt;

/// Prints two lower-case digits for each byte.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The bytes that so many lower-case digits stand for; nothing if the text is anything else.
pub(super) fn parse<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair
            .iter()
            .try_fold(0_u8, |number, digit| Some(number << 4 | value(*digit)?))?;
    }
    Some(bytes)
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// How serde carries 32 bytes: as 64 digits.
pub(super) mod bytes {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::key) fn serialize<S: Serializer>(
        bytes: &[u8; 32],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_str(&super::Hex(bytes))
    }

    pub(in crate::key) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(from)?;
        super::parse(&text).ok_or_else(|| D::Error::custom("must be 64 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_printing_and_parsing() {
        let bytes = [0, 1, 0x7f, 0xfe];
        assert_eq!(Hex(&bytes).to_string(), "00017ffe");
        assert_eq!(parse("00017ffe"), Some(bytes));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "0", "000", "0F", "+f", "0g", "é"] {
            assert_eq!(parse::<1>(text), None, "{text}");
        }
    }
}
