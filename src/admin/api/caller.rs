//! Who asks, and how far that reaches.
//!
//! | the key | acts as |
//! |---|---|
//! | has an owner who is an admin, and `keys:admin` | that admin |
//! | has an owner, otherwise | a member, with the owner's own keys |
//! | has no owner, and `keys:admin` | an admin of its own name |
//! | has no owner, otherwise | nobody: it may ask about itself alone |
//!
//! 1. Whoever acts by a key gives no key and no owner more than that key has at present.
//! 2. The audit trail names the owner, or the key's id where there is none; as the place, the
//!    caller's address and the handle of the key.
//! 3. A secret that a rotation has replaced does not make a new one, though it still works for a
//!    while: it may be the reason for the rotation.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;

use super::Office;
use super::fault::Fault;
use super::scope::Right;
use crate::context::KeyContext;
use crate::key::{KeyId, KeyInfo};
use crate::manager::{KeyManager, Principal};
use crate::rejection::{Rejection, RejectionKind};

/// An admitted key, and where it is presented from.
#[derive(Debug)]
pub(super) struct Caller {
    key: KeyContext,
    address: Option<IpAddr>,
    office: Arc<Office>,
}

impl Caller {
    /// The manager in the hands of whoever asks, if their key holds `right`.
    pub(super) async fn may(&self, right: Right) -> Result<KeyManager, Fault> {
        right.check(self.key.key())?;
        let Some(principal) = self.principal().await? else {
            return Err(Right::KeysAdmin.missing().into());
        };
        Ok(self.acting_as(principal.by_key(&self.key)))
    }

    /// The manager in the hands of whoever asks, for acts on the key itself alone. A key is not held
    /// within its own bounds: its record may say more than its owner leaves of it.
    pub(super) async fn for_itself(&self) -> Result<KeyManager, Fault> {
        let principal = match self.key.owner() {
            Some(owner) => self.office.keys.manager().principal_of(owner).await?,
            None => Principal::admin(self.key.key_id().to_string()),
        };
        Ok(self.acting_as(principal))
    }

    /// As whom the key acts, if as anybody.
    async fn principal(&self) -> Result<Option<Principal>, Fault> {
        let reaches_all = Right::KeysAdmin.is_held_by(self.key.key());
        Ok(match self.key.owner() {
            Some(owner) => {
                let known = self.office.keys.manager().principal_of(owner).await?;
                Some(if reaches_all {
                    known
                } else {
                    Principal::member(owner.clone())
                })
            }
            None if reaches_all => Some(Principal::admin(self.key.key_id().to_string())),
            None => None,
        })
    }

    fn acting_as(&self, principal: Principal) -> KeyManager {
        let handle = self.key.handle();
        let source = match self.address {
            Some(address) => format!("{address}, key {handle}"),
            None => format!("key {handle}"),
        };
        let manager = self.office.keys.manager();
        manager.acting_as(principal.from_source(source))
    }

    /// Refuses keys that may only look at things.
    pub(super) fn check_full_access(&self) -> Result<(), Fault> {
        if self.key.access().is_full() {
            Ok(())
        } else {
            Err(Rejection::new(RejectionKind::ReadOnly).into())
        }
    }

    /// Refuses to give the caller's own key a new secret by an old one.
    pub(super) fn check_newest(&self, rotated: KeyId) -> Result<(), Fault> {
        let previous = self.key.key().previous.as_ref();
        let by_old = previous.is_some_and(|old| old.credential == self.key.credential());
        if rotated == self.key.key_id() && by_old {
            let message = "the key was rotated already; use its new secret";
            return Err(Fault::new(StatusCode::FORBIDDEN, "not_allowed", message));
        }
        Ok(())
    }

    /// Whether the key acts on all keys.
    pub(super) async fn is_admin(&self) -> Result<bool, Fault> {
        let principal = self.principal().await?;
        Ok(principal.is_some_and(|principal| principal.confined_to().is_none()))
    }

    pub(super) fn context(&self) -> &KeyContext {
        &self.key
    }

    pub(super) fn key(&self) -> &KeyInfo {
        self.key.key()
    }
}

impl FromRequestParts<Arc<Office>> for Caller {
    type Rejection = Fault;

    async fn from_request_parts(head: &mut Parts, office: &Arc<Office>) -> Result<Self, Fault> {
        let key = head.extensions.get::<KeyContext>().cloned();
        Ok(Self {
            key: key.ok_or_else(|| Rejection::new(RejectionKind::Missing))?,
            address: office.keys.caller_address(head),
            office: Arc::clone(office),
        })
    }
}

/// Does all of `act`, also if the caller hangs up meanwhile.
pub(super) async fn finished<T: Send + 'static>(
    act: impl Future<Output = Result<T, Fault>> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::spawn(act).await {
        Ok(outcome) => outcome,
        Err(error) => {
            tracing::error!(%error, "an act of the admin API did not come to its end");
            let message = "it is not known whether this was done";
            Err(Fault::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                message,
            ))
        }
    }
}
