//! Sessions of the older revisions, each bound to the key that began it.
//!
//! A server hands out a session id and honours it from anybody. Here the id that a client sees is the
//! server's with a code behind it, made from the id and the key. A request with another key, or with
//! an id that was not handed out here, has the wrong code. Nothing has to be remembered.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::key::{KeyId, fill_random};

/// How many digits of the code there are: 128 bits.
const DIGITS: usize = 32;

/// Binds session ids to keys.
pub(crate) struct Sessions {
    secret: Zeroizing<[u8; 32]>,
}

impl Sessions {
    /// Sessions of this process alone: after a restart clients begin anew.
    pub(crate) fn random() -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        fill_random(&mut *secret);
        Self { secret }
    }

    /// Sessions that all processes with this secret honour.
    pub(crate) fn with_secret(secret: &[u8]) -> Self {
        use sha2::Digest;

        Self {
            secret: Zeroizing::new(Sha256::digest(secret).into()),
        }
    }

    /// The id that the client with this key is to see for the server's.
    pub(crate) fn bind(&self, session: &str, key: KeyId) -> String {
        match self.code(session, key) {
            Some(code) => format!("{session}.{code}"),
            // Nobody can use it then.
            None => session.to_owned(),
        }
    }

    /// The server's id, if `shown` is one that was made for this key.
    pub(crate) fn unbind<'s>(&self, shown: &'s str, key: KeyId) -> Option<&'s str> {
        let (session, code) = shown.rsplit_once('.')?;
        let expected = self.code(session, key)?;
        let is_equal = subtle::ConstantTimeEq::ct_eq(expected.as_bytes(), code.as_bytes());
        bool::from(is_equal).then_some(session)
    }

    fn code(&self, session: &str, key: KeyId) -> Option<String> {
        // A key of any length makes a code; the error is for other kinds of codes.
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.secret).ok()?;
        mac.update(&key.as_u128().to_be_bytes());
        mac.update(session.as_bytes());
        let code = mac.finalize().into_bytes();
        let mut digits = String::with_capacity(DIGITS);
        for byte in code.iter().take(DIGITS / 2) {
            let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('0');
            digits.push(digit(byte >> 4));
            digits.push(digit(byte & 15));
        }
        Some(digits)
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sessions(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_its_keys_and_nobody_elses() {
        let sessions = Sessions::random();
        let [ada, bob] = [1, 2].map(KeyId::from_u128);
        for session in ["a-b-c", "x.y", ""] {
            let shown = sessions.bind(session, ada);
            assert_eq!(sessions.unbind(&shown, ada), Some(session));
            assert_eq!(sessions.unbind(&shown, bob), None);
            assert_eq!(sessions.unbind(session, ada), None);
            assert_eq!(Sessions::random().unbind(&shown, ada), None);
            for at in 0..shown.len() {
                let mut changed = shown.clone().into_bytes();
                changed[at] ^= 1;
                let changed = String::from_utf8(changed).unwrap();
                assert_eq!(sessions.unbind(&changed, ada), None, "{changed}");
            }
        }
    }

    #[test]
    fn a_shared_secret_makes_shared_sessions() {
        let [one, other] = [(); 2].map(|()| Sessions::with_secret(b"of the fleet"));
        let key = KeyId::from_u128(1);
        assert_eq!(other.unbind(&one.bind("s", key), key), Some("s"));
    }
}
