//! Whether the requests of a key must be signed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::InvalidText;

/// What a key asks of the requests it is presented in, beside what the layer asks of all.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Signing {
    /// Nothing of its own: the layer decides.
    #[default]
    ByLayer,
    /// A signature on every request, whatever the layer asks. Where no signature is verified the
    /// key is of no use.
    Required,
}

impl Signing {
    /// Whether the key asks for nothing of its own.
    pub(crate) fn is_by_layer(&self) -> bool {
        *self == Self::ByLayer
    }

    /// The value in a word: `by-layer` or `required`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ByLayer => "by-layer",
            Self::Required => "required",
        }
    }
}

impl fmt::Display for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Signing {
    type Err = InvalidText;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "by-layer" => Ok(Self::ByLayer),
            "required" => Ok(Self::Required),
            _ => Err(InvalidText::new("must be by-layer or required")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_read_as_it_is_written() {
        for value in [Signing::ByLayer, Signing::Required] {
            assert_eq!(value.to_string().parse(), Ok(value));
            assert_eq!(
                serde_json::to_string(&value).unwrap(),
                format!("\"{value}\"")
            );
        }
        assert!("Required".parse::<Signing>().is_err());
        assert_eq!(Signing::default(), Signing::ByLayer);
    }
}
