//! What a store keeps of a key.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    Access, Connection, Credential, CredentialId, Grant, InvalidText, KeyId, McpRules,
    NetworkRules, OwnerId, PlanName, Quota, RateLimit, ScopeSet, Servers, Signing,
};
use crate::clock::Timestamp;

/// Free-form facts about a key, such as `environment`, `service` or `contact`.
pub type Metadata = BTreeMap<String, String>;

/// A key as it is stored: everything but the clear text.
///
/// Stores write and read it as a whole; serde carries it for those that keep documents. It holds
/// hashes, so it is not for showing: that is what [`KeyInfo`](super::KeyInfo) is for.
///
/// A stored record with a field that this version does not know is refused as a whole: the field
/// may be a restriction that a later version wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct KeyRecord {
    /// The permanent name.
    pub id: KeyId,
    /// What people call it.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whom it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<OwnerId>,
    /// Whether it works.
    pub status: KeyStatus,
    /// Whether an admin has switched it off, so that no member switches it on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// Which servers or projects it opens.
    pub servers: Servers,
    /// What it may do there.
    #[serde(default)]
    pub scopes: ScopeSet,
    /// Whether it may change things or only look at them.
    #[serde(default, skip_serializing_if = "Access::is_full")]
    pub access: Access,
    /// Which tools, prompts and resources of MCP servers it may use.
    #[serde(default, skip_serializing_if = "McpRules::is_unrestricted")]
    pub mcp: McpRules,
    /// Whether its requests must be signed, whatever the layer asks.
    #[serde(default, skip_serializing_if = "Signing::is_by_layer")]
    pub signing: Signing,
    /// Where it may be used from.
    #[serde(default)]
    pub networks: NetworkRules,
    /// Which plan's limits it has, where it has none of the same name itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanName>,
    /// How often it may be used.
    #[serde(default)]
    pub limits: Vec<RateLimit>,
    /// How much it may use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quotas: Vec<Quota>,
    /// The program that uses it on its owner's behalf, if it is a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
    /// How the connection is renewed, if it was made by OAuth. It holds hashes and is not shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<Box<Grant>>,
    /// Free-form facts.
    #[serde(default)]
    pub metadata: Metadata,
    /// Its secrets, the newest last.
    pub credentials: Vec<Credential>,
    /// When it was issued.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// From when on it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Which write this state is; set by the store.
    #[serde(default)]
    pub revision: Revision,
}

impl KeyRecord {
    /// An active record without owner, servers, scopes, rules, limits or secrets.
    pub fn new(id: KeyId, name: impl Into<String>, created_at: Timestamp) -> Self {
        Self {
            id,
            name: name.into(),
            description: None,
            owner: None,
            status: KeyStatus::Active,
            held: false,
            servers: Servers::default(),
            scopes: ScopeSet::default(),
            access: Access::Full,
            mcp: McpRules::default(),
            signing: Signing::ByLayer,
            networks: NetworkRules::default(),
            plan: None,
            limits: Vec::new(),
            quotas: Vec::new(),
            connection: None,
            grant: None,
            metadata: Metadata::new(),
            credentials: Vec::new(),
            created_at,
            updated_at: created_at,
            expires_at: None,
            revision: Revision::default(),
        }
    }
}

impl KeyRecord {
    /// Starts the countdown of an older secret that waits for the newest one to be presented.
    /// Returns whether there was one waiting.
    pub(crate) fn newest_was_presented(&mut self, presented: CredentialId, now: Timestamp) -> bool {
        let expires_at = self.expires_at;
        let newest = self.credentials.iter().map(|known| known.id).max();
        if newest != Some(presented) {
            return false;
        }
        let mut started = false;
        for old in &mut self.credentials {
            if let Some(millis) = old.ends_after_successor_ms.take() {
                let end = now.saturating_add(Duration::from_millis(millis));
                old.ends_at = Some(expires_at.map_or(end, |expiry| expiry.min(end)));
                started = true;
            }
        }
        started
    }
}

/// Whether a key works. Expiry is no status: it is judged by the clock at each use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
#[non_exhaustive]
pub enum KeyStatus {
    /// It works.
    Active,
    /// It is switched off and may be switched on again.
    Disabled,
    /// It is withdrawn for good; the record is kept.
    Revoked {
        /// When it was withdrawn.
        at: Timestamp,
        /// Why, in the words of whoever did it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

impl KeyStatus {
    /// The status without its circumstances.
    pub fn kind(&self) -> StatusKind {
        match self {
            Self::Active => StatusKind::Active,
            Self::Disabled => StatusKind::Disabled,
            Self::Revoked { .. } => StatusKind::Revoked,
        }
    }

    /// The status in one word: `active`, `disabled` or `revoked`.
    pub fn as_str(&self) -> &'static str {
        self.kind().as_str()
    }
}

/// A [`KeyStatus`] in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StatusKind {
    /// `active`
    Active,
    /// `disabled`
    Disabled,
    /// `revoked`
    Revoked,
}

impl StatusKind {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Revoked => "revoked",
        }
    }
}

impl FromStr for StatusKind {
    type Err = InvalidText;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "active" => Ok(Self::Active),
            "disabled" => Ok(Self::Disabled),
            "revoked" => Ok(Self::Revoked),
            _ => Err(InvalidText::new("must be active, disabled or revoked")),
        }
    }
}

/// The number of a write to a store. Each write takes the next one, so a higher revision was
/// committed later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(u64);

impl Revision {
    /// The revision with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The revision after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}
