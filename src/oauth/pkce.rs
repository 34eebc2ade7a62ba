//! Proof that whoever redeems a code is whoever asked for it (RFC 7636), by `S256` alone.

use base64ct::{Base64UrlUnpadded, Encoding};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// A SHA-256 in URL-safe base 64 without padding.
const CHALLENGE: usize = 43;

/// Whether a text can be a challenge of `S256`.
pub(super) fn is_challenge(text: &str) -> bool {
    let mut bytes = [0; 32];
    text.len() == CHALLENGE
        && Base64UrlUnpadded::decode(text, &mut bytes).is_ok_and(|bytes| bytes.len() == 32)
}

/// Whether the verifier is the one that the challenge was made of.
pub(super) fn fits(challenge: &str, verifier: &str) -> bool {
    is_verifier(verifier)
        && bool::from(
            challenge_of(verifier)
                .as_bytes()
                .ct_eq(challenge.as_bytes()),
        )
}

fn challenge_of(verifier: &str) -> String {
    Base64UrlUnpadded::encode_string(&Sha256::digest(verifier))
}

fn is_verifier(text: &str) -> bool {
    let unreserved =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    (43..=128).contains(&text.len()) && text.bytes().all(unreserved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc_fits_and_nothing_else_does() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert!(is_challenge(challenge));
        assert!(fits(challenge, verifier));
        assert!(!fits(challenge, &verifier.replace('d', "e")));
        // `plain`, where the challenge is the verifier.
        assert!(!fits(verifier, verifier));
        assert!(!fits(challenge, ""));
        assert!(!fits(&challenge_of("short"), "short"));
        assert!(!fits(&challenge_of(&"a".repeat(129)), &"a".repeat(129)));
        for wrong in ["", "short", &"=".repeat(43), &"a".repeat(44)] {
            assert!(!is_challenge(wrong), "{wrong}");
        }
    }
}
