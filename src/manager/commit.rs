//! How an act of the manager is carried out: written, noted in the audit trail, told.
//!
//! 1. What is written was judged as it will be: whoever was slower than somebody else judges again.
//! 2. This node heeds a change before its maker hears that it was made.

use super::{KeyManager, not_found};
use crate::audit::{Act, AuditAction};
use crate::error::{Error, ErrorKind};
use crate::event::EventData;
use crate::key::{KeyId, KeyInfo, KeyRecord};

/// How often a change is tried again when somebody else changed the key at the same time.
pub(super) const ATTEMPTS: usize = 8;

impl KeyManager {
    pub(super) async fn insert(&self, record: &mut KeyRecord) -> Result<(), Error> {
        self.insert_by(record, AuditAction::Issued).await
    }

    pub(super) async fn insert_by(
        &self,
        record: &mut KeyRecord,
        action: AuditAction,
    ) -> Result<(), Error> {
        let act = self.act(action, None, Some(record));
        record.revision = self.office.store.insert(record, &act).await?;
        self.office.live.changed(record);
        self.tell(record.id, act);
        Ok(())
    }

    /// Tells listeners of an act that is committed.
    pub(super) fn tell(&self, key: KeyId, act: Act) {
        let (action, actor) = (act.action, act.actor);
        let data = EventData::Act { key, action, actor };
        self.office.events.tell(act.at, data);
    }

    pub(super) async fn record(&self, id: KeyId) -> Result<KeyRecord, Error> {
        let record = self.office.store.get(id).await?.ok_or_else(not_found)?;
        self.principal.check_sight(&record)?;
        Ok(record)
    }

    /// What the audit trail is to say.
    pub(super) fn act(
        &self,
        action: AuditAction,
        before: Option<&KeyRecord>,
        after: Option<&KeyRecord>,
    ) -> Act {
        self.act_of(self.principal.actor(), action, before, after)
    }

    /// [`act`](Self::act), of somebody else than whom the manager acts for.
    pub(super) fn act_of(
        &self,
        actor: &str,
        action: AuditAction,
        before: Option<&KeyRecord>,
        after: Option<&KeyRecord>,
    ) -> Act {
        let at = self.office.clock.now().wall;
        let mut act = Act::new(action, actor, at);
        act.source = self.principal.source().map(str::to_owned);
        let shown = |record: Option<&KeyRecord>| record.and_then(KeyInfo::of);
        act.changing(shown(before).as_ref(), shown(after).as_ref())
    }

    /// Reads, changes and writes a key, again if somebody else wrote in between. What it is to be
    /// must be within the reach of whoever acts.
    pub(super) async fn change(
        &self,
        id: KeyId,
        action: AuditAction,
        change: impl Fn(&mut KeyRecord) -> Result<(), Error>,
    ) -> Result<KeyRecord, Error> {
        self.change_checked(id, action, change, true).await
    }

    /// [`change`](Self::change), whatever the key's reach: for withdrawing it.
    pub(super) async fn change_any(
        &self,
        id: KeyId,
        action: AuditAction,
        change: impl Fn(&mut KeyRecord) -> Result<(), Error>,
    ) -> Result<KeyRecord, Error> {
        self.change_checked(id, action, change, false).await
    }

    async fn change_checked(
        &self,
        id: KeyId,
        action: AuditAction,
        change: impl Fn(&mut KeyRecord) -> Result<(), Error>,
        within_reach: bool,
    ) -> Result<KeyRecord, Error> {
        self.check_may_change()?;
        for _ in 0..ATTEMPTS {
            let before = self.record(id).await?;
            let mut record = before.clone();
            change(&mut record)?;
            if within_reach {
                self.check_reach(&record).await?;
                self.check_not_loosened(&before, &record).await?;
            }
            if record == before {
                // The change may be another node's that this one has not seen yet.
                self.office.live.changed(&record);
                return Ok(record);
            }
            if let Some(record) = self.commit(&before, record, action).await? {
                return Ok(record);
            }
        }
        Err(too_many_changes())
    }

    /// Writes a changed record and announces it; nothing if somebody else was faster.
    pub(super) async fn commit(
        &self,
        before: &KeyRecord,
        record: KeyRecord,
        action: AuditAction,
    ) -> Result<Option<KeyRecord>, Error> {
        let act = self.act(action, Some(before), Some(&record));
        self.commit_act(before, record, act).await
    }

    /// [`commit`](Self::commit), with what the trail is to say.
    pub(super) async fn commit_act(
        &self,
        before: &KeyRecord,
        mut record: KeyRecord,
        act: Act,
    ) -> Result<Option<KeyRecord>, Error> {
        record.updated_at = act.at;
        match self
            .office
            .store
            .replace(&record, before.revision, &act)
            .await
        {
            Ok(revision) => {
                record.revision = revision;
                self.office.live.changed(&record);
                self.tell(record.id, act);
                Ok(Some(record))
            }
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(None),
            Err(error) => {
                // The write may have been committed although the answer was lost.
                self.office.live.distrust(record.id);
                Err(error)
            }
        }
    }
}

pub(super) fn too_many_changes() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "the key is being changed by others all the time",
    )
}
