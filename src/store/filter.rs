//! What to read of a store: filters and pages.

use crate::clock::Timestamp;
use crate::key::{KeyId, KeyRecord, OwnerId, PlanName, Revision, ServerName, StatusKind};

/// Which keys to list. The default matches all that are not revoked.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct KeyFilter {
    /// Only keys of this owner.
    pub owner: Option<OwnerId>,
    /// Only keys that name this server; keys for all servers match as well.
    pub server: Option<ServerName>,
    /// Only keys with this status.
    pub status: Option<StatusKind>,
    /// Only keys whose name contains this text, whatever the case of ASCII letters.
    pub name_contains: Option<String>,
    /// Only keys on this plan.
    pub plan: Option<PlanName>,
    /// Only keys that expire before this time.
    pub expires_before: Option<Timestamp>,
    /// Only keys made before this time.
    pub created_before: Option<Timestamp>,
    /// Only keys not used since this time: last used before it, or never used and made before it.
    pub idle_since: Option<Timestamp>,
    /// Only connections, or only keys that are none.
    pub connections: Option<bool>,
    /// Revoked keys too. Asking for the status implies it.
    pub include_revoked: bool,
}

impl KeyFilter {
    /// Every key, the revoked ones included.
    pub fn all() -> Self {
        Self {
            include_revoked: true,
            ..Self::default()
        }
    }

    /// Whether `record`, last used at `last_used`, matches: the definition that every store's
    /// queries must agree with.
    pub fn matches(&self, record: &KeyRecord, last_used: Option<Timestamp>) -> bool {
        let status = record.status.kind();
        let status_fits = match self.status {
            Some(wanted) => status == wanted,
            None => self.include_revoked || status != StatusKind::Revoked,
        };
        status_fits
            && self
                .owner
                .as_ref()
                .is_none_or(|owner| record.owner.as_ref() == Some(owner))
            && self
                .server
                .as_ref()
                .is_none_or(|server| record.servers.contains(server))
            && self.name_contains.as_ref().is_none_or(|part| {
                record
                    .name
                    .to_ascii_lowercase()
                    .contains(&part.to_ascii_lowercase())
            })
            && self
                .expires_before
                .is_none_or(|end| record.expires_at.is_some_and(|at| at < end))
            && self
                .plan
                .as_ref()
                .is_none_or(|plan| record.plan.as_ref() == Some(plan))
            && self
                .created_before
                .is_none_or(|end| record.created_at < end)
            && self
                .idle_since
                .is_none_or(|since| last_used.unwrap_or(record.created_at) < since)
            && self
                .connections
                .is_none_or(|wanted| record.connection.is_some() == wanted)
    }
}

/// Which page of a list to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a page is where it starts and how long it is"
)]
pub struct PageRequest {
    /// Start after this key; from the beginning if nothing.
    pub after: Option<KeyId>,
    /// At most this many keys; held within 1 to 1,000.
    pub size: usize,
}

impl PageRequest {
    /// The first page, of `size` keys.
    pub const fn first(size: usize) -> Self {
        Self { after: None, size }
    }

    /// The page of the same size after `key`.
    #[must_use]
    pub const fn after(self, key: KeyId) -> Self {
        Self {
            after: Some(key),
            size: self.size,
        }
    }

    /// The size, held within its bounds.
    pub fn bounded_size(&self) -> usize {
        self.size.clamp(1, 1_000)
    }
}

impl Default for PageRequest {
    fn default() -> Self {
        Self::first(100)
    }
}

/// Which entries of the audit trail to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a page is where it starts and how long it is"
)]
pub struct AuditPage {
    /// Only entries older than the one with this revision; from the newest on if nothing.
    pub before: Option<Revision>,
    /// At most this many entries; held within 1 to 1,000.
    pub size: usize,
}

impl AuditPage {
    /// The newest `size` entries.
    pub const fn newest(size: usize) -> Self {
        Self { before: None, size }
    }

    /// The page of the same size before `revision`.
    #[must_use]
    pub const fn before(self, revision: Revision) -> Self {
        Self {
            before: Some(revision),
            size: self.size,
        }
    }

    /// The size, held within its bounds.
    pub fn bounded_size(&self) -> usize {
        self.size.clamp(1, 1_000)
    }
}

/// Which documents to read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a page is where it starts and how long it is"
)]
pub struct DocumentPage {
    /// Start after the document with this name; from the beginning if nothing.
    pub after: Option<String>,
    /// At most this many documents; held within 1 to 1,000.
    pub size: usize,
}

impl DocumentPage {
    /// The first page, of `size` documents.
    pub const fn first(size: usize) -> Self {
        Self { after: None, size }
    }

    /// The size, held within its bounds.
    pub fn bounded_size(&self) -> usize {
        self.size.clamp(1, 1_000)
    }
}

/// One page of a list.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores outside the crate build it"
)]
pub struct Page {
    /// The keys, ordered by id.
    pub records: Vec<KeyRecord>,
    /// Where the next page starts; nothing if this is the last.
    pub next: Option<KeyId>,
}
