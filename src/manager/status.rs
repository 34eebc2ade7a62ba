//! Switching keys on and off, and withdrawing them.
//!
//! What an admin has switched off, no member switches on: the record says so, and the trail says who it
//! was. A member may still withdraw or delete such a key.

use super::{KeyManager, refuse_revoked, shown, validate};
use crate::audit::AuditAction;
use crate::error::{Error, ErrorKind};
use crate::key::{KeyId, KeyInfo, KeyStatus};

impl KeyManager {
    /// Switches a key on. A key that is on stays on.
    ///
    /// # Errors
    ///
    /// `NotFound`; `Conflict`, if the key is revoked; `Forbidden` to members, if an admin has switched
    /// it off; `Unavailable`.
    pub async fn enable(&self, id: KeyId) -> Result<KeyInfo, Error> {
        let record = self.change(id, AuditAction::Enabled, |record| {
            refuse_revoked(record)?;
            if record.held {
                let message = "an admin has switched the key off; only an admin switches it on";
                self.principal.check_admin(message)?;
            }
            record.held = false;
            record.status = KeyStatus::Active;
            Ok(())
        });
        shown(&record.await?)
    }

    /// Switches a key off. A key that is off stays off. If an admin does it, no member switches it on
    /// again.
    ///
    /// # Errors
    ///
    /// `NotFound`; `Conflict`, if the key is revoked; `Unavailable`.
    pub async fn disable(&self, id: KeyId) -> Result<KeyInfo, Error> {
        let is_admin = self.principal.confined_to().is_none();
        let record = self.change(id, AuditAction::Disabled, |record| {
            refuse_revoked(record)?;
            record.held |= is_admin;
            record.status = KeyStatus::Disabled;
            Ok(())
        });
        shown(&record.await?)
    }

    /// Withdraws a key for good. The record is kept, with the reason. A key that was revoked
    /// before keeps the first time and reason.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, if the reason is longer than 500 characters; `NotFound`; `Unavailable`.
    pub async fn revoke(&self, id: KeyId, reason: Option<&str>) -> Result<KeyInfo, Error> {
        validate::reason(reason)?;
        let at = self.office.clock.now().wall;
        let record = self.change_any(id, AuditAction::Revoked, |record| {
            if !matches!(record.status, KeyStatus::Revoked { .. }) {
                let reason = reason.map(str::to_owned);
                record.status = KeyStatus::Revoked { at, reason };
            }
            Ok(())
        });
        shown(&record.await?)
    }

    /// Removes a key and its record for good. Returns whether there was one. An admin removes also what
    /// cannot be read.
    ///
    /// # Errors
    ///
    /// `Corrupt` to members, if the record cannot be read; `Unavailable`.
    pub async fn delete(&self, id: KeyId) -> Result<bool, Error> {
        self.check_may_change()?;
        let is_admin = self.principal.confined_to().is_none();
        let record = match self.record(id).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            // Whose it is cannot be told. It works nowhere, and lists fail because of it.
            Err(error) if error.kind() == ErrorKind::Corrupt && is_admin => None,
            found => Some(found?),
        };
        let act = self.act(AuditAction::Deleted, record.as_ref(), None);
        match self.office.store.delete(id, &act).await {
            Ok(existed) => {
                self.office.live.deleted(id);
                if existed {
                    self.tell(id, act);
                }
                Ok(existed)
            }
            Err(error) => {
                self.office.live.distrust(id);
                Err(error)
            }
        }
    }
}
