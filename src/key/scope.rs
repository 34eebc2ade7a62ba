//! What a key may do: scopes, the grants that cover them, and sets of grants.
//!
//! The promise: a grant covers a requirement only where both can be compared segment by segment;
//! nothing is guessed from parts of a word.
//!
//! 1. A scope is `segment(:segment)*`, at most 128 bytes, case-sensitive. A segment begins with an
//!    ASCII letter or digit and goes on with letters, digits, `.`, `_` and `-`.
//! 2. A grant is a scope, `*`, or a scope followed by `:*`. The star stands for one or more whole
//!    trailing segments: `files:*` covers `files:read` and `files:read:all`, neither `files` nor
//!    `filesystem:read`.
//! 3. A requirement holds no star; [`Scope`] and [`ScopeGrant`] are two types so that they cannot
//!    be confused.
//! 4. To hand on a grant takes one grant that covers it alone: `files:read` and `files:write`
//!    together do not make a `files:*`.
//!
//! A set that holds an invalid grant cannot be read, from a store as little as from a request; the
//! record it stands in is unusable as a whole, rather than a little narrower than somebody meant.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;
use smol_str::SmolStr;

/// The longest scope or grant in bytes, star included.
const MAX_LENGTH: usize = 128;

/// Something a request needs, such as `files:read`. It holds no star.
///
/// ```
/// use mcp_api_keys::key::Scope;
///
/// let scope: Scope = "files:read".parse()?;
/// assert_eq!(scope.as_str(), "files:read");
/// assert!("files:*".parse::<Scope>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Scope(SmolStr);

impl Scope {
    /// The scope as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Scope {
    type Err = ParseScopeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        check_length(text)?;
        check_segments(text)?;
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// Something a key holds: a scope, everything below one (`files:*`), or everything (`*`).
///
/// ```
/// use mcp_api_keys::key::ScopeGrant;
///
/// let files: ScopeGrant = "files:*".parse()?;
/// assert!(files.covers_scope(&"files:read".parse()?));
/// assert!(!files.covers_scope(&"files".parse()?));
/// assert!(!files.covers(&"*".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ScopeGrant(SmolStr);

impl ScopeGrant {
    /// The grant as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the holder of this grant may do what needs `scope`.
    #[must_use]
    pub fn covers_scope(&self, scope: &Scope) -> bool {
        self.covers_text(&scope.0)
    }

    /// Whether the holder of this grant may hand on `other`.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.covers_text(&other.0)
    }

    // A star can only be the last segment, so what is left without it is empty or ends in a colon,
    // and a valid text that begins with it goes on with at least one whole segment, or with a star
    // further down.
    fn covers_text(&self, text: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(stem) => text.starts_with(stem),
            None => self.0.as_str() == text,
        }
    }
}

impl FromStr for ScopeGrant {
    type Err = ParseScopeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        check_length(text)?;
        if text != "*" {
            check_segments(text.strip_suffix(":*").unwrap_or(text))?;
        }
        Ok(Self(text.into()))
    }
}

impl From<Scope> for ScopeGrant {
    fn from(scope: Scope) -> Self {
        Self(scope.0)
    }
}

impl fmt::Display for ScopeGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<'de> Deserialize<'de> for ScopeGrant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// All that a key holds, in the order of its text and without repetitions. Empty by default, which
/// grants nothing.
///
/// ```
/// use mcp_api_keys::key::{Scope, ScopeSet};
///
/// let held = ScopeSet::parse(["files:*", "models:read"])?;
/// let needed: [Scope; 2] = ["files:read".parse()?, "models:write".parse()?];
/// assert!(held.grants_any(&needed));
/// assert!(!held.grants_all(&needed));
///
/// assert!(held.covers(&ScopeSet::parse(["files:read"])?));
/// assert!(!held.covers(&ScopeSet::parse(["*"])?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(from = "Vec<ScopeGrant>")]
pub struct ScopeSet(SmallVec<[ScopeGrant; 2]>);

impl ScopeSet {
    /// Every scope: the grant `*`.
    #[must_use]
    pub fn all() -> Self {
        Self([ScopeGrant("*".into())].into_iter().collect())
    }

