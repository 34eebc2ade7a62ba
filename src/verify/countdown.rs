//! The first use of a new secret, which the end of the old one may wait for.

use super::{ATTEMPTS, Work};
use crate::audit::{Act, AuditAction};
use crate::error::{Error, ErrorKind};
use crate::event::EventData;
use crate::key::{CredentialId, KeyInfo, KeyRecord};

impl Work {
    /// Starts the countdown of an older secret that waits for this one to be presented.
    ///
    /// A new secret is unknown to every node, so its first use always comes by here. If the
    /// countdown cannot be stored the use is not counted as proven, and the next one tries again:
    /// otherwise the old secret could go on without end.
    pub(super) async fn start_countdown(
        &self,
        record: &KeyRecord,
        presented: CredentialId,
    ) -> Result<(), Error> {
        let mut record = record.clone();
        for _ in 0..ATTEMPTS {
            let before = KeyInfo::of(&record);
            let expected = record.revision;
            let now = self.clock.now().wall;
            if !record.newest_was_presented(presented, now) {
                return Ok(());
            }
            record.updated_at = now;
            let act = Act::new(AuditAction::GraceStarted, "system", now)
                .changing(before.as_ref(), KeyInfo::of(&record).as_ref());
            let write = self.store.replace(&record, expected, &act);
            match tokio::time::timeout(self.deadline, write).await {
                Ok(Ok(revision)) => {
                    record.revision = revision;
                    self.live.changed(&record);
                    let data = EventData::Act {
                        key: record.id,
                        action: act.action,
                        actor: act.actor,
                    };
                    self.events.tell(now, data);
                    return Ok(());
                }
                Ok(Err(error)) if error.kind() == ErrorKind::Conflict => {}
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(crate::live::timed_out()),
            }
            match self.store.get(record.id).await? {
                Some(latest) => record = latest,
                None => return Ok(()),
            }
        }
        Err(crate::live::timed_out())
    }
}
