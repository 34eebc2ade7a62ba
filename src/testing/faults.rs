//! A store that fails, hangs, panics or dawdles on command.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::audit::{Act, AuditEntry, AuditFilter};
use crate::error::{Error, ErrorKind};
use crate::key::{KeyId, KeyRecord, Revision, Subject, SubjectKind};
use crate::store::{
    AuditPage, ChangeBell, ChangeLog, Document, DocumentPage, KeyFilter, KeyStore, KeyUse, Page,
    PageRequest, QuotaAccount, QuotaLedger, Taken,
};

/// A [`KeyStore`] around another one that does what its [`Faults`] say, and counts its calls.
///
/// ```
/// use mcp_api_keys::store::{KeyStore, MemoryStore};
/// use mcp_api_keys::testing::{Call, Fault, FaultyStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let store = FaultyStore::new(MemoryStore::new());
/// let faults = store.faults();
///
/// faults.every(Fault::Fail);
/// assert!(store.find_by_handle("ATgKlpEa").await.is_err());
/// faults.clear();
/// assert!(store.find_by_handle("ATgKlpEa").await.is_ok());
///
/// assert_eq!(faults.calls_of(Call::FindByHandle), 2);
/// # }
/// ```
#[derive(Debug)]
pub struct FaultyStore<S> {
    inner: S,
    faults: Faults,
}

/// What can be made to happen to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It fails with [`ErrorKind::Unavailable`] and has no effect.
    Fail,
    /// It takes effect and fails nevertheless: the answer got lost.
    Lose,
    /// It does not begin until [`Faults::clear`] or [`Faults::release`].
    Hang,
    /// It takes effect, but its answer is held back until [`Faults::clear`] or
    /// [`Faults::release`]: what it read may be out of date by then.
    Withhold,
    /// It panics.
    Panic,
    /// It begins after so much time of tokio's clock.
    Delay(Duration),
}

/// The methods of a [`KeyStore`], which is a [`QuotaLedger`] too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Call {
    /// [`KeyStore::insert`]
    Insert,
    /// [`KeyStore::get`]
    Get,
    /// [`KeyStore::find_by_handle`]
    FindByHandle,
    /// [`KeyStore::replace`]
    Replace,
    /// [`KeyStore::amend`]
    Amend,
    /// [`KeyStore::delete`]
    Delete,
    /// [`KeyStore::list`]
    List,
    /// [`KeyStore::audit`]
    Audit,
    /// [`KeyStore::revision`]
    Revision,
    /// [`KeyStore::changes_since`]
    ChangesSince,
    /// [`KeyStore::document`]
    Document,
    /// [`KeyStore::put_document`]
    PutDocument,
    /// [`KeyStore::remove_document`]
    RemoveDocument,
    /// [`KeyStore::documents`]
    Documents,
    /// [`KeyStore::note_uses`]
    NoteUses,
    /// [`KeyStore::uses`]
    Uses,
    /// [`QuotaLedger::take`]
    Take,
    /// [`QuotaLedger::give_back`]
    GiveBack,
    /// [`QuotaLedger::taken`]
    Taken,
}

/// The controls of a [`FaultyStore`]. Clones control the same store.
#[derive(Clone)]
pub struct Faults {
    shared: Arc<Shared>,
}

struct Shared {
    plan: Mutex<Plan>,
    /// How often calls have been released.
    releases: watch::Sender<u64>,
    /// How many calls hang or hold their answer back.
    held: watch::Sender<usize>,
}

#[derive(Default)]
struct Plan {
    orders: Vec<Order>,
    calls: HashMap<Call, usize>,
}

struct Order {
    fault: Fault,
    /// For these calls only.
    call: Option<Call>,
    /// For the call that counts this down to zero only.
    countdown: Option<u64>,
}

impl<S: KeyStore> FaultyStore<S> {
    /// Wraps `inner`, without faults.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            faults: Faults::new(),
        }
    }

    /// The controls.
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }

    async fn run<T>(
        &self,
        call: Call,
        real: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let faults = &self.faults;
        // Read first: a release that comes in between then counts for this call.
        let releases = faults.shared.releases.subscribe();
        match faults.next(call) {
            None => real.await,
            Some(Fault::Fail) => Err(failure()),
            Some(Fault::Lose) => {
                real.await?;
                Err(failure())
            }
            Some(Fault::Hang) => {
                faults.hold(releases).await;
                real.await
            }
            Some(Fault::Withhold) => {
                let answer = real.await;
                faults.hold(releases).await;
                answer
            }
            Some(Fault::Panic) => panic!("the store panics in {call:?}, as told"),
            Some(Fault::Delay(duration)) => {
                sleep(duration).await;
                real.await
            }
        }
    }
}

fn failure() -> Error {
    Error::new(ErrorKind::Unavailable, "the store fails, as told")
}

