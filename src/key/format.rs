//! How a key is written.
//!
//! Three families, and what each is for:
//!
//! 1. **Checksummed**, the default: prefix, 32 random characters, 6 of checksum. Scanners can tell
//!    a real key from a look-alike, and a typo is refused without asking the store.
//! 2. **Plain**: prefix and 32 random characters.
//! 3. **Segmented**: `prefix-owner-id-secret`, which shows whose key it is.
//!
//! The first 8 random characters are the public [`Handle`]; in a segmented key the id segment is.
//! At least 24 random characters remain secret: 142.9 bits from the operating system.
//!
//! The checksum is for scanners and typos. It is no security: anybody can compute it.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{ApiKey, Handle, OwnerId, base62};

const HANDLE: usize = 8;
const BODY: usize = 32;
const CHECKSUM: usize = 6;
const OWNER_MAX: usize = 64;

/// How keys are written: prefix and family.
///
/// ```
/// use mcp_api_keys::key::KeyFormat;
///
/// let format = KeyFormat::new("acme_")?;
/// let key = format.generate(None)?;
/// assert_eq!(format.parse(key.expose_secret().as_bytes())?.handle().len(), 8);
/// assert_eq!(format.scanner_pattern(), r"\bacme_[0-9A-Za-z]{38}\b");
///
/// assert!(KeyFormat::new("mgw_")?.without_checksum().generate(None).is_ok());
/// assert!(KeyFormat::segmented("ok1")?.generate(Some(&"ada".parse()?)).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFormat {
    prefix: Box<str>,
    family: Family,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Family {
    Checksummed,
    Plain,
    Segmented,
}

impl KeyFormat {
    /// The checksummed family under `prefix`, such as `mcp_sk_`.
    ///
    /// # Errors
    ///
    /// If the prefix is not 2 to 32 letters, digits, `_` or `-`.
    pub fn new(prefix: &str) -> Result<Self, FormatError> {
        let valid = (2..=32).contains(&prefix.len())
            && prefix
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if !valid {
            return Err(FormatError::Prefix);
        }
        Ok(Self {
            prefix: prefix.into(),
            family: Family::Checksummed,
        })
    }

    /// The same prefix without the checksum.
    #[must_use]
    pub fn without_checksum(mut self) -> Self {
        if self.family == Family::Checksummed {
            self.family = Family::Plain;
        }
        self
    }

    /// The segmented family: `prefix-owner-id-secret`.
    ///
    /// # Errors
    ///
    /// If the prefix is not 2 to 32 letters, digits, `_` or `-`.
    pub fn segmented(prefix: &str) -> Result<Self, FormatError> {
        let format = Self::new(prefix)?;
        Ok(Self {
            prefix: format!("{}-", format.prefix).into(),
            family: Family::Segmented,
        })
    }

    /// What every key of this format begins with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A regular expression that finds keys of this format, for GitHub, GitLab and gitleaks.
    pub fn scanner_pattern(&self) -> String {
        let prefix = &self.prefix;
        match self.family {
            Family::Checksummed => format!(r"\b{prefix}[0-9A-Za-z]{{{}}}\b", BODY + CHECKSUM),
            Family::Plain => format!(r"\b{prefix}[0-9A-Za-z]{{{BODY}}}\b"),
            Family::Segmented => format!(
                r"\b{prefix}[0-9A-Za-z._-]{{1,{OWNER_MAX}}}-[0-9A-Za-z]{{{HANDLE}}}-[0-9A-Za-z]{{{BODY}}}\b"
            ),
        }
    }

    /// A new key from the operating system's random source.
    ///
    /// # Errors
    ///
    /// For the segmented family, if there is no owner, or its name is not 1 to 64 letters, digits,
    /// `.`, `_` or `-`: it is written into the key.
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give.
    pub fn generate(&self, owner: Option<&OwnerId>) -> Result<ApiKey, FormatError> {
        let random = Zeroizing::new(base62::random::<{ HANDLE + BODY }>());
        let (handle, rest) = random.split_at(HANDLE);
        let length = match self.family {
            Family::Segmented => BODY,
            Family::Checksummed | Family::Plain => BODY - HANDLE,
        };
        let secret = rest.iter().copied().take(length);
        // Enough for the longest key, so that growing never leaves a copy behind.
        let mut text = String::with_capacity(self.prefix.len() + OWNER_MAX + HANDLE + BODY + 8);
        text.push_str(&self.prefix);
        if self.family == Family::Segmented {
            text.push_str(owner_segment(owner)?);
            text.push('-');
        }
        text.extend(handle.iter().copied().map(char::from));
        let shown = text.len();
        if self.family == Family::Segmented {
            text.push('-');
        }
        text.extend(secret.map(char::from));
        if self.family == Family::Checksummed {
            text.extend(checksum(text.as_bytes()).map(char::from));
        }
        Ok(ApiKey::new(text, shown))
    }

