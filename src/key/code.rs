//! Authorization codes: what a program exchanges for a connection, once.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::digest::SecretDigest;
use super::hex::{self, Hex};
use super::{InvalidText, KeyId, base62};
use crate::clock::Timestamp;

const TIME: usize = 8;
const RANDOM: usize = 43;
const PURPOSE: &str = "authorization-code";
const SHAPE: InvalidText = InvalidText::new("must be 76 hexadecimal digits in lower case");

/// How long a code may be exchanged.
const LIFETIME: Duration = Duration::from_secs(60);

/// The name under which an authorization code is stored: when it was made, and a hash of it.
///
/// The code itself is 256 random bits and is stored nowhere; nobody finds it out from its name.
/// Names sort by the times of their making.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CodeId {
    millis: [u8; 6],
    digest: [u8; 32],
}

impl CodeId {
    /// A new code, and its name.
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give.
    pub(crate) fn generate(now: Timestamp) -> (Zeroizing<String>, Self) {
        let millis = u128::try_from(now.as_millis()).unwrap_or(0);
        let mut code = Zeroizing::new(String::with_capacity(TIME + RANDOM));
        code.extend(base62::encode::<TIME>(millis).map(char::from));
        let random = Zeroizing::new(base62::random::<RANDOM>());
        code.extend(random.iter().copied().map(char::from));
        let id = Self::named(&code, millis);
        (code, id)
    }

    /// The name of a code that somebody presents. Whether there is such a code is another question.
    ///
    /// # Errors
    ///
    /// If it is no code; the error does not repeat it.
    pub fn of(code: &str) -> Result<Self, InvalidText> {
        const EXPECTATION: InvalidText = InvalidText::new("must be an authorization code");
        let time = code.as_bytes().get(..TIME).ok_or(EXPECTATION)?;
        if code.len() != TIME + RANDOM || !base62::is_base62(code.as_bytes()) {
            return Err(EXPECTATION);
        }
        let millis = time.iter().try_fold(0_u128, |number, digit| {
            Some(number * 62 + u128::from(base62::value(*digit)?))
        });
        Ok(Self::named(code, millis.ok_or(EXPECTATION)?))
    }

    fn named(code: &str, millis: u128) -> Self {
        let mut place = [0; 6];
        for (byte, of_number) in place.iter_mut().rev().zip(millis.to_le_bytes()) {
            *byte = of_number;
        }
        Self {
            millis: place,
            digest: *SecretDigest::of(PURPOSE, code).as_bytes(),
        }
    }

    /// When the code was made.
    pub fn created_at(&self) -> Timestamp {
        let millis = self.number();
        Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
    }

    /// From when on the code is refused: one minute after it was made.
    pub fn expires_at(&self) -> Timestamp {
        self.created_at().saturating_add(LIFETIME)
    }

    /// The name of the key that is made from the code. There cannot be two of it, and it sorts
    /// among the others by the time of the code.
    pub(crate) fn key(&self) -> KeyId {
        let random = self.digest.iter().take(10);
        let random = random.fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
        KeyId::from_u128(self.number() << 80 | random)
    }

    fn number(&self) -> u128 {
        let bytes = self.millis.iter();
        bytes.fold(0, |number, byte| number << 8 | u128::from(*byte))
    }
}

impl fmt::Display for CodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Hex(&self.millis), Hex(&self.digest))
    }
}

impl fmt::Debug for CodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for CodeId {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (millis, digest) = text.split_at_checked(12).ok_or(SHAPE)?;
        Ok(Self {
            millis: hex::parse(millis).ok_or(SHAPE)?,
            digest: hex::parse(digest).ok_or(SHAPE)?,
        })
    }
}

impl TryFrom<String> for CodeId {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<CodeId> for String {
    fn from(id: CodeId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_785_232_800_123);

    #[test]
    fn a_code_is_found_by_its_name_and_the_name_survives_printing() {
        let (code, id) = CodeId::generate(NOW);
        assert_eq!(CodeId::of(&code), Ok(id));
        assert_eq!(id.created_at(), NOW);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().len(), 76);
        assert!(!id.to_string().contains(&code[TIME..]));
        assert_ne!(CodeId::generate(NOW).1, id);
    }

    #[test]
    fn names_of_codes_and_of_their_keys_sort_by_time() {
        let times = [0, 1, 255, 256, 1_785_232_800_000, 253_402_207_199_999];
        let ids = times.map(|millis| CodeId::generate(Timestamp::from_millis(millis)).1);
        assert!(ids.is_sorted());
        assert!(ids.map(|id| id.to_string()).is_sorted());
        assert!(ids.map(|id| id.key()).is_sorted());
        let later = KeyId::generate(Timestamp::from_millis(1_785_232_800_001));
        assert!(ids[4].key() < later && later < ids[5].key());
    }

    #[test]
    fn what_is_no_code_is_refused() {
        let (code, _) = CodeId::generate(NOW);
        let longer = format!("{}x", *code);
        let other = code.replace(|c: char| c.is_ascii_digit(), "-");
        for text in ["", "é", &code[1..], &longer, &other, &"z".repeat(52)] {
            assert!(CodeId::of(text).is_err(), "{text}");
        }
        // The largest time that can be written is one.
        assert!(CodeId::of(&"z".repeat(51)).is_ok());
    }
}
