//! What whoever has signed in may do here, and as whom.
//!
//! A bare `*` counts in a key for all servers only. Keys for one server are given `*` for the sake
//! of that server, and would become keys to everything if it counted here.

use std::net::IpAddr;

use crate::context::KeyContext;
use crate::error::{Error, ErrorKind};
use crate::key::{Access, KeyInfo, Scope, Servers};
use crate::manager::{KeyManager, Principal};

/// An act, or a group of acts, that takes a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    AdminKeys,
    ReadKeys,
    WriteKeys,
    ReadOwners,
    WriteOwners,
    ReadPlans,
    WritePlans,
    ReadAudit,
    ReadUsage,
    ReadAlerts,
    WriteAlerts,
}

impl Right {
    pub(super) fn scope(self) -> &'static str {
        match self {
            Self::AdminKeys => "keys:admin",
            Self::ReadKeys => "keys:read",
            Self::WriteKeys => "keys:write",
            Self::ReadOwners => "owners:read",
            Self::WriteOwners => "owners:write",
            Self::ReadPlans => "plans:read",
            Self::WritePlans => "plans:write",
            Self::ReadAudit => "audit:read",
            Self::ReadUsage => "usage:read",
            Self::ReadAlerts => "alerts:read",
            Self::WriteAlerts => "alerts:write",
        }
    }

    fn changes(self) -> bool {
        matches!(
            self,
            Self::WriteKeys | Self::WriteOwners | Self::WritePlans | Self::WriteAlerts
        )
    }

    /// Whether the key, as it stands at present, gives the right.
    pub(super) fn of(self, key: &KeyInfo) -> bool {
        let Ok(scope) = self.scope().parse::<Scope>() else {
            return false;
        };
        let mut grants = key.scopes.iter();
        let granted = grants.any(|grant| {
            grant.covers_scope(&scope) && (grant.as_str() != "*" || key.servers == Servers::All)
        });
        granted && (!self.changes() || key.access == Access::Full)
    }
}

/// As whom a key acts that is presented from this address.
///
/// # Errors
///
/// `Forbidden`, if it acts as nobody; `Unavailable`.
pub(super) async fn principal(
    manager: &KeyManager,
    context: &KeyContext,
    from: Option<IpAddr>,
) -> Result<Principal, Error> {
    let key = context.key();
    if !Right::ReadKeys.of(key) {
        let message = "the key may not manage keys: it lacks the scope keys:read";
        return Err(Error::new(ErrorKind::Forbidden, message));
    }
    let reaches_all = Right::AdminKeys.of(key);
    let principal = match &key.owner {
        Some(owner) => {
            let known = manager.principal_of(owner).await?;
            if reaches_all {
                known
            } else {
                Principal::member(owner.clone())
            }
        }
        None if reaches_all => Principal::admin(key.id.to_string()),
        None => {
            let message = "the key may not manage keys: it belongs to nobody, and lacks the scope \
                           keys:admin";
            return Err(Error::new(ErrorKind::Forbidden, message));
        }
    };
    let source = match from {
        Some(address) => format!("{address}, key {}", key.handle),
        None => format!("key {}", key.handle),
    };
    Ok(principal.by_key(context).from_source(source))
}

/// Refuses to give the key that somebody signed in with a new secret by its old one, which may be
/// the reason for the new one.
pub(super) fn check_newest(context: &KeyContext, renewed: &KeyInfo) -> Result<(), Error> {
    let previous = context.key().previous.as_ref();
    let by_old = previous.is_some_and(|old| old.credential == context.credential());
    if renewed.id == context.key_id() && by_old {
        let message = "the key was renewed already: sign in with its new secret";
        return Err(Error::new(ErrorKind::Forbidden, message));
    }
    Ok(())
}