    /// Reads a presented key, byte for byte, without any decoding.
    ///
    /// # Errors
    ///
    /// If it is not a key of this format; the error never repeats the text.
    pub fn parse<'t>(&self, text: &'t [u8]) -> Result<ParsedKey<'t>, ParseKeyError> {
        let body = text
            .strip_prefix(self.prefix.as_bytes())
            .ok_or(ParseKeyError)?;
        let handle = match self.family {
            Family::Checksummed => {
                if body.len() != BODY + CHECKSUM || !base62::is_base62(body) {
                    return Err(ParseKeyError);
                }
                let (signed, sum) = text.split_at(text.len() - CHECKSUM);
                if checksum(signed) != *sum {
                    return Err(ParseKeyError);
                }
                body.get(..HANDLE)
            }
            Family::Plain => {
                if body.len() != BODY || !base62::is_base62(body) {
                    return Err(ParseKeyError);
                }
                body.get(..HANDLE)
            }
            Family::Segmented => segmented_handle(body),
        };
        let handle = handle
            .and_then(|handle| std::str::from_utf8(handle).ok())
            .ok_or(ParseKeyError)?;
        Ok(ParsedKey { text, handle })
    }

    /// Whether a text has the prefix and a length of this format's keys: cheap to tell, and true of
    /// every key.
    fn may_fit(&self, text: &[u8]) -> bool {
        text.strip_prefix(self.prefix.as_bytes())
            .is_some_and(|body| match self.family {
                Family::Checksummed => body.len() == BODY + CHECKSUM,
                Family::Plain => body.len() == BODY,
                Family::Segmented => body.len() <= OWNER_MAX + 1 + HANDLE + 1 + BODY,
            })
    }

    /// How long a key of this format is, or may be if nothing is known of what stands before its
    /// handle; nothing, if no key of this format has `prefix` there.
    fn length_after(&self, prefix: Option<&str>) -> Option<usize> {
        let is_ours = || prefix.is_none_or(|prefix| *prefix == *self.prefix);
        match self.family {
            Family::Checksummed => is_ours().then_some(self.prefix.len() + BODY + CHECKSUM),
            Family::Plain => is_ours().then_some(self.prefix.len() + BODY),
            Family::Segmented => {
                let owner = match prefix {
                    None => OWNER_MAX,
                    Some(prefix) => prefix
                        .strip_prefix(&*self.prefix)
                        .and_then(|rest| rest.strip_suffix('-'))
                        .filter(|owner| is_owner_segment(owner.as_bytes()))?
                        .len(),
                };
                Some(self.prefix.len() + owner + 1 + HANDLE + 1 + BODY)
            }
        }
    }
}

impl Default for KeyFormat {
    /// Checksummed keys under `mcp_sk_`.
    fn default() -> Self {
        Self {
            prefix: "mcp_sk_".into(),
            family: Family::Checksummed,
        }
    }
}

/// Owner names may hold the separator, so the fixed-length segments are cut from the right.
fn segmented_handle(body: &[u8]) -> Option<&[u8]> {
    let (rest, secret) = body.split_at_checked(body.len().checked_sub(BODY)?)?;
    let rest = rest.strip_suffix(b"-")?;
    let (rest, handle) = rest.split_at_checked(rest.len().checked_sub(HANDLE)?)?;
    let owner = rest.strip_suffix(b"-")?;
    let valid = base62::is_base62(secret) && base62::is_base62(handle) && is_owner_segment(owner);
    valid.then_some(handle)
}

fn owner_segment(owner: Option<&OwnerId>) -> Result<&str, FormatError> {
    owner
        .map(OwnerId::as_str)
        .filter(|name| is_owner_segment(name.as_bytes()))
        .ok_or(FormatError::Owner)
}

