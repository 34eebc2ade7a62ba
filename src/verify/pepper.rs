//! A secret held outside the store that makes cold verifications cheap.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::key::Verifier;

/// A secret that is kept outside the store, under a name.
///
/// Every key issued or verified while a pepper is set also stores `HMAC-SHA-256(pepper, key)`.
/// A key that this process has not seen before is then verified in microseconds instead of the
/// slow hash's tens of milliseconds, and somebody who has the store but not the pepper learns
/// nothing from that code. The slow hash stays stored beside it as the fallback, so a stolen store
/// is no harder to search than it is without a pepper.
///
/// To change the pepper, set the new one as current and keep the old one as
/// [previous](crate::ApiKeysBuilder::previous_pepper) until every key in use has been seen once.
/// Losing the pepper loses no key: the slow hash decides then.
///
/// ```
/// use mcp_api_keys::Pepper;
///
/// let pepper = Pepper::new("2026-11", &[7; 32])?;
/// assert_eq!(pepper.id(), "2026-11");
/// assert!(Pepper::new("2026-11", b"too short").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Pepper {
    id: String,
    secret: Zeroizing<Vec<u8>>,
}

impl Pepper {
    /// The pepper `secret`, at least 32 random bytes, under the name `id`.
    ///
    /// # Errors
    ///
    /// If the secret is shorter, or the name is not 1 to 64 bytes.
    pub fn new(id: impl Into<String>, secret: &[u8]) -> Result<Self, Error> {
        let id = id.into();
        if !(1..=64).contains(&id.len()) {
            return Err(Error::invalid("pepper", "its name must be 1 to 64 bytes"));
        }
        if secret.len() < 32 {
            return Err(Error::invalid(
                "pepper",
                "its secret must be at least 32 bytes",
            ));
        }
        Ok(Self {
            id,
            secret: Zeroizing::new(secret.to_vec()),
        })
    }

    /// The pepper's name; stored with every code made under it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The name that is stored: the pepper's, and a check on its secret. A pepper that was given a
    /// former one's name but not its secret is thereby told apart, and costs the slow hash once a
    /// key instead of refusing them all.
    fn stored_id(&self) -> Option<String> {
        let [a, b, c, d, ..] = self.mac(b"mcp-api-keys/pepper-check/v1")?;
        Some(format!("{}.{a:02x}{b:02x}{c:02x}{d:02x}", self.id))
    }

    fn mac(&self, text: &[u8]) -> Option<[u8; 32]> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).ok()?;
        mac.update(text);
        Some(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pepper({:?}, …)", self.id)
    }
}

/// The pepper in use and those that came before it.
#[derive(Debug, Default)]
pub(crate) struct Peppers {
    current: Option<NamedPepper>,
    previous: Vec<NamedPepper>,
}

#[derive(Debug)]
struct NamedPepper {
    stored_id: String,
    pepper: Pepper,
}

impl NamedPepper {
    fn new(pepper: Pepper) -> Result<Self, Error> {
        let stored_id = pepper
            .stored_id()
            .ok_or_else(|| Error::invalid("pepper", "its secret cannot be used"))?;
        Ok(Self { stored_id, pepper })
    }
}

impl Peppers {
    /// The peppers, if no two have the same name.
    pub(crate) fn new(current: Option<Pepper>, previous: Vec<Pepper>) -> Result<Self, Error> {
        let mut ids: Vec<&str> = current.iter().chain(&previous).map(Pepper::id).collect();
        ids.sort_unstable();
        if ids
            .windows(2)
            .any(|pair| matches!(pair, [one, other] if one == other))
        {
            return Err(Error::invalid("pepper", "two peppers have the same name"));
        }
        Ok(Self {
            current: current.map(NamedPepper::new).transpose()?,
            previous: previous
                .into_iter()
                .map(NamedPepper::new)
                .collect::<Result<_, _>>()?,
        })
    }

    /// The code of `text` under the pepper stored as `id`; nothing if it is not at hand.
    pub(super) fn mac(&self, id: &str, text: &[u8]) -> Option<[u8; 32]> {
        self.current
            .iter()
            .chain(&self.previous)
            .find(|named| named.stored_id == id)
            .and_then(|named| named.pepper.mac(text))
    }

    /// A verifier under the current pepper, unless there is none or `known` is one already.
    pub(super) fn missing_verifier(
        &self,
        known: Option<&Verifier>,
        text: &[u8],
    ) -> Option<Verifier> {
        let current = self.current.as_ref()?;
        if known.is_some_and(|known| known.pepper() == current.stored_id) {
            return None;
        }
        Some(Verifier::new(&current.stored_id, current.pepper.mac(text)?))
    }
}
