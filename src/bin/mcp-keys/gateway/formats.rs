//! How the keys are written that the gateway accepts, and what looks like one of them.
//!
//! 1. The words are those of `create`: `--format plain --prefix mgw_` there is
//!    `--accept-format plain=mgw_` here. Keys of the default format are always accepted.
//! 2. What begins as keys do counts as one in a path, whether or not it is one: it is no name that
//!    anybody else would give.

use mcp_api_keys::KeyFormat;

/// One accepted format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) format: KeyFormat,
    /// Whether the secret stands behind further segments.
    pub(super) segmented: bool,
}

impl Accepted {
    /// Reads `FORMAT` or `FORMAT=PREFIX`; the error says what one looks like.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (word, prefix) = match text.split_once('=') {
            Some((word, prefix)) => (word, Some(prefix)),
            None => (text, None),
        };
        let format = match word {
            "default" => KeyFormat::new(prefix.unwrap_or("mcp_sk_")),
            "plain" => KeyFormat::new(prefix.unwrap_or("mcp_sk_")).map(KeyFormat::without_checksum),
            "segmented" => KeyFormat::segmented(prefix.unwrap_or("mcp_sk")),
            _ => {
                return Err(
                    "must be default, plain or segmented, or FORMAT=PREFIX such as plain=mgw_"
                        .to_owned(),
                );
            }
        };
        match format {
            Ok(format) => Ok(Self {
                format,
                segmented: word == "segmented",
            }),
            Err(error) => Err(format!("cannot be: {error}")),
        }
    }
}

/// Whether a segment of a path begins as keys do.
pub(super) fn begins_as_key(segment: &[u8], accepted: &[Accepted]) -> bool {
    accepted
        .iter()
        .any(|one| segment.starts_with(one.format.prefix().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_named_as_for_new_keys() {
        for (text, format) in [
            ("default", KeyFormat::default()),
            ("default=acme_", KeyFormat::new("acme_").unwrap()),
            (
                "plain=mgw_",
                KeyFormat::new("mgw_").unwrap().without_checksum(),
            ),
            ("plain", KeyFormat::default().without_checksum()),
            ("segmented=ok1", KeyFormat::segmented("ok1").unwrap()),
            ("segmented", KeyFormat::segmented("mcp_sk").unwrap()),
        ] {
            assert_eq!(Accepted::parse(text).unwrap().format, format, "{text}");
        }
        for text in ["", "mgw_", "=mgw_", "plain=", "plain=m", "plain=a b", "x=y"] {
            assert!(Accepted::parse(text).is_err(), "{text}");
        }
    }
}
