//! Keys in memory: for tests, for trying things out, and for keys that live as long as the process.
//!
//! It keeps the whole [`KeyStore`] contract but one promise: nothing survives the process.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{AuditPage, Change, ChangeLog, KeyFilter, KeyStore, Page, PageRequest, handles};
use crate::audit::{Act, AuditEntry, AuditFilter};
use crate::error::{Error, ErrorKind};
use crate::key::{KeyId, KeyRecord, Revision};

/// How many changes are remembered. A reader that missed more must read everything again.
const LOG_LENGTH: usize = 100_000;

/// How many acts are remembered. They live in memory only, and hold what could be shown of a key.
const TRAIL_LENGTH: usize = 10_000;

/// A [`KeyStore`] in memory. Clones share the same keys.
///
/// ```
/// use mcp_api_keys::Timestamp;
/// use mcp_api_keys::audit::{Act, AuditAction};
/// use mcp_api_keys::key::{KeyId, KeyRecord};
/// use mcp_api_keys::store::{KeyStore, MemoryStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemoryStore::new();
/// let now = Timestamp::from_millis(1_785_232_800_000);
/// let record = KeyRecord::new(KeyId::generate(now), "nightly backup", now);
/// let act = Act::new(AuditAction::Issued, "ada", now);
///
/// let revision = store.insert(&record, &act).await?;
/// let stored = store.get(record.id).await?.ok_or("the key is gone")?;
/// assert_eq!(stored.name, "nightly backup");
/// assert_eq!(stored.revision, revision);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every write checks first and changes afterwards, so a panic cannot leave half a write.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl KeyStore for MemoryStore {
    async fn insert(&self, record: &KeyRecord, act: &Act) -> Result<Revision, Error> {
        self.state().insert(record, act)
    }

    async fn get(&self, id: KeyId) -> Result<Option<KeyRecord>, Error> {
        Ok(self.state().records.get(&id).cloned())
    }

    async fn find_by_handle(&self, handle: &str) -> Result<Option<KeyRecord>, Error> {
        let state = self.state();
        let id = state.handles.get(handle);
        Ok(id.and_then(|id| state.records.get(id)).cloned())
    }

    async fn replace(
        &self,
        record: &KeyRecord,
        expected: Revision,
        act: &Act,
    ) -> Result<Revision, Error> {
        self.state().replace(record, expected, act)
    }

    async fn amend(&self, record: &KeyRecord) -> Result<(), Error> {
        self.state().amend(record)
    }

    async fn delete(&self, id: KeyId, act: &Act) -> Result<bool, Error> {
        Ok(self.state().delete(id, act))
    }

    async fn list(&self, filter: &KeyFilter, page: PageRequest) -> Result<Page, Error> {
        Ok(self.state().list(filter, page))
    }

    async fn audit(&self, filter: &AuditFilter, page: AuditPage) -> Result<Vec<AuditEntry>, Error> {
        Ok(self.state().audit(filter, page))
    }

    async fn revision(&self) -> Result<Revision, Error> {
        Ok(self.state().revision)
    }

    async fn changes_since(&self, since: Revision, limit: usize) -> Result<ChangeLog, Error> {
        Ok(self.state().changes_since(since, limit))
    }
}

#[derive(Default)]
struct State {
    records: BTreeMap<KeyId, KeyRecord>,
    handles: HashMap<String, KeyId>,
    revision: Revision,
    /// The newest changes, without gaps, the last one at `revision`.
    log: VecDeque<Change>,
    /// The newest acts, in the order of their revisions.
    trail: VecDeque<AuditEntry>,
}

impl State {
    fn insert(&mut self, record: &KeyRecord, act: &Act) -> Result<Revision, Error> {
        if self.records.contains_key(&record.id) {
            return Err(conflict("a key with this id exists already"));
        }
        self.check_handles(record)?;
        Ok(self.put(record, act))
    }

    fn replace(
        &mut self,
        record: &KeyRecord,
        expected: Revision,
        act: &Act,
    ) -> Result<Revision, Error> {
        match self.records.get(&record.id) {
            None => return Err(Error::new(ErrorKind::NotFound, "there is no such key")),
            Some(stored) if stored.revision != expected => {
                return Err(conflict("the key has changed since it was read"));
            }
            Some(_) => self.check_handles(record)?,
        }
        self.remove(record.id);
        Ok(self.put(record, act))
    }

    fn amend(&mut self, record: &KeyRecord) -> Result<(), Error> {
        match self.records.get_mut(&record.id) {
            None => Err(Error::new(ErrorKind::NotFound, "there is no such key")),
            Some(stored) if stored.revision != record.revision => {
                Err(conflict("the key has changed since it was read"))
            }
            Some(stored) => {
                stored.credentials.clone_from(&record.credentials);
                Ok(())
            }
        }
    }

