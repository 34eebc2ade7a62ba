//! Who asks, and how far that reaches.
//!
//! What a key may do, and as whom, is the same as on the page: see [`rights`](crate::admin::rights).

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;

use super::Office;
use super::fault::Fault;
use crate::admin::rights::{self, Act, Right};
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
    /// The manager in the hands of whoever asks, if their key may do `act`.
    pub(super) async fn may(&self, act: Act) -> Result<KeyManager, Fault> {
        act.check(self.key.key())?;
        match self.principal().await? {
            Some(principal) => Ok(self.manager().acting_as(principal)),
            None => Err(Right::KeysAdmin.missing().into()),
        }
    }

    /// The manager in the hands of whoever asks, for acts on the key itself alone.
    pub(super) async fn for_itself(&self) -> Result<KeyManager, Fault> {
        let principal = rights::for_itself(self.manager(), &self.key, self.address).await?;
        Ok(self.manager().acting_as(principal))
    }

    async fn principal(&self) -> Result<Option<Principal>, Fault> {
        Ok(rights::principal(self.manager(), &self.key, self.address).await?)
    }

    fn manager(&self) -> &KeyManager {
        self.office.keys.manager()
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
        if rights::is_by_replaced(&self.key, rotated) {
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