fn is_owner_segment(owner: &[u8]) -> bool {
    (1..=OWNER_MAX).contains(&owner.len())
        && owner
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

fn checksum(text: &[u8]) -> [u8; CHECKSUM] {
    base62::encode(u128::from(crc32fast::hash(text)))
}

/// The formats in use: one for new keys, any number accepted.
///
/// ```
/// use mcp_api_keys::key::{KeyFormat, KeyFormats};
///
/// let old = KeyFormat::new("mgw_")?.without_checksum();
/// let formats = KeyFormats::new(KeyFormat::default()).accept(old.clone());
/// assert!(formats.parse(old.generate(None)?.expose_secret().as_bytes()).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct KeyFormats {
    issued: KeyFormat,
    accepted: Vec<KeyFormat>,
}

impl KeyFormats {
    /// New keys are written in `issued`, which is accepted as well.
    pub fn new(issued: KeyFormat) -> Self {
        Self {
            issued,
            accepted: Vec::new(),
        }
    }

    /// Accepts keys written in `format` too.
    #[must_use]
    pub fn accept(mut self, format: KeyFormat) -> Self {
        self.accepted.push(format);
        self
    }

    /// The format of new keys.
    pub fn issued(&self) -> &KeyFormat {
        &self.issued
    }

    /// Every accepted format, the issued one first.
    pub fn iter(&self) -> impl Iterator<Item = &KeyFormat> {
        std::iter::once(&self.issued).chain(&self.accepted)
    }

    /// Reads a presented key in the first format that fits.
    ///
    /// # Errors
    ///
    /// If none does.
    pub fn parse<'t>(&self, text: &'t [u8]) -> Result<ParsedKey<'t>, ParseKeyError> {
        self.iter()
            .find_map(|format| format.parse(text).ok())
            .ok_or(ParseKeyError)
    }

    /// Whether a text is of a length and prefix that a key of an accepted format may have.
    pub(crate) fn may_fit(&self, text: &[u8]) -> bool {
        self.issued.may_fit(text) || self.accepted.iter().any(|format| format.may_fit(text))
    }

    /// Whether keys can have this handle.
    pub(crate) fn give_handle(handle: &Handle) -> bool {
        handle.as_str().len() == HANDLE
    }

    /// How long a key of an accepted format with `prefix` before its handle is at most; nothing,
    /// if there are no such keys.
    pub(crate) fn longest_key(&self, prefix: Option<&str>) -> Option<usize> {
        self.iter()
            .filter_map(|format| format.length_after(prefix))
            .max()
    }
}

/// A well-formed key as it was presented. Whether it exists is another question.
#[derive(Clone, Copy)]
pub struct ParsedKey<'t> {
    text: &'t [u8],
    handle: &'t str,
}

impl<'t> ParsedKey<'t> {
    /// The public part, by which it is looked up.
    pub fn handle(&self) -> &'t str {
        self.handle
    }

    /// The public part as a value of its own.
    pub fn to_handle(self) -> Result<Handle, ParseKeyError> {
        self.handle.parse().map_err(|_| ParseKeyError)
    }

    /// The whole presented text, secret included.
    pub(crate) fn secret_text(&self) -> &'t [u8] {
        self.text
    }
}

impl fmt::Debug for ParsedKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ParsedKey({}…)", self.handle)
    }
}

/// Why a format cannot be built, or cannot write a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormatError {
    /// The prefix is not 2 to 32 letters, digits, `_` or `-`.
    Prefix,
    /// A segmented key needs an owner of 1 to 64 letters, digits, `.`, `_` or `-`.
    Owner,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prefix => "a key prefix must be 2 to 32 letters, digits, '_' or '-'",
            Self::Owner => {
                "a segmented key needs an owner of 1 to 64 letters, digits, '.', '_' or '-'"
            }
        })
    }
}

impl std::error::Error for FormatError {}

/// A text that is no key of an accepted format. It does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseKeyError;

impl fmt::Display for ParseKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a key of an accepted format")
    }
}

