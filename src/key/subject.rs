//! What the change log and the audit trail are about.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{ClientId, CodeId, InvalidText, KeyId, OwnerId, PlanName};

/// Something that is kept in a store: a key, an owner, a plan, a registered program or an
/// authorization code.
///
/// Printed as the key's id, or as `owner:`, `plan:`, `client:` or `code:` and the name.
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
    /// A program that has registered to be connected.
    Client(ClientId),
    /// An authorization code, by its name.
    Code(CodeId),
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
    /// A program that has registered to be connected.
    Client,
    /// An authorization code.
    Code,
}

impl SubjectKind {
    /// What stands before the name, such as `owner:`; nothing before a key's id.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Key => "",
            Self::Owner => "owner:",
            Self::Plan => "plan:",
            Self::Client => "client:",
            Self::Code => "code:",
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
            Self::Client(_) => SubjectKind::Client,
            Self::Code(_) => SubjectKind::Code,
        }
    }

    /// Whether keys depend on it: what an owner or a plan says counts for every request with their
    /// keys.
    pub(crate) fn is_definition(&self) -> bool {
        matches!(self, Self::Owner(_) | Self::Plan(_))
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

impl From<ClientId> for Subject {
    fn from(id: ClientId) -> Self {
        Self::Client(id)
    }
}

impl From<CodeId> for Subject {
    fn from(id: CodeId) -> Self {
        Self::Code(id)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind().prefix())?;
        match self {
            Self::Key(id) => id.fmt(f),
            Self::Owner(id) => id.fmt(f),
            Self::Plan(name) => name.fmt(f),
            Self::Client(id) => id.fmt(f),
            Self::Code(id) => id.fmt(f),
        }
    }
}

impl FromStr for Subject {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("owner", id)) => id.parse().map(Self::Owner),
            Some(("plan", name)) => name.parse().map(Self::Plan),
            Some(("client", id)) => id.parse().map(Self::Client),
            Some(("code", id)) => id.parse().map(Self::Code),
            Some(_) => Err(InvalidText::new(
                "must be a key's id, owner:ID, plan:NAME, client:ID or code:ID",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn every_kind_survives_printing_and_parsing() {
        let (_, code) = CodeId::generate(Timestamp::from_millis(1_785_232_800_000));
        let subjects = [
            Subject::Key(KeyId::from_u128(7)),
            Subject::Owner("a:b".parse().unwrap()),
            Subject::Plan("free".parse().unwrap()),
            Subject::Client("https://client.example/x?y=client:z".parse().unwrap()),
            Subject::Code(code),
        ];
        for subject in subjects {
            let text = subject.to_string();
            assert_eq!(text.parse(), Ok(subject.clone()), "{text}");
            assert!(text.starts_with(subject.kind().prefix()));
        }
        for text in ["client:", "code:x", "Client:x", "other:x"] {
            assert!(text.parse::<Subject>().is_err(), "{text}");
        }
    }
}
