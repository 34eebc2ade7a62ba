//! Argon2id in the PHC form: the hash of every key that is issued, and of some that are imported.

use std::fmt;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, MIN_SALT_LEN, Params, Version};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::unusable;
use crate::error::Error;
use crate::key::fill_random;
use crate::verify::pool::Memory;

const OUTPUT: usize = 32;
const SALT: usize = 16;

/// The most that a stored hash may ask for. A row is not to decide how much memory we use.
const MAX_MEMORY_KIB: u32 = 64 * 1_024;
const MAX_PASSES: u32 = 10;
const MAX_LANES: u32 = 4;

/// How hard the slow hash of a new key is: memory, passes and lanes of Argon2id.
///
/// The default is 19,456 KiB, 2 passes, 1 lane.
///
/// ```
/// use mcp_api_keys::Argon2Params;
///
/// let small_memory = Argon2Params::new(7_168, 5, 1)?;
/// assert!(Argon2Params::new(u32::MAX, 1, 1).is_err());
/// # let _ = small_memory;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Params {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Argon2Params {
    /// Argon2id with `memory_kib` KiB of memory, `passes` over it, in `lanes` lanes.
    ///
    /// # Errors
    ///
    /// If Argon2 does not allow the combination, or it is beyond 64 MiB, 10 passes or 4 lanes.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, InvalidArgon2Params> {
        let params = Self {
            memory_kib,
            passes,
            lanes,
        };
        let bounded = memory_kib <= MAX_MEMORY_KIB && passes <= MAX_PASSES && lanes <= MAX_LANES;
        if bounded && params.to_argon2().is_some() {
            Ok(params)
        } else {
            Err(InvalidArgon2Params)
        }
    }

    /// How many blocks of memory, of a KiB each, the hash works on.
    pub(in crate::verify) fn blocks(self) -> usize {
        self.to_argon2().map_or(0, |params| params.block_count())
    }

    fn to_argon2(self) -> Option<Params> {
        Params::new(self.memory_kib, self.passes, self.lanes, Some(OUTPUT)).ok()
    }
}

impl Default for Argon2Params {
    fn default() -> Self {
        Self {
            memory_kib: 19_456,
            passes: 2,
            lanes: 1,
        }
    }
}

/// Parameters beyond what Argon2 or this crate allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidArgon2Params;

impl fmt::Display for InvalidArgon2Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Argon2 takes 8 KiB a lane to {MAX_MEMORY_KIB} KiB of memory, 1 to {MAX_PASSES} passes \
             and 1 to {MAX_LANES} lanes"
        )
    }
}

impl std::error::Error for InvalidArgon2Params {}

/// The PHC string of a new key under a random salt.
pub(in crate::verify) fn hash_new(
    text: &[u8],
    params: Argon2Params,
    memory: &mut Memory,
) -> Result<String, Error> {
    let params = params.to_argon2().ok_or_else(unusable)?;
    let mut salt = [0; SALT];
    fill_random(&mut salt);
    let output = argon2id(text, &salt, &params, memory)?;
    let phc = PasswordHash {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params).map_err(|_| unusable())?,
        salt: Some(Salt::new(&salt).map_err(|_| unusable())?),
        hash: Some(Output::new(&*output).map_err(|_| unusable())?),
    };
    Ok(phc.to_string())
}

/// A PHC string that was read and found to ask for no more than is allowed.
pub(super) struct Argon2idHash {
    params: Params,
    salt: Salt,
    output: Output,
}

impl Argon2idHash {
    /// Reads a PHC string.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let phc = PasswordHash::new(text).map_err(|_| unusable())?;
        let is_argon2id_v19 =
            phc.algorithm == ARGON2ID_IDENT && phc.version == Some(Version::V0x13.into());
        if !is_argon2id_v19 {
            return Err(unusable());
        }
        let params = Params::try_from(&phc).map_err(|_| unusable())?;
        let bounded = params.m_cost() <= MAX_MEMORY_KIB
            && params.t_cost() <= MAX_PASSES
            && params.p_cost() <= MAX_LANES;
        match (phc.salt, phc.hash) {
            (Some(salt), Some(output))
                if bounded && output.len() == OUTPUT && salt.len() >= MIN_SALT_LEN =>
            {
                Ok(Self {
                    params,
                    salt,
                    output,
                })
            }
            _ => Err(unusable()),
        }
    }

    /// Whether `text` has this hash.
    pub(super) fn verify(&self, text: &[u8], memory: &mut Memory) -> Result<bool, Error> {
        let output = argon2id(text, self.salt.as_ref(), &self.params, memory)?;
        Ok(output.as_slice().ct_eq(self.output.as_ref()).into())
    }
}

fn argon2id(
    text: &[u8],
    salt: &[u8],
    params: &Params,
    memory: &mut Memory,
) -> Result<Zeroizing<[u8; OUTPUT]>, Error> {
    let blocks = params.block_count();
    if memory.len() < blocks {
        memory.resize(blocks, Block::default());
    }
    let mut output = Zeroizing::new([0; OUTPUT]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
        .hash_password_into_with_memory(text, salt, &mut *output, memory)
        .map_err(|_| unusable())?;
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn light() -> Argon2Params {
        Argon2Params::new(32, 1, 1).unwrap()
    }

    #[test]
    fn a_hash_verifies_its_own_text_and_no_other() {
        let mut memory = Memory::new();
        let phc = hash_new(b"text", light(), &mut memory).unwrap();
        let stored = Argon2idHash::parse(&phc).unwrap();
        assert!(stored.verify(b"text", &mut memory).unwrap());
        assert!(!stored.verify(b"texT", &mut memory).unwrap());
        assert!(phc.starts_with("$argon2id$v=19$m=32,t=1,p=1$"));
    }

    #[test]
    fn a_larger_buffer_left_by_another_hash_changes_nothing() {
        let mut memory = vec![Block::default(); 512];
        let phc = hash_new(b"text", light(), &mut memory).unwrap();
        assert!(
            Argon2idHash::parse(&phc)
                .unwrap()
                .verify(b"text", &mut Memory::new())
                .unwrap()
        );
    }

    #[test]
    fn stored_parameters_beyond_the_caps_are_unusable_and_never_run() {
        let good = hash_new(b"text", light(), &mut Memory::new()).unwrap();
        for (from, to) in [
            ("m=32", "m=4194304"),
            ("t=1", "t=4000000"),
            ("p=1", "p=200"),
            ("argon2id", "argon2d"),
            ("v=19", "v=16"),
        ] {
            let bomb = good.replacen(from, to, 1);
            assert_ne!(bomb, good);
            let error = Argon2idHash::parse(&bomb).err().expect(to);
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert!(!error.to_string().contains("argon2"));
        }
        for text in ["", "$argon2id$v=19$m=32,t=1,p=1", "sha256:00"] {
            assert!(Argon2idHash::parse(text).is_err(), "{text}");
        }
        let short_salt =
            "$argon2id$v=19$m=32,t=1,p=1$c2FsdA$MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE";
        assert!(Argon2idHash::parse(short_salt).is_err());
    }
}