impl Faults {
    fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                plan: Mutex::default(),
                releases: watch::Sender::new(0),
                held: watch::Sender::new(0),
            }),
        }
    }

    /// From now on `fault` happens to every call.
    pub fn every(&self, fault: Fault) {
        self.order(fault, None, None);
    }

    /// From now on `fault` happens to every call of one method.
    pub fn every_call_of(&self, call: Call, fault: Fault) {
        self.order(fault, Some(call), None);
    }

    /// `fault` happens once, to the `nth` call from now; the next call is the first.
    pub fn nth(&self, nth: u64, fault: Fault) {
        self.order(fault, None, Some(nth));
    }

    /// `fault` happens once, to the `nth` call of one method from now.
    pub fn nth_call_of(&self, call: Call, nth: u64, fault: Fault) {
        self.order(fault, Some(call), Some(nth));
    }

    /// Takes all faults away and lets the calls that are held go on.
    pub fn clear(&self) {
        self.plan().orders.clear();
        self.release();
    }

    /// Lets the calls that are held go on; the faults remain for later ones.
    pub fn release(&self) {
        self.shared.releases.send_modify(|count| *count += 1);
    }

    /// Waits until `count` calls or more are held.
    ///
    /// # Panics
    ///
    /// Never: the counter lives as long as these controls.
    pub async fn until_held(&self, count: usize) {
        let mut held = self.shared.held.subscribe();
        held.wait_for(|held| *held >= count)
            .await
            .expect("the sender is alive");
    }

    /// How many calls have begun, of all methods.
    pub fn calls(&self) -> usize {
        self.plan().calls.values().sum()
    }

    /// How many calls of one method have begun.
    pub fn calls_of(&self, call: Call) -> usize {
        self.plan().calls.get(&call).copied().unwrap_or(0)
    }

    /// How many lookups by handle have begun: what a request costs the store.
    pub fn lookups(&self) -> usize {
        self.calls_of(Call::FindByHandle)
    }

    fn order(&self, fault: Fault, call: Option<Call>, countdown: Option<u64>) {
        self.plan().orders.push(Order {
            fault,
            call,
            countdown,
        });
    }

    /// Counts a call and says what happens to it: the first order that is due.
    fn next(&self, call: Call) -> Option<Fault> {
        let mut plan = self.plan();
        *plan.calls.entry(call).or_default() += 1;
        let mut due = None;
        plan.orders.retain_mut(|order| {
            if order.call.is_some_and(|only| only != call) {
                return true;
            }
            if let Some(left) = &mut order.countdown {
                *left = left.saturating_sub(1);
                if *left > 0 {
                    return true;
                }
            }
            due = due.or(Some(order.fault));
            order.countdown.is_none()
        });
        due
    }

    async fn hold(&self, mut releases: watch::Receiver<u64>) {
        let _counted = Held::count(&self.shared.held);
        releases.changed().await.expect("the sender is alive");
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.shared
            .plan
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults")
            .field("calls", &self.calls())
            .finish_non_exhaustive()
    }
}

/// Counts a held call until it goes on or its caller gives up.
struct Held<'a>(&'a watch::Sender<usize>);