    fn delete(&mut self, id: KeyId, act: &Act) -> bool {
        let found = self.remove(id);
        if found {
            self.log(id, act);
        }
        found
    }

    fn list(&self, filter: &KeyFilter, page: PageRequest) -> Page {
        let size = page.bounded_size();
        let start = page.after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut matching = self
            .records
            .range((start, Bound::Unbounded))
            .map(|(_, record)| record)
            .filter(|record| filter.matches(record));

        let records: Vec<_> = matching.by_ref().take(size).cloned().collect();
        let next = matching
            .next()
            .and_then(|_| records.last().map(|last| last.id));
        Page { records, next }
    }

    fn changes_since(&self, since: Revision, limit: usize) -> ChangeLog {
        if since == self.revision {
            return ChangeLog::Changes(Vec::new());
        }
        let oldest = self
            .log
            .front()
            .map_or(self.revision.next(), |change| change.revision);
        let skip = since.next().as_u64().checked_sub(oldest.as_u64());
        match skip.and_then(|skip| usize::try_from(skip).ok()) {
            Some(skip) if since < self.revision => {
                ChangeLog::Changes(self.log.iter().skip(skip).take(limit).copied().collect())
            }
            _ => ChangeLog::OutOfReach(self.revision),
        }
    }

    fn check_handles(&self, record: &KeyRecord) -> Result<(), Error> {
        let taken = |handle: &str| {
            self.handles
                .get(handle)
                .is_some_and(|key| *key != record.id)
        };
        if handles(record).any(|handle| taken(handle.as_str())) {
            return Err(conflict("one of the handles belongs to another key"));
        }
        Ok(())
    }

    fn put(&mut self, record: &KeyRecord, act: &Act) -> Revision {
        let revision = self.log(record.id, act);
        for handle in handles(record) {
            self.handles.insert(handle.as_str().to_owned(), record.id);
        }
        let mut record = record.clone();
        record.revision = revision;
        self.records.insert(record.id, record);
        revision
    }

    fn remove(&mut self, id: KeyId) -> bool {
        let Some(record) = self.records.remove(&id) else {
            return false;
        };
        for handle in handles(&record) {
            self.handles.remove(handle.as_str());
        }
        true
    }

    fn audit(&self, filter: &AuditFilter, page: AuditPage) -> Vec<AuditEntry> {
        self.trail
            .iter()
            .rev()
            .filter(|entry| page.before.is_none_or(|before| entry.revision < before))
            .filter(|entry| filter.matches(entry))
            .take(page.bounded_size())
            .cloned()
            .collect()
    }

    fn log(&mut self, key: KeyId, act: &Act) -> Revision {
        self.revision = self.revision.next();
        if self.trail.len() == TRAIL_LENGTH {
            self.trail.pop_front();
        }
        self.trail
            .push_back(AuditEntry::new(self.revision, key, act));
        if self.log.len() == LOG_LENGTH {
            self.log.pop_front();
        }
        self.log.push_back(Change {
            revision: self.revision,
            key,
        });
        self.revision
    }
}

fn conflict(message: &'static str) -> Error {
    Error::new(ErrorKind::Conflict, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn the_log_forgets_the_oldest_changes_and_says_so() {
        let mut state = State::default();
        let id = KeyId::generate(Timestamp::from_millis(0));
        let kept = u64::try_from(LOG_LENGTH).unwrap();
        for _ in 0..kept + 5 {
            state.log(id, &crate::testing::act());
        }
        assert_eq!(state.log.len(), LOG_LENGTH);

        let newest = Revision::new(kept + 5);
        let out_of_reach = ChangeLog::OutOfReach(newest);
        assert_eq!(state.changes_since(Revision::new(4), 1), out_of_reach);
        assert_eq!(state.changes_since(newest.next(), 1), out_of_reach);
        let first = Change {
            revision: Revision::new(6),
            key: id,
        };
        assert_eq!(
            state.changes_since(Revision::new(5), 1),
            ChangeLog::Changes(vec![first])
        );
    }

    #[tokio::test]
    async fn clones_share_their_keys_and_debug_output_shows_none() {
        let store = MemoryStore::new();
        let time = Timestamp::from_millis(0);
        let record = KeyRecord::new(KeyId::generate(time), "a name", time);
        store
            .clone()
            .insert(&record, &crate::testing::act())
            .await
            .unwrap();
        assert!(store.get(record.id).await.unwrap().is_some());
        assert!(!format!("{store:?}").contains("a name"));
    }
}