    /// The set of these grants.
    ///
    /// # Errors
    ///
    /// The first text that is no grant decides the error.
    pub fn parse<I>(grants: I) -> Result<Self, ParseScopeError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        grants
            .into_iter()
            .map(|grant| grant.as_ref().parse())
            .collect()
    }

    /// Whether one of the grants covers `scope`.
    #[must_use]
    pub fn grants(&self, scope: &Scope) -> bool {
        self.0.iter().any(|grant| grant.covers_scope(scope))
    }

    /// Whether every scope is granted. An empty list needs nothing and is granted.
    #[must_use]
    pub fn grants_all(&self, scopes: &[Scope]) -> bool {
        scopes.iter().all(|scope| self.grants(scope))
    }

    /// Whether at least one scope is granted. An empty list needs nothing and is granted, as in
    /// [`grants_all`](Self::grants_all): an endpoint without requirements is open to every key.
    #[must_use]
    pub fn grants_any(&self, scopes: &[Scope]) -> bool {
        scopes.is_empty() || scopes.iter().any(|scope| self.grants(scope))
    }

    /// Whether a key that holds this set may create one that holds `other`: each grant of the other
    /// is covered by a single grant of this one.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other
            .0
            .iter()
            .all(|theirs| self.0.iter().any(|ours| ours.covers(theirs)))
    }

    /// What both sets grant.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        // Two grants meet only where one covers the other, and there they meet in the lesser one.
        let within = |set: &Self, grant: &ScopeGrant| set.iter().any(|wide| wide.covers(grant));
        let ours = self.iter().filter(|grant| within(other, grant));
        let theirs = other.iter().filter(|grant| within(self, grant));
        ours.chain(theirs).cloned().collect()
    }

    /// The grants in the order of their text.
    pub fn iter(&self) -> std::slice::Iter<'_, ScopeGrant> {
        self.0.iter()
    }

    /// How many different grants there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no grant, so that nothing which needs a scope is allowed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<ScopeGrant>> for ScopeSet {
    fn from(mut grants: Vec<ScopeGrant>) -> Self {
        grants.sort_unstable();
        grants.dedup();
        Self(grants.into_iter().collect())
    }
}

impl Serialize for ScopeSet {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self)
    }
}

impl FromIterator<ScopeGrant> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = ScopeGrant>>(grants: I) -> Self {
        Vec::from_iter(grants).into()
    }
}

impl<'a> IntoIterator for &'a ScopeSet {
    type Item = &'a ScopeGrant;
    type IntoIter = std::slice::Iter<'a, ScopeGrant>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

fn check_length(text: &str) -> Result<(), ParseScopeError> {
    if text.len() > MAX_LENGTH {
        Err(ParseScopeError(Problem::TooLong))
    } else {
        Ok(())
    }
}

fn check_segments(text: &str) -> Result<(), ParseScopeError> {
    text.split(':').try_for_each(check_segment)
}

fn check_segment(segment: &str) -> Result<(), ParseScopeError> {
    let Some(first) = segment.bytes().next() else {
        return Err(ParseScopeError(Problem::EmptySegment));
    };
    if segment.contains('*') {
        return Err(ParseScopeError(Problem::MisplacedStar));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if first.is_ascii_alphanumeric() && segment.bytes().all(allowed) {
        Ok(())
    } else {
        Err(ParseScopeError(Problem::ForeignCharacter))
    }
}

/// Why a text is no [`Scope`] or no [`ScopeGrant`]. Its `Display` says what is wrong without
/// repeating the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseScopeError(Problem);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    TooLong,
    EmptySegment,
    MisplacedStar,
    ForeignCharacter,
}

impl fmt::Display for ParseScopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Problem::TooLong => write!(f, "a scope has at most {MAX_LENGTH} bytes"),
            Problem::EmptySegment => {
                f.write_str("a scope has at least one segment, and no segment is empty")
            }
            Problem::MisplacedStar => f.write_str(
                "a star is allowed in grants only, \
                 and there alone (`*`) or as the last segment (`files:*`)",
            ),
            Problem::ForeignCharacter => f.write_str(
                "a segment of a scope begins with an ASCII letter or digit, \
                 followed by letters, digits, `.`, `_` or `-`",
            ),
        }
    }
}

impl std::error::Error for ParseScopeError {}

#[cfg(test)]
mod tests;
