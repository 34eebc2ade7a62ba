//! What a key may do here: a closed set of scopes.
//!
//! A bare `*` counts in a key for all servers only. Keys for one server are given `*` for the sake of
//! that server, and would become keys to everything if it counted here.

use std::sync::Arc;

use crate::key::{KeyInfo, Scope, Servers};
use crate::rejection::{Rejection, RejectionKind};

/// A scope of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    KeysAdmin,
    KeysRead,
    KeysWrite,
    OwnersRead,
    OwnersWrite,
    PlansRead,
    PlansWrite,
    UsageRead,
    AuditRead,
    AlertsRead,
    AlertsWrite,
}

impl Right {
    pub(super) const ALL: [Self; 11] = [
        Self::KeysAdmin,
        Self::KeysRead,
        Self::KeysWrite,
        Self::OwnersRead,
        Self::OwnersWrite,
        Self::PlansRead,
        Self::PlansWrite,
        Self::UsageRead,
        Self::AuditRead,
        Self::AlertsRead,
        Self::AlertsWrite,
    ];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::KeysAdmin => "keys:admin",
            Self::KeysRead => "keys:read",
            Self::KeysWrite => "keys:write",
            Self::OwnersRead => "owners:read",
            Self::OwnersWrite => "owners:write",
            Self::PlansRead => "plans:read",
            Self::PlansWrite => "plans:write",
            Self::UsageRead => "usage:read",
            Self::AuditRead => "audit:read",
            Self::AlertsRead => "alerts:read",
            Self::AlertsWrite => "alerts:write",
        }
    }

    /// Whether acts by it change something.
    pub(super) const fn changes(self) -> bool {
        matches!(
            self,
            Self::KeysWrite | Self::OwnersWrite | Self::PlansWrite | Self::AlertsWrite
        )
    }

    /// Whether `key`, as it stands at present, holds it.
    pub(super) fn is_held_by(self, key: &KeyInfo) -> bool {
        let Ok(scope) = self.as_str().parse::<Scope>() else {
            return false;
        };
        key.scopes.iter().any(|grant| {
            grant.covers_scope(&scope) && (grant.as_str() != "*" || key.servers == Servers::All)
        })
    }

    /// Refuses `key` if it does not hold it, or is read-only where something is to be changed.
    pub(super) fn check(self, key: &KeyInfo) -> Result<(), Rejection> {
        if !self.is_held_by(key) {
            return Err(self.missing());
        }
        if self.changes() && !key.access.is_full() {
            return Err(Rejection::new(RejectionKind::ReadOnly));
        }
        Ok(())
    }

    /// What to say to a key without it.
    pub(super) fn missing(self) -> Rejection {
        let required: Vec<Scope> = self.as_str().parse().into_iter().collect();
        Rejection::scope_missing(Arc::from(required))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::key::{
        Access, Credential, CredentialId, Handle, KeyId, KeyRecord, ScopeGrant, ScopeSet,
    };

    fn key(servers: Servers, grants: &[&str]) -> KeyInfo {
        let now = Timestamp::from_millis(0);
        let mut record = KeyRecord::new(KeyId::from_u128(1), "key", now);
        let handle: Handle = "ATgKlpEa".parse().unwrap();
        record.credentials = vec![Credential::new(CredentialId::FIRST, handle, "", "", now)];
        record.servers = servers;
        let grants = grants
            .iter()
            .map(|grant| grant.parse::<ScopeGrant>().unwrap());
        record.scopes = grants.collect::<ScopeSet>();
        KeyInfo::of(&record).unwrap()
    }

    #[test]
    fn every_right_is_a_scope() {
        for right in Right::ALL {
            assert!(right.as_str().parse::<Scope>().is_ok(), "{right:?}");
            assert!(right.is_held_by(&key(Servers::default(), &[right.as_str()])));
            assert_eq!(right.missing().required_scopes().len(), 1);
        }
    }

    #[test]
    fn a_star_counts_in_keys_for_all_servers_only() {
        let files = Servers::only(["files"]).unwrap();
        for right in Right::ALL {
            assert!(right.is_held_by(&key(Servers::All, &["*"])));
            assert!(!right.is_held_by(&key(files.clone(), &["*"])));
            assert!(!right.is_held_by(&key(Servers::default(), &["*"])));
        }
        let named = key(files, &["*", "keys:*"]);
        assert!(Right::KeysAdmin.is_held_by(&named));
        assert!(!Right::AuditRead.is_held_by(&named));
        assert!(!Right::KeysRead.is_held_by(&key(Servers::All, &["keys"])));
    }

    #[test]
    fn a_read_only_key_changes_nothing() {
        let mut reader = key(Servers::All, &["*"]);
        reader.access = Access::ReadOnly;
        for right in Right::ALL {
            let refused = right.check(&reader).err().map(|error| error.kind());
            let expected = right.changes().then_some(RejectionKind::ReadOnly);
            assert_eq!(refused, expected, "{right:?}");
        }
    }
}
