//! What a [`MemoryStore`](super::MemoryStore) holds.
//!
//! Every write checks first and changes afterwards.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;

use crate::audit::{Act, AuditEntry, AuditFilter};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind};
use crate::key::{CredentialId, KeyId, KeyRecord, Revision, StatusKind, Subject, SubjectKind};
use crate::store::{
    AuditPage, Change, ChangeLog, Document, DocumentPage, KeyFilter, KeyUse, Page, PageRequest,
    QuotaAccount, conflict, document_changed, handles, in_use, no_document,
};

/// How many changes are remembered. A reader that missed more must read everything again.
const LOG_LENGTH: usize = 100_000;

/// How many acts are remembered. They live in memory only, and hold what could be shown of a key.
const TRAIL_LENGTH: usize = 10_000;

#[derive(Default)]
pub(super) struct State {
    pub(super) records: BTreeMap<KeyId, KeyRecord>,
    pub(super) handles: HashMap<String, KeyId>,
    pub(super) revision: Revision,
    /// The newest changes, without gaps, the last one at `revision`.
    log: VecDeque<Change>,
    /// The newest acts, in the order of their revisions.
    trail: VecDeque<AuditEntry>,
    /// By the text of their subjects.
    pub(super) documents: BTreeMap<String, Document>,
    uses: BTreeMap<(KeyId, CredentialId), Timestamp>,
    pub(super) usage: super::usage::Usage,
    pub(super) alerts: super::alerts::Alerts,
    pub(super) letters: super::letters::Letters,
    /// Of each quota of each key: the period, and the units taken in it.
    pub(super) taken: BTreeMap<(KeyId, String), (Timestamp, u64)>,
}

impl State {
    pub(super) fn insert(&mut self, record: &KeyRecord, act: &Act) -> Result<Revision, Error> {
        if self.records.contains_key(&record.id) {
            return Err(conflict("a key with this id exists already"));
        }
        self.check_handles(record)?;
        Ok(self.put(record, act))
    }

