//! Switching keys on and off, and withdrawing them.

use super::{KeyManager, refuse_revoked, shown, validate};
use crate::audit::AuditAction;
use crate::error::{Error, ErrorKind};
use crate::key::{KeyId, KeyInfo, KeyStatus};

impl KeyManager {
    /// Switches a key on. A key that is on stays on.
    ///
    /// # Errors
    ///
    /// `NotFound`; `Conflict`, if the key is revoked; `Unavailable`.
    pub async fn enable(&self, id: KeyId) -> Result<KeyInfo, Error> {
        self.set_status(id, KeyStatus::Active, AuditAction::Enabled)
            .await
    }

    /// Switches a key off. A key that is off stays off.
    ///
    /// # Errors
    ///
    /// `NotFound`; `Conflict`, if the key is revoked; `Unavailable`.
    pub async fn disable(&self, id: KeyId) -> Result<KeyInfo, Error> {
        self.set_status(id, KeyStatus::Disabled, AuditAction::Disabled)
            .await
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

    /// Removes a key and its record for good. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub async fn delete(&self, id: KeyId) -> Result<bool, Error> {
        self.check_may_change()?;
        let record = match self.record(id).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            found => found?,
        };
        let act = self.act(AuditAction::Deleted, Some(&record), None);
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

    async fn set_status(
        &self,
        id: KeyId,
        status: KeyStatus,
        action: AuditAction,
    ) -> Result<KeyInfo, Error> {
        let record = self.change(id, action, |record| {
            refuse_revoked(record)?;
            record.status = status.clone();
            Ok(())
        });
        shown(&record.await?)
    }
}