impl<'a> Held<'a> {
    fn count(held: &'a watch::Sender<usize>) -> Self {
        held.send_modify(|count| *count += 1);
        Self(held)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[async_trait]
impl<S: KeyStore> KeyStore for FaultyStore<S> {
    async fn insert(&self, record: &KeyRecord, act: &Act) -> Result<Revision, Error> {
        self.run(Call::Insert, self.inner.insert(record, act)).await
    }

    async fn get(&self, id: KeyId) -> Result<Option<KeyRecord>, Error> {
        self.run(Call::Get, self.inner.get(id)).await
    }

    async fn find_by_handle(&self, handle: &str) -> Result<Option<KeyRecord>, Error> {
        self.run(Call::FindByHandle, self.inner.find_by_handle(handle))
            .await
    }

    async fn amend(&self, record: &KeyRecord) -> Result<(), Error> {
        self.run(Call::Amend, self.inner.amend(record)).await
    }

    async fn replace(
        &self,
        record: &KeyRecord,
        expected: Revision,
        act: &Act,
    ) -> Result<Revision, Error> {
        self.run(Call::Replace, self.inner.replace(record, expected, act))
            .await
    }

    async fn delete(&self, id: KeyId, act: &Act) -> Result<bool, Error> {
        self.run(Call::Delete, self.inner.delete(id, act)).await
    }

    async fn list(&self, filter: &KeyFilter, page: PageRequest) -> Result<Page, Error> {
        self.run(Call::List, self.inner.list(filter, page)).await
    }

    async fn audit(&self, filter: &AuditFilter, page: AuditPage) -> Result<Vec<AuditEntry>, Error> {
        self.run(Call::Audit, self.inner.audit(filter, page)).await
    }

    async fn revision(&self) -> Result<Revision, Error> {
        self.run(Call::Revision, self.inner.revision()).await
    }

    async fn changes_since(&self, since: Revision, limit: usize) -> Result<ChangeLog, Error> {
        self.run(Call::ChangesSince, self.inner.changes_since(since, limit))
            .await
    }

    fn change_bell(&self) -> Option<Box<dyn ChangeBell>> {
        self.inner.change_bell()
    }

    async fn document(&self, subject: &Subject) -> Result<Option<Document>, Error> {
        self.run(Call::Document, self.inner.document(subject)).await
    }

    async fn put_document(&self, document: &Document, act: &Act) -> Result<Revision, Error> {
        self.run(Call::PutDocument, self.inner.put_document(document, act))
            .await
    }

    async fn remove_document(
        &self,
        subject: &Subject,
        expected: Revision,
        act: &Act,
    ) -> Result<Revision, Error> {
        let removing = self.inner.remove_document(subject, expected, act);
        self.run(Call::RemoveDocument, removing).await
    }

    async fn documents(
        &self,
        kind: SubjectKind,
        page: &DocumentPage,
    ) -> Result<Vec<Document>, Error> {
        self.run(Call::Documents, self.inner.documents(kind, page))
            .await
    }

    async fn note_uses(&self, uses: &[KeyUse]) -> Result<(), Error> {
        self.run(Call::NoteUses, self.inner.note_uses(uses)).await
    }

    async fn uses(&self, keys: &[KeyId]) -> Result<Vec<KeyUse>, Error> {
        self.run(Call::Uses, self.inner.uses(keys)).await
    }
}

#[async_trait]
impl<S: KeyStore> QuotaLedger for FaultyStore<S> {
    async fn take(&self, account: &QuotaAccount, wanted: u64, limit: u64) -> Result<u64, Error> {
        self.run(Call::Take, self.inner.take(account, wanted, limit))
            .await
    }

    async fn give_back(&self, account: &QuotaAccount, units: u64) -> Result<(), Error> {
        self.run(Call::GiveBack, self.inner.give_back(account, units))
            .await
    }

    async fn taken(&self, key: KeyId) -> Result<Vec<Taken>, Error> {
        self.run(Call::Taken, self.inner.taken(key)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::store::MemoryStore;

    fn store() -> (Arc<FaultyStore<MemoryStore>>, Faults) {
        let store = Arc::new(FaultyStore::new(MemoryStore::new()));
        let faults = store.faults();
        (store, faults)
    }

    fn record() -> KeyRecord {
        let time = Timestamp::from_millis(0);
        KeyRecord::new(KeyId::generate(time), "key", time)
    }

    #[tokio::test]
    async fn only_the_nth_call_of_the_method_fails() {
        let (store, faults) = store();
        faults.nth_call_of(Call::Revision, 2, Fault::Fail);
        for ok in [true, false, true] {
            assert!(store.find_by_handle("a").await.is_ok());
            assert_eq!(store.revision().await.is_ok(), ok);
        }
        assert_eq!((faults.calls(), faults.lookups()), (6, 3));
    }

    #[tokio::test]
    async fn a_lost_answer_had_its_effect_and_a_failed_call_had_none() {
        let (store, faults) = store();
        let record = record();
        faults.nth(1, Fault::Fail);
        faults.nth(2, Fault::Lose);
        assert!(store.insert(&record, &crate::testing::act()).await.is_err());
        assert!(store.insert(&record, &crate::testing::act()).await.is_err());
        assert_eq!(store.revision().await.unwrap(), Revision::new(1));
    }

    #[tokio::test]
    async fn a_hanging_call_reads_late_and_a_withheld_one_early() {
        let (store, faults) = store();
        faults.nth(1, Fault::Hang);
        faults.nth(2, Fault::Withhold);
        let read = |store: Arc<FaultyStore<_>>| tokio::spawn(async move { store.revision().await });
        let late = read(store.clone());
        faults.until_held(1).await;
        let early = read(store.clone());
        faults.until_held(2).await;

        store
            .insert(&record(), &crate::testing::act())
            .await
            .unwrap();
        faults.release();
        assert_eq!(late.await.unwrap().unwrap(), Revision::new(1));
        assert_eq!(early.await.unwrap().unwrap(), Revision::new(0));
    }

    #[tokio::test]
    async fn a_call_that_is_given_up_is_no_longer_held() {
        let (store, faults) = store();
        faults.every(Fault::Hang);
        let waited = tokio::time::timeout(Duration::from_millis(5), store.revision()).await;
        assert!(waited.is_err());
        assert_eq!(*faults.shared.held.borrow(), 0);
    }

    #[tokio::test]
    async fn a_panic_leaves_the_store_usable() {
        let (store, faults) = store();
        faults.nth(1, Fault::Panic);
        let call = store.clone();
        assert!(
            tokio::spawn(async move { call.revision().await })
                .await
                .is_err()
        );
        assert!(store.revision().await.is_ok());
    }
}
