//! New secrets for old keys.

use std::time::Duration;

use super::{ATTEMPTS, IssuedKey, KeyManager, issued, refuse_revoked, shown, too_many_changes};
use crate::audit::AuditAction;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind};
use crate::key::{Credential, KeyFormat, KeyId, KeyInfo, KeyRecord};

/// How long the old secret of a rotated key goes on working beside the new one.
///
/// The window never outlives the key's own expiry, and another rotation ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Grace {
    /// Not at all. The right answer to a leak.
    None,
    /// So long from now on.
    For(Duration),
    /// So long from when the new secret is first presented; until then without end. For keys that
    /// somebody else has to put in place, in their own time.
    FromFirstUse(Duration),
}

/// The longest window: beyond it, two keys are the better answer.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

impl KeyManager {
    /// Gives a key a new secret; the old one is refused from now on. Id, rights, limits and what
    /// was spent of them stay.
    ///
    /// # Errors
    ///
    /// `NotFound`; `Conflict`, if the key is revoked or expired, or a connection that its program
    /// renews; `InvalidInput`, if keys are written
    /// with their owner in them and this owner cannot be; `Unavailable`.
    pub async fn rotate(&self, id: KeyId) -> Result<IssuedKey, Error> {
        self.rotate_with(id, Grace::None).await
    }

    /// Gives a key a new secret; the old one goes on for as long as `grace` says. A secret older
    /// than that one ends now.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use mcp_api_keys::{ApiKeys, Grace, NewKey, store::MemoryStore};
    ///
    /// let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
    /// let issued = keys.manager().issue(NewKey::named("ci-bot")).await?;
    /// let day = Duration::from_secs(86_400);
    /// let rotated = keys.manager().rotate_with(issued.info().id, Grace::For(day)).await?;
    /// assert_eq!(rotated.info().id, issued.info().id);
    /// assert_eq!(rotated.info().previous.as_ref().map(|old| &old.handle), Some(&issued.info().handle));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`rotate`](Self::rotate); `InvalidInput` for a window of more than 366 days.
    pub async fn rotate_with(&self, id: KeyId, grace: Grace) -> Result<IssuedKey, Error> {
        self.rotate_to(id, grace, None).await
    }

    /// [`rotate_with`](Self::rotate_with), writing the new key in `format`. Without it a new key is
    /// written as the old one was, which every server that accepts the old one accepts.
    ///
    /// # Errors
    ///
    /// As [`rotate_with`](Self::rotate_with).
    pub async fn rotate_in(
        &self,
        id: KeyId,
        grace: Grace,
        format: &KeyFormat,
    ) -> Result<IssuedKey, Error> {
        self.rotate_to(id, grace, Some(format)).await
    }

    async fn rotate_to(
        &self,
        id: KeyId,
        grace: Grace,
        format: Option<&KeyFormat>,
    ) -> Result<IssuedKey, Error> {
        if matches!(grace, Grace::For(window) | Grace::FromFirstUse(window) if window > LONGEST) {
            return Err(Error::invalid("grace", "must be at most 366 days"));
        }
        self.check_may_change()?;
        for _ in 0..ATTEMPTS {
            let now = self.office.clock.now().wall;
            let before = self.record(id).await?;
            let mut record = before.clone();
            self.check_reach(&record).await?;
            refuse_revoked(&record)?;
            refuse_expired(&record, now)?;
            refuse_renewed(&record)?;
            let newest = record.credentials.pop();
            let next = newest.as_ref().map(|old| old.id).unwrap_or_default().next();
            let kept = newest.as_ref().and_then(|old| old.format.clone());
            let format = format
                .or(kept.as_ref())
                .unwrap_or(self.office.formats.issued());
            let owner = record.owner.as_ref();
            let (key, credential) = self.make_secret(owner, next, format).await?;
            let old = newest.and_then(|old| outliving(old, grace, &record, now));
            record.credentials = old.into_iter().chain([credential]).collect();
            if let Some(record) = self.commit(&before, record, AuditAction::Rotated).await? {
                return issued(key, &record);
            }
        }
        Err(too_many_changes())
    }

    /// Ends the old secret of a rotation now, whatever its window. A key without one stays as it is.
    ///
    /// # Errors
    ///
    /// `NotFound`; `Conflict`, if the key is revoked; `Unavailable`.
    pub async fn end_grace(&self, id: KeyId) -> Result<KeyInfo, Error> {
        let record = self.change_any(id, AuditAction::GraceEnded, |record| {
            refuse_revoked(record)?;
            let older = record.credentials.len().saturating_sub(1);
            record.credentials.drain(..older);
            Ok(())
        });
        shown(&record.await?)
    }
}

/// The old secret with the end that `grace` sets it, if it is to go on at all.
fn outliving(
    mut old: Credential,
    grace: Grace,
    record: &KeyRecord,
    now: Timestamp,
) -> Option<Credential> {
    let millis = |window: Duration| u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
    (old.ends_at, old.ends_after_successor_ms) = match grace {
        Grace::None => return None,
        Grace::For(window) => {
            let end = now.saturating_add(window);
            (
                Some(record.expires_at.map_or(end, |expiry| expiry.min(end))),
                None,
            )
        }
        Grace::FromFirstUse(window) => (None, Some(millis(window))),
    };
    Some(old)
}

/// What is handed out by rotating has no end and no refresh token.
fn refuse_renewed(record: &KeyRecord) -> Result<(), Error> {
    if record.grant.is_some() {
        let message = "its program renews the secrets of a connection; disconnect it to end them";
        return Err(Error::new(ErrorKind::Conflict, message));
    }
    Ok(())
}

fn refuse_expired(record: &KeyRecord, now: Timestamp) -> Result<(), Error> {
    if record.expires_at.is_some_and(|end| now >= end) {
        return Err(Error::new(
            ErrorKind::Conflict,
            "the key has expired; issue a new one or move its expiry first",
        ));
    }
    Ok(())
}
