//! The scopes that are asked for: a closed set.
//!
//! A bare `*` counts in a key for all servers only. Keys for one server are given `*` for the sake of
//! that server, and would become keys to everything if it counted here.

use std::sync::Arc;

use crate::key::{KeyInfo, Scope, Servers};
use crate::rejection::Rejection;

/// A scope of the admin API and the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::admin) enum Right {
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
    pub(in crate::admin) const ALL: [Self; 11] = [
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

    pub(in crate::admin) const fn as_str(self) -> &'static str {
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
    pub(in crate::admin) const fn changes(self) -> bool {
        matches!(
            self,
            Self::KeysWrite | Self::OwnersWrite | Self::PlansWrite | Self::AlertsWrite
        )
    }

    /// Whether `key`, as it stands at present, holds it.
    pub(in crate::admin) fn is_held_by(self, key: &KeyInfo) -> bool {
        let Ok(scope) = self.as_str().parse::<Scope>() else {
            return false;
        };
        key.scopes.iter().any(|grant| {
            grant.covers_scope(&scope) && (grant.as_str() != "*" || key.servers == Servers::All)
        })
    }

    /// What to say to a key without it.
    pub(in crate::admin) fn missing(self) -> Rejection {
        let required: Vec<Scope> = self.as_str().parse().into_iter().collect();
        Rejection::scope_missing(Arc::from(required))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::key::{Credential, CredentialId, Handle, KeyId, KeyRecord, ScopeGrant, ScopeSet};

    pub(in crate::admin::rights) fn key(servers: Servers, grants: &[&str]) -> KeyInfo {
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
}
