//! What the change log and the audit trail are about.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{InvalidText, KeyId, OwnerId, PlanName};

/// Something that is kept in a store: a key, an owner or a plan.
///
/// Printed as the key's id, as `owner:` or as `plan:` and the name.
///
/// ```
/// use mcp_api_keys::key::Subject;
///
/// let subject: Subject = "owner:ada".parse()?;
/// assert_eq!(subject, Subject::Owner("ada".parse()?));
/// assert_eq!(subject.to_string(), "owner:ada");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Subject {
    /// A key.
    Key(KeyId),
    /// An owner.
    Owner(OwnerId),
    /// A plan.
    Plan(PlanName),
}

/// What kind of thing a [`Subject`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SubjectKind {
    /// A key.
    Key,
    /// An owner.
    Owner,
    /// A plan.
    Plan,
}

impl SubjectKind {
    /// What stands before the name: `owner:` or `plan:`, and nothing before a key's id.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Key => "",
            Self::Owner => "owner:",
            Self::Plan => "plan:",
        }
    }
}

impl Subject {
    /// What kind of thing it is.
    pub fn kind(&self) -> SubjectKind {
        match self {
            Self::Key(_) => SubjectKind::Key,
            Self::Owner(_) => SubjectKind::Owner,
            Self::Plan(_) => SubjectKind::Plan,
        }
    }

    /// The key, if it is one.
    pub fn key(&self) -> Option<KeyId> {
        match self {
            Self::Key(id) => Some(*id),
            _ => None,
        }
    }
}

impl From<KeyId> for Subject {
    fn from(id: KeyId) -> Self {
        Self::Key(id)
    }
}

impl From<OwnerId> for Subject {
    fn from(id: OwnerId) -> Self {
        Self::Owner(id)
    }
}

impl From<PlanName> for Subject {
    fn from(name: PlanName) -> Self {
        Self::Plan(name)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind().prefix())?;
        match self {
            Self::Key(id) => id.fmt(f),
            Self::Owner(id) => id.fmt(f),
            Self::Plan(name) => name.fmt(f),
        }
    }
}

impl FromStr for Subject {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("owner", id)) => id.parse().map(Self::Owner),
            Some(("plan", name)) => name.parse().map(Self::Plan),
            Some(_) => Err(InvalidText::new(
                "must be a key's id, owner:ID or plan:NAME",
            )),
            None => text.parse().map(Self::Key),
        }
    }
}

impl TryFrom<String> for Subject {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        subject.to_string()
    }
}
