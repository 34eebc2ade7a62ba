//! Owners: what whoever a key belongs to may do themselves.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Access, InvalidText, OwnerId, Revision, ScopeGrant, ScopeSet, ServerName, Servers};

/// What an owner may do at present. No key of theirs reaches further, at any request.
///
/// ```
/// use mcp_api_keys::key::{Owner, Role};
///
/// let ada = Owner::member("ada".parse()?).server("files".parse()?).scope("files:*".parse()?);
/// assert_eq!(ada.role, Role::Member);
/// assert!(ada.active);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Owner {
    /// Who it is.
    pub id: OwnerId,
    /// Whether they manage all keys or their own.
    pub role: Role,
    /// Whether their keys work at all.
    pub active: bool,
    /// Which servers or projects they may use. A key for all servers opens these.
    pub servers: Servers,
    /// What they may do there.
    pub scopes: ScopeSet,
    /// Whether they may change things or only look at them.
    #[serde(default)]
    pub access: Access,
    /// Which write this state is; zero for one that is not stored.
    #[serde(default)]
    pub revision: Revision,
}

impl Owner {
    /// An admin, with everything.
    pub fn admin(id: OwnerId) -> Self {
        Self {
            id,
            role: Role::Admin,
            active: true,
            servers: Servers::All,
            scopes: ScopeSet::all(),
            access: Access::Full,
            revision: Revision::default(),
        }
    }

    /// A member without servers and scopes.
    pub fn member(id: OwnerId) -> Self {
        Self {
            role: Role::Member,
            servers: Servers::default(),
            scopes: ScopeSet::default(),
            ..Self::admin(id)
        }
    }

    /// The same owner with one more server.
    #[must_use]
    pub fn server(mut self, name: ServerName) -> Self {
        if let Servers::Only(names) = &mut self.servers {
            names.insert(name);
        }
        self
    }

    /// The same owner with all servers, those that are added later included.
    #[must_use]
    pub fn all_servers(mut self) -> Self {
        self.servers = Servers::All;
        self
    }

    /// The same owner with one more scope.
    #[must_use]
    pub fn scope(mut self, grant: ScopeGrant) -> Self {
        self.scopes = self.scopes.iter().cloned().chain([grant]).collect();
        self
    }

    /// The most that a [`Connection`](super::Connection) of this owner may do.
    pub(crate) fn most_for_connections(&self) -> Access {
        self.role.connection_cap().min(self.access)
    }

    /// The same owner, who may only look at things.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.access = Access::ReadOnly;
        self
    }
}

/// What an owner may do with keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a third role would change what every match means"
)]
pub enum Role {
    /// Manages all keys, and chooses the access of connections.
    Admin,
    /// Manages their own keys. Their connections are read-only.
    Member,
}

impl Role {
    /// The role in a word: `admin` or `member`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Member => "member",
        }
    }

    /// The most that a [`Connection`](super::Connection) of an owner with this role may do.
    pub fn connection_cap(self) -> Access {
        match self {
            Self::Admin => Access::Full,
            Self::Member => Access::ReadOnly,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = InvalidText;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "admin" => Ok(Self::Admin),
            "member" => Ok(Self::Member),
            _ => Err(InvalidText::new("must be admin or member")),
        }
    }
}
