//! What a consent form carries, so that nobody but the person it was shown to can send it.
//!
//! 1. The seal is an HMAC over who is asked, the session they are signed in with, everything they are
//!    asked for, and a time; one that was made for another question, person or session does not fit.
//! 2. It holds for ten minutes.

use std::fmt;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::browser::hex;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::key::fill_random;

/// How long a form may be open.
const OPEN: Duration = Duration::from_secs(10 * 60);

/// The secret that seals are made with.
pub(super) struct Seal(Zeroizing<Vec<u8>>);

impl Seal {
    /// A secret of this process alone.
    pub(super) fn random() -> Self {
        let mut bytes = Zeroizing::new(vec![0; 32]);
        fill_random(&mut bytes);
        Self(bytes)
    }

    /// A secret that several processes share.
    pub(super) fn shared(secret: &[u8]) -> Result<Self, Error> {
        if secret.len() < 32 {
            return Err(Error::invalid("secret", "must have at least 32 bytes"));
        }
        Ok(Self(Zeroizing::new(secret.to_vec())))
    }

    /// A seal on a question, made now.
    pub(super) fn on(&self, question: &[&str], now: Timestamp) -> String {
        let until = now.saturating_add(OPEN).as_millis();
        format!("{until}.{}", hex(&self.code(question, until)))
    }

    /// Whether the seal is on this question and holds still.
    pub(super) fn holds(&self, seal: &str, question: &[&str], now: Timestamp) -> bool {
        let Some((until, code)) = seal.split_once('.') else {
            return false;
        };
        let Ok(until) = until.parse::<i64>() else {
            return false;
        };
        let (Some(mac), Some(code)) = (self.mac(question, until), from_hex(code)) else {
            return false;
        };
        mac.verify_slice(&code).is_ok() && now.as_millis() < until
    }

    fn code(&self, question: &[&str], until: i64) -> Vec<u8> {
        let mac = self.mac(question, until);
        mac.map_or_else(Vec::new, |mac| mac.finalize().into_bytes().to_vec())
    }

    fn mac(&self, question: &[&str], until: i64) -> Option<Hmac<Sha256>> {
        // A code takes a secret of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(b"mcp-api-keys:consent\0");
        mac.update(&until.to_be_bytes());
        for part in question {
            // With the lengths, no part can run into the next one.
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(part.as_bytes());
        }
        Some(mac)
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(..)")
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let value = |digit: u8| char::from(digit).to_digit(16);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |&[high, low]: &[u8; 2]| u8::try_from(value(high)? << 4 | value(low)?).ok();
    rest.is_empty()
        .then(|| pairs.iter().map(byte).collect())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    #[test]
    fn a_seal_holds_for_its_question_and_its_time() {
        let seal = Seal::random();
        let made = seal.on(&["ada", "session", "client"], NOW);
        assert!(seal.holds(&made, &["ada", "session", "client"], NOW));
        for other in [
            &["bob", "session", "client"][..],
            &["ada", "other", "client"],
            &["ada", "sessionclient"],
            &["adasession", "", "client"],
            &[],
        ] {
            assert!(!seal.holds(&made, other, NOW), "{other:?}");
        }
        let question = &["ada", "session", "client"];
        let later = NOW.saturating_add(OPEN);
        assert!(seal.holds(
            &made,
            question,
            later.saturating_sub(Duration::from_millis(1))
        ));
        assert!(!seal.holds(&made, question, later));
        assert!(!Seal::random().holds(&made, question, NOW));
        let (until, code) = made.split_once('.').unwrap();
        let longer = until.parse::<i64>().unwrap() + 1;
        assert!(!seal.holds(&format!("{longer}.{code}"), question, NOW));
        for wrong in [
            "",
            ".",
            "1.",
            &format!("{until}."),
            &format!("{until}.é0"),
            &made[1..],
        ] {
            assert!(!seal.holds(wrong, question, NOW), "{wrong}");
        }
    }

    #[test]
    fn a_shared_secret_has_a_length_and_is_not_shown() {
        assert!(Seal::shared(&[7; 31]).is_err());
        let [one, other] = [(); 2].map(|()| Seal::shared(&[7; 32]).unwrap());
        assert!(other.holds(&one.on(&["a"], NOW), &["a"], NOW));
        assert_eq!(format!("{one:?}"), "Seal(..)");
    }
}
