//! What whoever has signed in may do here.

use std::net::IpAddr;

use crate::context::KeyContext;
use crate::error::{Error, ErrorKind};
use crate::key::{Access, Scope, Servers};
use crate::manager::{KeyManager, Principal};

/// An act, or a group of acts, that takes a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    ReadKeys,
    WriteKeys,
    /// To manage keys with a key that nobody owns.
    ManageUnowned,
    ReadOwners,
    WriteOwners,
    ReadPlans,
    WritePlans,
    ReadAudit,
    ReadUsage,
}

impl Right {
    pub(super) fn scope(self) -> &'static str {
        match self {
            Self::ReadKeys => "keys:read",
            Self::WriteKeys => "keys:write",
            Self::ManageUnowned => "keys:admin",
            Self::ReadOwners => "owners:read",
            Self::WriteOwners => "owners:write",
            Self::ReadPlans => "plans:read",
            Self::WritePlans => "plans:write",
            Self::ReadAudit => "audit:read",
            Self::ReadUsage => "usage:read",
        }
    }

    fn changes(self) -> bool {
        matches!(self, Self::WriteKeys | Self::WriteOwners | Self::WritePlans)
    }

    /// Whether the key gives the right.
    pub(super) fn of(self, key: &KeyContext) -> bool {
        let scope = self.scope().parse::<Scope>();
        scope.is_ok_and(|scope| key.has_scope(&scope))
            && (!self.changes() || key.access() == Access::Full)
    }
}

/// Who acts with this key, from this address.
///
/// # Errors
///
/// `Forbidden`, if nobody may act with it; `Unavailable`.
pub(super) async fn principal(
    manager: &KeyManager,
    key: &KeyContext,
    from: Option<IpAddr>,
) -> Result<Principal, Error> {
    if !Right::ReadKeys.of(key) {
        let message = "The key may not manage keys: it lacks the scope keys:read.";
        return Err(Error::new(ErrorKind::Forbidden, message));
    }
    let opens_all = *key.servers() == Servers::All;
    let principal = match key.owner() {
        Some(owner) => {
            let principal = manager.principal_of(owner).await?;
            // A key that an admin made for one server is no key to everything.
            if principal.confined_to().is_none() && !opens_all {
                Principal::member(owner.clone())
            } else {
                principal
            }
        }
        None if opens_all && Right::ManageUnowned.of(key) => {
            Principal::admin(key.key_id().to_string())
        }
        None => {
            let message = "The key may not manage keys: it belongs to nobody, and does not open all \
                           servers or lacks the scope keys:admin.";
            return Err(Error::new(ErrorKind::Forbidden, message));
        }
    };
    let principal = principal.by_key(key);
    Ok(match from {
        Some(address) => principal.from_source(address.to_string()),
        None => principal,
    })
}
