//! The message that is signed, its code, and how a code is written.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::SignatureFault;

/// How many bytes a signature has.
pub(super) const LENGTH: usize = 32;

type Code = Hmac<Sha256>;

/// The code of what stands before the body. Keys of every length can be used, so there always is one.
fn begin(key: &[u8], timestamp: u64) -> Option<Code> {
    let mut code = Code::new_from_slice(key).ok()?;
    code.update(timestamp.to_string().as_bytes());
    code.update(b".");
    Some(code)
}

/// The signature of a body at a time, in lower-case hex digits.
pub(super) fn sign(key: &[u8], timestamp: u64, body: &[u8]) -> Option<String> {
    let mut code = begin(key, timestamp)?;
    code.update(body);
    Some(to_hex(&code.finalize().into_bytes().into()))
}

/// A signature that is being verified while the body arrives.
pub(crate) struct Verification {
    code: Code,
    claimed: [u8; LENGTH],
}

impl Verification {
    pub(super) fn begin(key: &[u8], timestamp: u64, claimed: [u8; LENGTH]) -> Option<Self> {
        let code = begin(key, timestamp)?;
        Some(Self { code, claimed })
    }

    /// Takes in the next part of the body.
    pub(crate) fn update(&mut self, part: &[u8]) {
        self.code.update(part);
    }

    /// The signature, if it is that of the whole body. Compares in constant time.
    pub(crate) fn finish(self) -> Result<[u8; LENGTH], SignatureFault> {
        match self.code.verify_slice(&self.claimed) {
            Ok(()) => Ok(self.claimed),
            Err(_) => Err(SignatureFault::Mismatch),
        }
    }
}

fn to_hex(bytes: &[u8; LENGTH]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or_default();
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(digit).collect()
}

/// Reads exactly 64 hex digits of either case.
pub(super) fn from_hex(text: &[u8]) -> Option<[u8; LENGTH]> {
    if text.len() != 2 * LENGTH {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16);
    let mut bytes = [0; LENGTH];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let &[high, low] = pair else { return None };
        *byte = u8::try_from(value(high)? << 4 | value(low)?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_may_come_in_parts_and_every_bit_of_it_counts() {
        let text = sign(b"key", 12, b"two parts").unwrap();
        let claimed = from_hex(text.as_bytes()).unwrap();
        let verified = |key: &[u8], at, parts: &[&[u8]]| {
            let mut verification = Verification::begin(key, at, claimed).unwrap();
            for part in parts {
                verification.update(part);
            }
            verification.finish()
        };
        assert_eq!(verified(b"key", 12, &[b"two", b"", b" parts"]), Ok(claimed));
        for (key, at, body) in [
            (&b"key"[..], 12, &b"two part"[..]),
            (b"key", 12, b"two parts "),
            (b"key", 12, b""),
            (b"key", 13, b"two parts"),
            (b"key\n", 12, b"two parts"),
        ] {
            assert_eq!(verified(key, at, &[body]), Err(SignatureFault::Mismatch));
        }
        // The full stop stands between the two, and does not wander.
        assert_eq!(
            verified(b"key", 1, &[b"2.two parts"]),
            Err(SignatureFault::Mismatch)
        );
    }

    #[test]
    fn hex_is_read_in_either_case_and_in_one_length() {
        let text = "00ff10AbcD".to_owned() + &"0".repeat(54);
        let bytes = from_hex(text.as_bytes()).unwrap();
        assert_eq!(bytes[..5], [0, 255, 16, 171, 205]);
        assert_eq!(to_hex(&bytes), text.to_lowercase());
        for wrong in [
            "",
            &text[1..],
            &format!("{text}0"),
            &text.replace('A', "g"),
            &text.replace('A', "+"),
            &text.replace("Ab", "é"),
        ] {
            assert_eq!(from_hex(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