impl std::error::Error for ParseKeyError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const K1: &[u8] = b"mcp_sk_ATgKlpEaBS64QGLizLFNWgSzNfDmYl2D0UvHLX";

    fn all() -> Vec<KeyFormat> {
        vec![
            KeyFormat::default(),
            KeyFormat::new("mgw_").unwrap().without_checksum(),
            KeyFormat::new("a_b_c_").unwrap(),
            KeyFormat::segmented("ok1").unwrap(),
        ]
    }

    #[test]
    fn the_length_of_keys_is_known_from_what_stands_before_the_handle() {
        let ada: OwnerId = "team-ada".parse().unwrap();
        for (format, prefix) in [
            (KeyFormat::default(), "mcp_sk_"),
            (KeyFormat::new("mgw_").unwrap().without_checksum(), "mgw_"),
            (KeyFormat::segmented("ok1").unwrap(), "ok1-team-ada-"),
        ] {
            let key = format.generate(Some(&ada)).unwrap();
            let length = key.expose_secret().len();
            assert_eq!(format.length_after(Some(prefix)), Some(length));
            assert!(format.length_after(None).unwrap() >= length);
            for wrong in ["", "ok1-", "ok1--", "ok1-a b-", "mcp_sk", "mgw_-"] {
                assert_eq!(format.length_after(Some(wrong)), None, "{wrong}");
            }
        }
    }

    #[test]
    fn generated_keys_parse_back_whatever_the_prefix_holds() {
        let owner = "ada-lovelace".parse().unwrap();
        for format in all() {
            for _ in 0..200 {
                let key = format.generate(Some(&owner)).unwrap();
                let text = key.expose_secret();
                let handle = format.parse(text.as_bytes()).unwrap().handle();
                assert_eq!(handle.len(), 8);
                assert!(key.masked().contains(handle));
                assert!(key.masked().len() < text.len() - 20);
            }
        }
    }

    #[test]
    fn the_documented_key_is_read_and_its_lengths_are_exact() {
        assert_eq!(KeyFormat::default().parse(K1).unwrap().handle(), "ATgKlpEa");
        assert_eq!(
            KeyFormat::default()
                .generate(None)
                .unwrap()
                .expose_secret()
                .len(),
            45
        );
        let plain = KeyFormat::new("mcp_sk_").unwrap().without_checksum();
        assert_eq!(plain.generate(None).unwrap().expose_secret().len(), 39);
    }

    #[test]
    fn every_single_changed_character_is_refused_by_the_checksum() {
        for at in 7..K1.len() {
            let mut text = K1.to_vec();
            text[at] = if text[at] == b'x' { b'y' } else { b'x' };
            assert!(
                KeyFormat::default().parse(&text).is_err(),
                "changed at {at}"
            );
        }
    }

    #[test]
    fn a_segmented_key_needs_an_owner_it_can_carry() {
        let format = KeyFormat::segmented("ok1").unwrap();
        assert_eq!(format.generate(None).unwrap_err(), FormatError::Owner);
        let odd = "a b".parse().unwrap();
        assert_eq!(format.generate(Some(&odd)).unwrap_err(), FormatError::Owner);
    }

    #[test]
    fn several_formats_are_accepted_at_once() {
        let mut formats = KeyFormats::default();
        for format in all() {
            formats = formats.accept(format);
        }
        let owner = "u1".parse().unwrap();
        for format in all() {
            let key = format.generate(Some(&owner)).unwrap();
            assert!(formats.parse(key.expose_secret().as_bytes()).is_ok());
        }
        assert!(
            KeyFormats::default()
                .parse(b"mgw_00000000000000000000000000000000")
                .is_err()
        );
    }

    #[test]
    fn debug_output_never_shows_the_secret() {
        let owner = "u1".parse().unwrap();
        for format in all() {
            let key = format.generate(Some(&owner)).unwrap();
            let text = key.expose_secret();
            let shown = format!("{key:?} {:?}", format.parse(text.as_bytes()).unwrap());
            let secret = &text[text.len() - 24..];
            for window in secret.as_bytes().windows(8) {
                assert!(!shown.contains(std::str::from_utf8(window).unwrap()));
            }
        }
    }

    #[test]
    fn bad_prefixes_are_refused() {
        for prefix in ["", "a", "a b", "ä_", "a/", &"x".repeat(33)] {
            assert_eq!(KeyFormat::new(prefix).unwrap_err(), FormatError::Prefix);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_parser_panic(text in proptest::collection::vec(any::<u8>(), 0..120)) {
            for format in all() {
                let _ = format.parse(&text);
                let mut prefixed = format.prefix().as_bytes().to_vec();
                prefixed.extend_from_slice(&text);
                let _ = format.parse(&prefixed);
            }
        }
    }
}
