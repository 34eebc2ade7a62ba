//! The stored forms of a key: its hash, tagged with the scheme it was made by, and the quick tag.
//!
//! 1. The stored text decides by which scheme a key is verified. What is of no known scheme, or
//!    asks for more work than is allowed, is unusable: an error, never a wrong secret.
//! 2. This crate makes Argon2id only. The other schemes are read, on keys that were imported, until
//!    they are first used.
//! 3. Hashes are compared in constant time.

mod argon2id;
mod bcrypt;
mod sha256;
mod tag;

use self::argon2id::Argon2idHash;
pub(super) use self::argon2id::hash_new;
pub use self::argon2id::{Argon2Params, InvalidArgon2Params};
use self::bcrypt::BcryptHash;
pub(super) use self::sha256::Sha256Hash;
pub(super) use self::tag::tag;
use super::pool::Memory;
use crate::error::{Error, ErrorKind};

/// A stored hash that was read and found to ask for no more than is allowed.
pub(crate) enum StoredHash {
    /// It costs next to nothing.
    Quick(Sha256Hash),
    /// It is for the pool.
    Slow(SlowHash),
}

/// A stored hash that takes its time.
pub(crate) struct SlowHash(Slow);

enum Slow {
    Argon2id(Argon2idHash),
    Bcrypt(BcryptHash),
}

impl StoredHash {
    /// What can be read, in words for people.
    pub(crate) const EXPECTATION: &str = "must be $argon2id$ of at most 64 MiB, 10 passes and 4 lanes with 32 bytes of output, \
         $2a$, $2b$ or $2y$ (bcrypt) of a cost of at most 14, or sha256: and 64 hexadecimal digits \
         or their bytes in base64";

    /// Reads the text that is stored.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        if let Some(digest) = text.strip_prefix("sha256:") {
            return Sha256Hash::parse(digest).map(Self::Quick);
        }
        let slow = if text.starts_with("$argon2") {
            Slow::Argon2id(Argon2idHash::parse(text)?)
        } else {
            Slow::Bcrypt(BcryptHash::parse(text)?)
        };
        Ok(Self::Slow(SlowHash(slow)))
    }

    /// Whether this crate would never have made it.
    pub(super) fn is_foreign(&self) -> bool {
        !matches!(self, Self::Slow(SlowHash(Slow::Argon2id(_))))
    }

    /// How long a key may be for the hash to tell it from every other; nothing for any length.
    pub(crate) fn longest_key(&self) -> Option<usize> {
        match self {
            Self::Slow(SlowHash(Slow::Bcrypt(_))) => Some(BcryptHash::LONGEST_KEY),
            _ => None,
        }
    }
}

impl SlowHash {
    /// Whether `text` has this hash.
    pub(super) fn verify(&self, text: &[u8], memory: &mut Memory) -> Result<bool, Error> {
        match &self.0 {
            Slow::Argon2id(hash) => hash.verify(text, memory),
            Slow::Bcrypt(hash) => Ok(hash.verify(text)),
        }
    }
}

#[cold]
fn unusable() -> Error {
    Error::new(
        ErrorKind::Corrupt,
        "the stored hash of a key cannot be used",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"mcp_sk_ATgKlpEaBS64QGLizLFNWgSzNfDmYl2D0UvHLX";

    /// Each made by another implementation: argon2-cffi, bcrypt and hashlib of Python.
    const FOREIGN: [&str; 4] = [
        "$argon2id$v=19$m=64,t=2,p=1$WgH7+z8tVvvDGFnZ+Eog5Q$WHwC7NHBv5Ev3yy7HgZEpDBDch/8HToat1EmGHivfDI",
        "$2a$05$YWc2WIuCq.ih1EutTvtefeBbFreq1Znj7H6/BFcMwvyv5aZGGHqsq",
        "$2b$05$.YVzajYc9RzE3Mx3ZDyQj.9PGee3ADPdHYqP4WmZnEN6Wt6luisom",
        "sha256:a2ee9e1d381864b2da8b63a22f778178d5caaf8951143b16278825fa14990eec",
    ];

    fn verify(stored: &str, text: &[u8]) -> bool {
        match StoredHash::parse(stored).unwrap() {
            StoredHash::Quick(hash) => hash.verify(text),
            StoredHash::Slow(hash) => hash.verify(text, &mut Memory::new()).unwrap(),
        }
    }

    #[test]
    fn the_hashes_of_other_implementations_verify_their_key_and_no_other() {
        for stored in FOREIGN {
            assert!(verify(stored, KEY), "{stored}");
            for at in 0..KEY.len() {
                let mut wrong = KEY.to_vec();
                wrong[at] ^= 1;
                assert!(!verify(stored, &wrong), "{stored} {at}");
            }
            assert!(!verify(stored, &KEY[1..]), "{stored}");
            assert!(!verify(stored, b""), "{stored}");
        }
    }

    #[test]
    fn only_argon2id_is_not_foreign() {
        let foreign = FOREIGN.map(|stored| StoredHash::parse(stored).unwrap().is_foreign());
        assert_eq!(foreign, [false, true, true, true]);
    }

    #[test]
    fn a_text_of_no_known_scheme_is_unusable_and_not_repeated() {
        for text in [
            "",
            "mcp_sk_ATgKlpEaBS64QGLizLFNWgSzNfDmYl2D0UvHLX",
            "a2ee9e1d381864b2da8b63a22f778178d5caaf8951143b16278825fa14990eec",
            "SHA256:a2ee9e1d381864b2da8b63a22f778178d5caaf8951143b16278825fa14990eec",
            "$argon2i$v=19$m=64,t=2,p=1$WgH7+z8tVvvDGFnZ+Eog5Q$WHwC7NHBv5Ev3yy7HgZEpDBDch/8HToat1EmGHivfDI",
            "$5$rounds=5000$salt$hash",
            "$scrypt$ln=17,r=8,p=1$c2FsdHNhbHQ$aGFzaGhhc2g",
            "md5:900150983cd24fb0d6963f7d28e17f72",
        ] {
            let error = StoredHash::parse(text).err().expect(text);
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert_eq!(error.to_string(), "the stored hash of a key cannot be used");
        }
    }
}
