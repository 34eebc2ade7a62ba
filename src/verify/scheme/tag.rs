//! The quick tag of a key that was issued here.

use sha2::{Digest, Sha256};

use crate::key::Tag;

/// The quick tag of a key: under a name of its own, so that no other hash of the key shares it.
pub(in crate::verify) fn tag(text: &[u8]) -> Tag {
    let mut hash = Sha256::new();
    hash.update(b"mcp-api-keys/tag/v1\0");
    hash.update(text);
    let [a, b, c, d, ..] = <[u8; 32]>::from(hash.finalize());
    Tag::new(u32::from_be_bytes([a, b, c, d]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_is_stable_because_it_is_stored() {
        let key = b"mcp_sk_ATgKlpEaBS64QGLizLFNWgSzNfDmYl2D0UvHLX";
        assert_eq!(serde_json::to_string(&tag(key)).unwrap(), EXPECTED_TAG);
    }

    const EXPECTED_TAG: &str = "3116971143";
}