    pub(super) fn replace(
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

    pub(super) fn amend(&mut self, record: &KeyRecord) -> Result<(), Error> {
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

    pub(super) fn delete(&mut self, id: KeyId, act: &Act) -> bool {
        let found = self.remove(id);
        if found {
            self.uses.retain(|(key, _), _| *key != id);
            self.taken.retain(|(key, _), _| *key != id);
            self.usage.forget(id);
            self.alerts.forget(id);
            self.log(id.into(), act);
        }
        found
    }

    pub(super) fn put_document(
        &mut self,
        document: &Document,
        act: &Act,
    ) -> Result<Revision, Error> {
        let name = document.subject.to_string();
        self.expect_document(&name, document.revision)?;
        let mut document = document.clone();
        document.revision = self.log(document.subject.clone(), act);
        let revision = document.revision;
        self.documents.insert(name, document);
        Ok(revision)
    }

    pub(super) fn remove_document(
        &mut self,
        subject: &Subject,
        expected: Revision,
        act: &Act,
    ) -> Result<Revision, Error> {
        let name = subject.to_string();
        if !self.documents.contains_key(&name) {
            return Err(no_document());
        }
        self.expect_document(&name, expected)?;
        let is_named = |record: &KeyRecord| {
            record.status.kind() != StatusKind::Revoked
                && match subject {
                    Subject::Owner(id) => record.owner.as_ref() == Some(id),
                    Subject::Plan(name) => record.plan.as_ref() == Some(name),
                    _ => false,
                }
        };
        if self.records.values().any(is_named) {
            return Err(in_use());
        }
        self.documents.remove(&name);
        Ok(self.log(subject.clone(), act))
    }

    fn expect_document(&self, name: &str, expected: Revision) -> Result<(), Error> {
        match self.documents.get(name) {
            None if expected == Revision::default() => Ok(()),
            None => Err(no_document()),
            Some(stored) if stored.revision == expected => Ok(()),
            Some(_) => Err(document_changed()),
        }
    }

    pub(super) fn documents(&self, kind: SubjectKind, page: &DocumentPage) -> Vec<Document> {
        let after = page.after.as_deref().unwrap_or_default();
        let start = Bound::Excluded(format!("{}{after}", kind.prefix()));
        self.documents
            .range((start, Bound::Unbounded))
            .map(|(_, document)| document)
            .take_while(|document| document.subject.kind() == kind)
            .take(page.bounded_size())
            .cloned()
            .collect()
    }

    pub(super) fn note_use(&mut self, one: &KeyUse) {
        if self.records.contains_key(&one.key) {
            let at = self.uses.entry((one.key, one.credential)).or_insert(one.at);
            *at = one.at.max(*at);
        }
    }

    pub(super) fn uses_of(&self, key: KeyId) -> impl Iterator<Item = KeyUse> {
        let of_key = self.uses.range((key, CredentialId::FIRST)..);
        of_key
            .take_while(move |((of, _), _)| *of == key)
            .map(|(&(key, credential), &at)| KeyUse {
                key,
                credential,
                at,
            })
    }

    fn last_used(&self, key: KeyId) -> Option<Timestamp> {
        self.uses_of(key).map(|one| one.at).max()
    }

    pub(super) fn take(&mut self, account: &QuotaAccount, wanted: u64, limit: u64) -> u64 {
        if !self.records.contains_key(&account.key) {
            return 0;
        }
        let name = (account.key, account.quota.clone());
        let (period, taken) = self.taken.entry(name).or_insert((account.period, 0));
        if *period < account.period {
            (*period, *taken) = (account.period, 0);
        }
        let granted = wanted.min(limit.saturating_sub(*taken));
        *taken = taken.saturating_add(granted);
        granted
    }

    pub(super) fn list(&self, filter: &KeyFilter, page: PageRequest) -> Page {
        let size = page.bounded_size();
        let start = page.after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut matching = self
            .records
            .range((start, Bound::Unbounded))
            .map(|(_, record)| record)
            .filter(|record| filter.matches(record, self.last_used(record.id)));

        let records: Vec<_> = matching.by_ref().take(size).cloned().collect();
        let next = matching
            .next()
            .and_then(|_| records.last().map(|last| last.id));
        Page { records, next }
    }

    pub(super) fn changes_since(&self, since: Revision, limit: usize) -> ChangeLog {
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
                ChangeLog::Changes(self.log.iter().skip(skip).take(limit).cloned().collect())
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
        let revision = self.log(record.id.into(), act);
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

    pub(super) fn audit(&self, filter: &AuditFilter, page: AuditPage) -> Vec<AuditEntry> {
        self.trail
            .iter()
            .rev()
            .filter(|entry| page.before.is_none_or(|before| entry.revision < before))
            .filter(|entry| filter.matches(entry))
            .take(page.bounded_size())
            .cloned()
            .collect()
    }

    fn log(&mut self, subject: Subject, act: &Act) -> Revision {
        self.revision = self.revision.next();
        if self.trail.len() == TRAIL_LENGTH {
            self.trail.pop_front();
        }
        self.trail
            .push_back(AuditEntry::new(self.revision, subject.clone(), act));
        if self.log.len() == LOG_LENGTH {
            self.log.pop_front();
        }
        self.log.push_back(Change {
            revision: self.revision,
            subject,
            stamp: 0,
        });
        self.revision
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_forgets_the_oldest_changes_and_says_so() {
        let mut state = State::default();
        let id = KeyId::generate(Timestamp::from_millis(0));
        let kept = u64::try_from(LOG_LENGTH).unwrap();
        for _ in 0..kept + 5 {
            state.log(id.into(), &crate::testing::act());
        }
        assert_eq!(state.log.len(), LOG_LENGTH);

        let newest = Revision::new(kept + 5);
        let out_of_reach = ChangeLog::OutOfReach(newest);
        assert_eq!(state.changes_since(Revision::new(4), 1), out_of_reach);
        assert_eq!(state.changes_since(newest.next(), 1), out_of_reach);
        let first = Change {
            revision: Revision::new(6),
            subject: id.into(),
            stamp: 0,
        };
        assert_eq!(
            state.changes_since(Revision::new(5), 1),
            ChangeLog::Changes(vec![first])
        );
    }
}
