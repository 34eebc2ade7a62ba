//! SHA-256 of the whole key text, as other systems have stored it.
//!
//! Enough for a long random key, and nothing at all for a short one: whoever holds the hash tries
//! keys at billions a second. It is replaced at the first use.

use base64ct::{Base64, Base64Unpadded, Base64Url, Base64UrlUnpadded, Encoding};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::unusable;
use crate::error::Error;

const OUTPUT: usize = 32;

pub(crate) struct Sha256Hash([u8; OUTPUT]);

impl Sha256Hash {
    /// Reads 64 hexadecimal digits, or base64 or base64url with or without padding. Their lengths
    /// tell them apart.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let digest = match text.len() {
            64 => from_hex(text),
            44 => from_base64::<Base64>(text).or_else(|| from_base64::<Base64Url>(text)),
            43 => from_base64::<Base64Unpadded>(text)
                .or_else(|| from_base64::<Base64UrlUnpadded>(text)),
            _ => None,
        };
        digest.map(Self).ok_or_else(unusable)
    }

    /// Whether `text` has this hash.
    pub(in crate::verify) fn verify(&self, text: &[u8]) -> bool {
        let digest = Sha256::digest(text);
        digest.as_slice().ct_eq(&self.0).into()
    }
}

fn from_hex(text: &str) -> Option<[u8; OUTPUT]> {
    let value = |digit: u8| char::from(digit).to_digit(16);
    let mut digest = [0; OUTPUT];
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let &[high, low] = pair else { return None };
        *byte = u8::try_from(value(high)? << 4 | value(low)?).ok()?;
    }
    Some(digest)
}

fn from_base64<E: Encoding>(text: &str) -> Option<[u8; OUTPUT]> {
    let mut digest = [0; OUTPUT];
    let length = E::decode(text, &mut digest).ok()?.len();
    (length == OUTPUT).then_some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"mcp_sk_ATgKlpEaBS64QGLizLFNWgSzNfDmYl2D0UvHLX";
    const HEX: &str = "a2ee9e1d381864b2da8b63a22f778178d5caaf8951143b16278825fa14990eec";
    const BASE64: &str = "ou6eHTgYZLLai2OiL3eBeNXKr4lRFDsWJ4gl+hSZDuw=";

    #[test]
    fn a_digest_is_read_in_every_way_it_is_written() {
        let url = BASE64.replace('+', "-");
        for text in [
            HEX,
            &HEX.to_uppercase(),
            BASE64,
            BASE64.trim_end_matches('='),
            &url,
            url.trim_end_matches('='),
        ] {
            let hash = Sha256Hash::parse(text).unwrap_or_else(|_| panic!("{text}"));
            assert!(hash.verify(KEY), "{text}");
            assert!(!hash.verify(&KEY[..KEY.len() - 1]), "{text}");
        }
    }

    #[test]
    fn other_lengths_alphabets_and_loose_bits_are_unusable() {
        for text in [
            "",
            &HEX[1..],
            &format!("{HEX}0"),
            &HEX.replacen('a', "g", 1),
            &HEX.replacen("a2", "é", 1),
            &HEX.replacen("a2", "+2", 1),
            &BASE64[1..],
            &BASE64.replacen('o', "-", 1),
            &BASE64.replacen('=', "w", 1),
            &BASE64.replacen("w=", "x=", 1),
            &BASE64.replacen("w=", "==", 1),
            &format!("{BASE64}="),
            &format!("\n{BASE64}"),
        ] {
            assert!(Sha256Hash::parse(text).is_err(), "{text:?}");
        }
    }
}
