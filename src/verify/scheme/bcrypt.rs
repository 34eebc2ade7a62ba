//! bcrypt, as other systems have stored it: `$2b$`, a cost, and 53 characters of salt and output.
//!
//! bcrypt reads 72 bytes and no more. A longer text is therefore never proven by it: whoever knew
//! the first 72 bytes could make up the rest.

use base64ct::{Base64Bcrypt, Encoding};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::unusable;
use crate::error::Error;

const SALT: usize = 16;
const OUTPUT: usize = 23;

/// The most that a stored hash may ask for: about a second of one core.
const COSTS: std::ops::RangeInclusive<u32> = 4..=14;

/// The variants that differ in nothing, for texts without bytes beyond ASCII as keys are. `$2x$`
/// marks hashes of an implementation that was wrong.
const VARIANTS: [&str; 3] = ["$2a$", "$2b$", "$2y$"];

pub(super) struct BcryptHash {
    cost: u32,
    salt: [u8; SALT],
    output: [u8; OUTPUT],
}

impl BcryptHash {
    pub(super) const LONGEST_KEY: usize = 72;

    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        Self::read(text).ok_or_else(unusable)
    }

    fn read(text: &str) -> Option<Self> {
        let text = VARIANTS
            .iter()
            .find_map(|variant| text.strip_prefix(variant))?;
        let (cost, text) = text.split_once('$')?;
        let is_cost = cost.len() == 2 && cost.bytes().all(|digit| digit.is_ascii_digit());
        let cost: u32 = cost.parse().ok().filter(|_| is_cost)?;
        let (salt, output) = text.split_at_checked(22)?;
        COSTS.contains(&cost).then_some(Self {
            cost,
            salt: decoded(salt)?,
            output: decoded(output)?,
        })
    }

    pub(super) fn verify(&self, text: &[u8]) -> bool {
        // The text and the zero byte that ends it, or as much of both as bcrypt reads.
        let mut read = Zeroizing::new([0; Self::LONGEST_KEY]);
        let Some(place) = read.get_mut(..text.len()) else {
            return false;
        };
        place.copy_from_slice(text);
        let length = (text.len() + 1).min(Self::LONGEST_KEY);
        let Some(read) = read.get(..length) else {
            return false;
        };
        let output = Zeroizing::new(::bcrypt::bcrypt(self.cost, self.salt, read));
        let (compared, _) = output.split_at(OUTPUT);
        compared.ct_eq(&self.output).into()
    }
}

fn decoded<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let length = Base64Bcrypt::decode(text, &mut bytes).ok()?.len();
    (length == N).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    const OF_71_BYTES: &str = "$2b$04$nnRi0w609yfTvWktWEmwj.tOnHAJEjLCqLUap87x0NavBrA/MAL4.";
    const OF_72_BYTES: &str = "$2b$04$T4xGeyeImmM/KpHxJ/EbRunPIWC8dsBUrTE6zJBtGQDCqodFjk2b.";

    fn key(length: usize) -> Vec<u8> {
        let public = if length == 71 {
            "ok1-team.blue-ATgKlpEa-"
        } else {
            "ok1-team.blues-ATgKlpEa-"
        };
        let mut key = public.as_bytes().to_vec();
        key.resize(length, b'x');
        key
    }

    #[test]
    fn keys_of_72_bytes_are_told_apart_and_longer_ones_are_never_proven() {
        for (stored, length) in [(OF_71_BYTES, 71), (OF_72_BYTES, 72)] {
            let hash = BcryptHash::parse(stored).unwrap();
            assert!(hash.verify(&key(length)));
            let mut wrong = key(length);
            *wrong.last_mut().unwrap() = b'y';
            assert!(!hash.verify(&wrong));
        }
        // A plain bcrypt would say yes here.
        let hash = BcryptHash::parse(OF_72_BYTES).unwrap();
        let longer = key(73);
        assert_eq!(longer[..72], key(72));
        assert!(!hash.verify(&longer));
        assert!(!hash.verify(&[0; 100_000]));
    }

    #[test]
    fn bombs_and_other_shapes_are_unusable() {
        let good = OF_71_BYTES;
        assert!(BcryptHash::parse(&good.replacen("$04$", "$14$", 1)).is_ok());
        for bad in [
            good.replacen("$04$", "$15$", 1),
            good.replacen("$04$", "$31$", 1),
            good.replacen("$04$", "$99$", 1),
            good.replacen("$04$", "$03$", 1),
            good.replacen("$04$", "$4$", 1),
            good.replacen("$04$", "$+4$", 1),
            good.replacen("$04$", "$004$", 1),
            good.replacen("$2b$", "$2x$", 1),
            good.replacen("$2b$", "$2$", 1),
            good.replacen("nnRi", "nn=i", 1),
            good.replacen("nnRi", "nnéi", 1),
            format!("{good}."),
            good[..59].to_owned(),
            good[..10].to_owned(),
        ] {
            let error = BcryptHash::parse(&bad).err().expect(&bad);
            assert_eq!(error.kind(), ErrorKind::Corrupt);
        }
    }
}
