//! Keys in memory: for tests, for trying things out, and for keys that live as long as the process.
//!
//! It keeps the whole [`KeyStore`] contract but one promise: nothing survives the process.

mod alerts;
mod letters;
mod state;
mod usage;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use self::state::State;
use super::{
    AuditPage, ChangeBell, ChangeLog, Document, DocumentPage, KeyFilter, KeyStore, KeyUse, Page,
    PageRequest, QuotaAccount, QuotaLedger, Taken,
};
use crate::audit::{Act, AuditEntry, AuditFilter};
use crate::error::Error;
use crate::key::{KeyId, KeyRecord, Revision, Subject, SubjectKind};

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

    fn change_bell(&self) -> Option<Box<dyn ChangeBell>> {
        None
    }

    async fn document(&self, subject: &Subject) -> Result<Option<Document>, Error> {
        Ok(self.state().documents.get(&subject.to_string()).cloned())
    }

    async fn put_document(&self, document: &Document, act: &Act) -> Result<Revision, Error> {
        self.state().put_document(document, act)
    }

    async fn remove_document(
        &self,
        subject: &Subject,
        expected: Revision,
        act: &Act,
    ) -> Result<Revision, Error> {
        self.state().remove_document(subject, expected, act)
    }

    async fn documents(
        &self,
        kind: SubjectKind,
        page: &DocumentPage,
    ) -> Result<Vec<Document>, Error> {
        Ok(self.state().documents(kind, page))
    }

    async fn note_uses(&self, uses: &[KeyUse]) -> Result<(), Error> {
        let mut state = self.state();
        uses.iter().for_each(|one| state.note_use(one));
        Ok(())
    }

    async fn uses(&self, keys: &[KeyId]) -> Result<Vec<KeyUse>, Error> {
        let state = self.state();
        Ok(keys.iter().flat_map(|key| state.uses_of(*key)).collect())
    }
}

#[async_trait]
impl QuotaLedger for MemoryStore {
    async fn take(&self, account: &QuotaAccount, wanted: u64, limit: u64) -> Result<u64, Error> {
        Ok(self.state().take(account, wanted, limit))
    }

    async fn give_back(&self, account: &QuotaAccount, units: u64) -> Result<(), Error> {
        let mut state = self.state();
        if let Some((period, taken)) = state.taken.get_mut(&(account.key, account.quota.clone()))
            && *period == account.period
        {
            *taken = taken.saturating_sub(units);
        }
        Ok(())
    }

    async fn taken(&self, key: KeyId) -> Result<Vec<Taken>, Error> {
        let state = self.state();
        let of_key = state.taken.range((key, String::new())..);
        Ok(of_key
            .take_while(|((of, _), _)| *of == key)
            .map(|((_, quota), &(period, units))| Taken {
                account: QuotaAccount {
                    key,
                    quota: quota.clone(),
                    period,
                },
                units,
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

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
