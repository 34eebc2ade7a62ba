//! What is stored to recognise one secret of a key.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Handle, KeyFormat, hex};
use crate::clock::Timestamp;

/// One secret of a key, in the form it is stored: never the clear text.
///
/// A key has one, and two while a rotation's grace window is open.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Credential {
    /// Tells the secrets of one key apart, over all its rotations.
    pub id: CredentialId,
    /// What the key is looked up by.
    pub handle: Handle,
    /// The text before the handle, for showing the key masked.
    pub prefix: String,
    /// How the key is written, so that a rotation keeps to it; unknown of an imported one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<KeyFormat>,
    /// The hash of the whole key text, tagged with its scheme: `$argon2id$…`, and on imported keys
    /// also `$2b$…` or `sha256:…`, until they are first used.
    pub hash: String,
    #[serde(
        rename = "tag",
        default,
        skip_serializing_if = "Origin::goes_without_saying"
    )]
    origin: Origin,
    /// A fast verifier under a pepper kept outside the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifier: Option<Verifier>,
    /// When the secret was made.
    pub created_at: Timestamp,
    /// When it ends, if it is the old one of a rotation with a grace window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// How many milliseconds it goes on once its successor is first presented, if it is the old
    /// one of a rotation whose window opens then. Taken away when `ends_at` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_after_successor_ms: Option<u64>,
}

impl Credential {
    /// A credential without tag, verifier or end, of a secret that was made here.
    pub fn new(
        id: CredentialId,
        handle: Handle,
        prefix: impl Into<String>,
        hash: impl Into<String>,
        created_at: Timestamp,
    ) -> Self {
        Self {
            id,
            handle,
            prefix: prefix.into(),
            format: None,
            hash: hash.into(),
            origin: Origin::default(),
            verifier: None,
            created_at,
            ends_at: None,
            ends_after_successor_ms: None,
        }
    }

    /// The same credential, of a secret that came from another system. It never has a tag: nobody
    /// knows how random the secret is.
    #[must_use]
    pub fn imported(mut self) -> Self {
        self.origin = Origin::Imported(Never::Never);
        self
    }

    /// Whether the secret came from another system.
    pub fn is_imported(&self) -> bool {
        matches!(self.origin, Origin::Imported(_))
    }

    /// The quick check that spares the slow hash.
    pub fn tag(&self) -> Option<Tag> {
        match self.origin {
            Origin::Issued(tag) => tag,
            Origin::Imported(_) => None,
        }
    }

    /// Sets the tag. An imported credential stays without one, and the answer is `false`.
    pub fn set_tag(&mut self, tag: Option<Tag>) -> bool {
        match &mut self.origin {
            Origin::Issued(place) => {
                *place = tag;
                true
            }
            Origin::Imported(_) => false,
        }
    }

    /// Prefix, handle and an ellipsis.
    pub fn masked(&self) -> String {
        format!("{}{}…", self.prefix, self.handle)
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("id", &self.id)
            .field("handle", &self.handle)
            .field("created_at", &self.created_at)
            .field("ends_at", &self.ends_at)
            .finish_non_exhaustive()
    }
}

/// Where a secret came from, and so whether it may have a tag. Stored under the name of the tag: the
/// tag, nothing, or the word `never`. No row can say both.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Origin {
    Issued(Option<Tag>),
    Imported(Never),
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Never {
    Never,
}

impl Origin {
    fn goes_without_saying(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Origin {
    fn default() -> Self {
        Self::Issued(None)
    }
}

/// The number of a secret within its key: 1 for the first, one more with each rotation. The secrets of
/// a [connection](super::Connection) that its program renews have the numbers up to 16 in turn.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct CredentialId(u32);

impl CredentialId {
    /// The number of the first secret.
    pub const FIRST: Self = Self(1);

    /// The number of the secret that follows this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The secret with this number.
    pub const fn from_u32(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn as_u32(self) -> u32 {
        self.0
    }
}

/// The first 32 bits of a fast hash over the whole key: a wrong secret for a known handle is
/// refused by it without paying for the slow hash.
///
/// It narrows a search by 32 bits, which a random 142-bit secret does not notice and a low-entropy
/// one would not survive. [Imported](Credential::imported) secrets therefore never have one.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tag(u32);

impl Tag {
    /// The tag with these bits.
    pub const fn new(bits: u32) -> Self {
        Self(bits)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tag(…)")
    }
}

/// `HMAC-SHA-256(pepper, key)`, and which pepper it was made with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verifier {
    pepper: String,
    #[serde(with = "hex::bytes")]
    mac: [u8; 32],
}

impl Verifier {
    /// A verifier made under the pepper named `pepper`.
    pub fn new(pepper: impl Into<String>, mac: [u8; 32]) -> Self {
        Self {
            pepper: pepper.into(),
            mac,
        }
    }

    /// The name of the pepper.
    pub fn pepper(&self) -> &str {
        &self.pepper
    }

    /// The code to compare with.
    pub fn mac(&self) -> &[u8; 32] {
        &self.mac
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({:?}, …)", self.pepper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_neither_hash_nor_tag_nor_mac() {
        let mut credential = Credential::new(
            CredentialId::FIRST,
            "ATgKlpEa".parse().unwrap(),
            "mcp_sk_",
            "$argon2id$v=19$secret",
            Timestamp::from_millis(0),
        );
        credential.set_tag(Some(Tag::new(0xdead_beef)));
        credential.verifier = Some(Verifier::new("p1", [0xab; 32]));
        let shown = format!(
            "{credential:?} {:?} {:?}",
            credential.tag(),
            credential.verifier
        );
        for hidden in ["argon2id", "dead", "3735928559", "abab", "171"] {
            assert!(!shown.contains(hidden), "{shown}");
        }
    }

    #[test]
    fn an_imported_secret_never_has_a_tag_in_memory_or_in_store() {
        let issued = Credential::new(
            CredentialId::FIRST,
            "ATgKlpEa".parse().unwrap(),
            "mcp_sk_",
            "sha256:",
            Timestamp::from_millis(0),
        );
        let mut imported = issued.clone().imported();
        assert!(imported.is_imported() && !issued.is_imported());
        assert!(!imported.set_tag(Some(Tag::new(7))));
        assert_eq!(imported.tag(), None);
        let json = serde_json::to_string(&imported).unwrap();
        assert!(json.contains(r#""tag":"never""#), "{json}");
        assert_eq!(serde_json::from_str::<Credential>(&json).unwrap(), imported);

        // Rows as they were always written: with a tag, and without.
        let json = serde_json::to_string(&issued).unwrap();
        assert!(!json.contains("tag"), "{json}");
        assert_eq!(serde_json::from_str::<Credential>(&json).unwrap(), issued);
        let tagged = json.replacen('{', r#"{"tag":7,"#, 1);
        let tagged = serde_json::from_str::<Credential>(&tagged).unwrap();
        assert_eq!(tagged.tag(), Some(Tag::new(7)));
        let strange = json.replacen('{', r#"{"tag":"often","#, 1);
        assert!(serde_json::from_str::<Credential>(&strange).is_err());
    }

    #[test]
    fn a_verifier_survives_json_and_a_cut_one_is_refused() {
        let verifier = Verifier::new("p1", [0x5a; 32]);
        let json = serde_json::to_string(&verifier).unwrap();
        assert_eq!(serde_json::from_str::<Verifier>(&json).unwrap(), verifier);
        let cut = json.replacen("5a", "", 1);
        assert!(serde_json::from_str::<Verifier>(&cut).is_err());
    }
}
