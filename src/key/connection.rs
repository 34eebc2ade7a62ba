//! Connections: keys that stand for one assistant of one user.

use serde::{Deserialize, Serialize};

use super::ClientId;

/// What makes a key a connection: the program that uses it on its owner's behalf.
///
/// What a connection may do is the least of what was granted, what the owner's
/// [role](super::Role) lets connections do, and what the owner may do at present.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Connection {
    /// The program, by its own id.
    pub client: ClientId,
    /// What the program calls itself. Nobody has checked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether its owner may let it have full access at present: known where a key's rights were put
    /// together, and nowhere else.
    #[serde(skip)]
    pub(crate) may_have_full: bool,
}

impl Connection {
    /// A connection for this program.
    pub fn new(client: ClientId) -> Self {
        Self {
            client,
            name: None,
            may_have_full: false,
        }
    }

    /// The same connection, with what the program calls itself.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}
