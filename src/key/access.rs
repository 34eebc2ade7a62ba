//! How much a key may do, in two levels.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::InvalidText;

/// Whether a key may change things or only look at them.
///
/// The level stands beside the scopes: a read-only key may not write, whatever its scopes say.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a third level would change what every match means"
)]
pub enum Access {
    /// Queries and reads.
    ReadOnly,
    /// Everything its servers and scopes allow.
    #[default]
    Full,
}

impl Access {
    /// Whether this is the level of a key that was not restricted.
    pub(crate) fn is_full(&self) -> bool {
        *self == Self::Full
    }

    /// The level in a word: `read-only` or `full`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::Full => "full",
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Access {
    type Err = InvalidText;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "read-only" => Ok(Self::ReadOnly),
            "full" => Ok(Self::Full),
            _ => Err(InvalidText::new("must be read-only or full")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_level_is_the_lesser_of_two() {
        assert_eq!(Access::Full.min(Access::ReadOnly), Access::ReadOnly);
        for level in [Access::Full, Access::ReadOnly] {
            assert_eq!(level.to_string().parse(), Ok(level));
            assert_eq!(
                serde_json::to_string(&level).unwrap(),
                format!("\"{level}\"")
            );
        }
    }
}
