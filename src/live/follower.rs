//! Reads the store's change log and brings the live keys up to date.
//!
//! It reads every few seconds, and at once when a bell rings. What it reads begins with the last
//! change that it has seen: if that is not the same any more, the store was restored from a backup,
//! and nothing that is known may be relied upon.

use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::alarm::Alarm;
use super::{Live, timed_out};
use crate::error::Error;
use crate::key::{Revision, Subject};
use crate::store::{Change, ChangeBell, ChangeLog};

const BATCH: usize = 1_000;

/// How soon to ask again while the store does not answer.
const RETRY: Duration = Duration::from_millis(250);

/// How many rounds pass between two sweeps of keys no longer in use.
const SWEEP_EVERY: u32 = 15;

impl Live {
    /// Follows the change log until the last reference to `live` is dropped.
    pub(crate) async fn follow(live: Weak<Self>, bells: Vec<Box<dyn ChangeBell>>) {
        let alarm = Alarm::of(bells);
        let mut answered = true;
        let mut rounds = 0_u32;
        loop {
            let Some(this) = live.upgrade() else { return };
            let poll_every = this.timing.poll_every;
            // Nothing is held while waiting, or the follower would keep its own node alive.
            drop(this);
            let pause = if answered {
                poll_every
            } else {
                RETRY.min(poll_every)
            };
            alarm.wait(pause).await;
            let Some(this) = live.upgrade() else { return };
            // In a task of its own: a store that panics must not end the following.
            let poll = {
                let this = Arc::clone(&this);
                tokio::spawn(async move { this.poll(answered).await })
            };
            answered = poll.await.unwrap_or(false);
            rounds = rounds.wrapping_add(1);
            if rounds.is_multiple_of(SWEEP_EVERY) {
                this.sweep();
            }
        }
    }

    /// One round; says once that the store went away, and once that it is back.
    async fn poll(&self, answered_before: bool) -> bool {
        match self.catch_up().await {
            Ok(()) => {
                if !answered_before {
                    tracing::info!("the key store answers again");
                }
                true
            }
            Err(error) => {
                if answered_before {
                    tracing::warn!(%error, "the key store does not answer; cached keys go on for a while");
                }
                false
            }
        }
    }

    /// Applies every change that the log holds and this node has not seen. What is live is fresh
    /// as of the beginning of the call then.
    pub(crate) async fn catch_up(&self) -> Result<(), Error> {
        let asked_at = self.clock.now().ticks;
        self.read_log().await?;
        self.mark_fresh(asked_at);
        Ok(())
    }

    async fn read_log(&self) -> Result<(), Error> {
        let mut position = self.position.lock().await;
        loop {
            let answer = self.store.changes_since(position.before(), BATCH);
            let answer = tokio::time::timeout(self.timing.poll_timeout, answer)
                .await
                .map_err(|_| timed_out())??;
            match answer {
                ChangeLog::Changes(changes) => match position.follow(&changes) {
                    Some(new) => {
                        self.take_note(new);
                        if changes.len() < BATCH {
                            return Ok(());
                        }
                    }
                    None => {
                        tracing::warn!(
                            "the change log is another than before, as after the restoring of a \
                             backup; reading all keys again"
                        );
                        self.distrust_everything();
                        *position = Position::at(self.revision().await?);
                        return Ok(());
                    }
                },
                // It reaches no further back than to what is known.
                ChangeLog::OutOfReach(revision) if position.stands_at(revision) => return Ok(()),
                ChangeLog::OutOfReach(revision) => {
                    tracing::warn!(
                        "the change log does not reach back far enough; reading all keys again"
                    );
                    self.distrust_everything();
                    *position = Position::at(revision);
                    return Ok(());
                }
            }
        }
    }

    async fn revision(&self) -> Result<Revision, Error> {
        tokio::time::timeout(self.timing.poll_timeout, self.store.revision())
            .await
            .map_err(|_| timed_out())?
    }

    /// What changed is read again when it is next used, not now: many changes in one round then
    /// cost no more than their log. What this node has written itself it knows.
    fn take_note(&self, changes: &[Change]) {
        let mut definitions = HashSet::new();
        for change in changes {
            match &change.subject {
                Subject::Key(id) => self.changed_by(*id, change.revision),
                // Together: each time all live keys are looked at.
                definition if definition.is_definition() => {
                    definitions.insert(definition.clone());
                }
                // No key in use depends on it.
                _ => {}
            }
        }
        self.definitions_changed(&definitions);
    }
}

/// How far the change log has been read.
#[derive(Debug)]
pub(super) struct Position {
    revision: Revision,
    /// The change of that revision, once it was read.
    seen: Option<Change>,
}

impl Position {
    pub(super) fn at(revision: Revision) -> Self {
        Self {
            revision,
            seen: None,
        }
    }

    /// After which revision to read: before the last one that was seen.
    fn before(&self) -> Revision {
        Revision::new(self.revision.as_u64().saturating_sub(1))
    }

    /// Whether nothing that is known of the log contradicts that `newest` is its end and that it has
    /// forgotten everything else.
    fn stands_at(&self, newest: Revision) -> bool {
        self.revision == newest && self.seen.is_none()
    }

    /// Moves to the end of `changes`, which were read from [`before`](Self::before) on. Returns those
    /// that are new; nothing if they do not continue what was seen.
    fn follow<'a>(&mut self, changes: &'a [Change]) -> Option<&'a [Change]> {
        let new = if self.revision == Revision::default() {
            changes
        } else {
            let (known, new) = changes.split_first()?;
            let continues = match &self.seen {
                Some(seen) => seen == known,
                None => known.revision == self.revision,
            };
            if !continues {
                return None;
            }
            new
        };
        if let Some(last) = changes.last() {
            self.revision = last.revision;
            self.seen = Some(last.clone());
        }
        Some(new)
    }
}

#[cfg(test)]
mod tests;
