//! A store whose writes are announced over Redis.

use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::Redis;
use super::channel::ChangeChannel;
use crate::audit::{Act, AuditEntry, AuditFilter};
use crate::error::{Error, ErrorKind};
use crate::key::{KeyId, KeyRecord, Revision, Subject, SubjectKind};
use crate::store::{
    AuditPage, ChangeBell, ChangeLog, Document, DocumentPage, KeyFilter, KeyStore, KeyUse, Page,
    PageRequest, QuotaAccount, QuotaLedger, Taken,
};

/// A store whose writes are announced over Redis, and that hears of those that others announce:
/// [`Redis::announcing`] makes one.
///
/// For stores without word of their own, as SQLite files are that several processes of a machine use, and
/// for PostgreSQL behind a pooler that lets its notifications not through. Every process that writes or
/// hears has to have its store in such a one, over the same Redis and with the same
/// [prefix](Redis::prefix).
///
/// 1. A write of a key, an owner or a plan is announced after it was committed; use is not. A word holds
///    nothing but that something has changed.
/// 2. The write succeeds or fails as the store says, whatever becomes of the word. It is held up by one
///    call of Redis, 50 ms at most ([`patience`](Redis::patience)), and not at all while Redis is known not
///    to answer.
/// 3. A write that may have been carried out (it was given up halfway, or failed with
///    [`Unavailable`](ErrorKind::Unavailable)) is announced too.
/// 4. A word that is lost, late or doubled changes nothing but how soon others read the change log: at
///    their next poll if nothing else. One line in the log says that words cannot be sent, and one that
///    they can again.
///
/// ```no_run
/// use mcp_api_keys::ApiKeys;
/// use mcp_api_keys::redis::Redis;
/// # #[cfg(feature = "sqlite")]
/// use mcp_api_keys::store::SqliteStore;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let redis = Redis::connect("redis://127.0.0.1/").await?;
/// # #[cfg(feature = "sqlite")]
/// let store = SqliteStore::connect("sqlite:///var/lib/mcp/keys.db").await?;
/// # #[cfg(not(feature = "sqlite"))]
/// # let store = mcp_api_keys::store::MemoryStore::new();
/// let keys = ApiKeys::builder(redis.announcing(store)).build().await?;
/// # let _ = keys;
/// # Ok(())
/// # }
/// ```
pub struct Announced<S> {
    store: S,
    announcer: Arc<Announcer>,
}

struct Announcer {
    redis: Redis,
    failing: AtomicBool,
}

impl<S> Announced<S> {
    pub(super) fn over(redis: Redis, store: S) -> Self {
        let announcer = Announcer {
            redis,
            failing: AtomicBool::new(false),
        };
        Self {
            store,
            announcer: Arc::new(announcer),
        }
    }

    /// The store itself.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Carries out a write and announces it, if it may have changed something.
    async fn announce<T>(
        &self,
        write: impl Future<Output = Result<T, Error>>,
        changes: impl FnOnce(&T) -> bool,
    ) -> Result<T, Error> {
        let mut word = Word(Some(Arc::clone(&self.announcer)));
        let outcome = write.await;
        let has_changed = match &outcome {
            Ok(done) => changes(done),
            Err(error) => error.kind() == ErrorKind::Unavailable,
        };
        if !has_changed {
            word.0 = None;
        } else if let Some(sending) = word.send() {
            drop(sending.await);
        }
        outcome
    }
}

impl Announcer {
    async fn send(&self) {
        let sent = self.redis.publish().await;
        let fails = sent.is_err();
        if self.failing.swap(fails, Ordering::Relaxed) == fails {
            return;
        }
        match sent {
            Ok(()) => tracing::info!("changes are announced over Redis again"),
            Err(error) => tracing::warn!(
                %error,
                "changes cannot be announced over Redis; others find them at their next poll"
            ),
        }
    }
}

/// A word that is sent when it is dropped: whoever gives a write up may have made it.
struct Word(Option<Arc<Announcer>>);

impl Word {
    /// Sends it, in a task of its own: whoever gives up waiting for it does not take it back.
    fn send(&mut self) -> Option<JoinHandle<()>> {
        let announcer = self.0.take()?;
        let runtime = Handle::try_current().ok()?;
        Some(runtime.spawn(async move { announcer.send().await }))
    }
}

impl Drop for Word {
    fn drop(&mut self) {
        drop(self.send());
    }
}

/// The bell of the store, and that of the channel.
#[derive(Debug)]
struct Both {
    own: Box<dyn ChangeBell>,
    channel: ChangeChannel,
}

#[async_trait]
impl ChangeBell for Both {
    async fn rung(&mut self) {
        let (mut own, mut channel) = (self.own.rung(), self.channel.rung());
        poll_fn(|context| {
            if own.as_mut().poll(context).is_ready() || channel.as_mut().poll(context).is_ready() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

#[async_trait]
impl<S: KeyStore> KeyStore for Announced<S> {
    async fn insert(&self, record: &KeyRecord, act: &Act) -> Result<Revision, Error> {
        self.announce(self.store.insert(record, act), |_| true)
            .await
    }

    async fn get(&self, id: KeyId) -> Result<Option<KeyRecord>, Error> {
        self.store.get(id).await
    }

    async fn find_by_handle(&self, handle: &str) -> Result<Option<KeyRecord>, Error> {
        self.store.find_by_handle(handle).await
    }

    async fn replace(
        &self,
        record: &KeyRecord,
        expected: Revision,
        act: &Act,
    ) -> Result<Revision, Error> {
        self.announce(self.store.replace(record, expected, act), |_| true)
            .await
    }

    async fn amend(&self, record: &KeyRecord) -> Result<(), Error> {
        self.store.amend(record).await
    }

    async fn delete(&self, id: KeyId, act: &Act) -> Result<bool, Error> {
        self.announce(self.store.delete(id, act), |was_there| *was_there)
            .await
    }

    async fn list(&self, filter: &KeyFilter, page: PageRequest) -> Result<Page, Error> {
        self.store.list(filter, page).await
    }

    async fn revision(&self) -> Result<Revision, Error> {
        self.store.revision().await
    }

    async fn audit(&self, filter: &AuditFilter, page: AuditPage) -> Result<Vec<AuditEntry>, Error> {
        self.store.audit(filter, page).await
    }

    async fn changes_since(&self, since: Revision, limit: usize) -> Result<ChangeLog, Error> {
        self.store.changes_since(since, limit).await
    }

    fn change_bell(&self) -> Option<Box<dyn ChangeBell>> {
        let channel = self.announcer.redis.change_channel();
        Some(match self.store.change_bell() {
            Some(own) => Box::new(Both { own, channel }),
            None => Box::new(channel),
        })
    }

    async fn document(&self, subject: &Subject) -> Result<Option<Document>, Error> {
        self.store.document(subject).await
    }

    async fn put_document(&self, document: &Document, act: &Act) -> Result<Revision, Error> {
        self.announce(self.store.put_document(document, act), |_| true)
            .await
    }

    async fn remove_document(
        &self,
        subject: &Subject,
        expected: Revision,
        act: &Act,
    ) -> Result<Revision, Error> {
        let removing = self.store.remove_document(subject, expected, act);
        self.announce(removing, |_| true).await
    }

    async fn documents(
        &self,
        kind: SubjectKind,
        page: &DocumentPage,
    ) -> Result<Vec<Document>, Error> {
        self.store.documents(kind, page).await
    }

    async fn note_uses(&self, uses: &[KeyUse]) -> Result<(), Error> {
        self.store.note_uses(uses).await
    }

    async fn uses(&self, keys: &[KeyId]) -> Result<Vec<KeyUse>, Error> {
        self.store.uses(keys).await
    }
}

#[async_trait]
impl<S: KeyStore> QuotaLedger for Announced<S> {
    async fn take(&self, account: &QuotaAccount, wanted: u64, limit: u64) -> Result<u64, Error> {
        self.store.take(account, wanted, limit).await
    }

    async fn give_back(&self, account: &QuotaAccount, units: u64) -> Result<(), Error> {
        self.store.give_back(account, units).await
    }

    async fn taken(&self, key: KeyId) -> Result<Vec<Taken>, Error> {
        self.store.taken(key).await
    }
}

impl<S: fmt::Debug> fmt::Debug for Announced<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Announced")
            .field("store", &self.store)
            .field("redis", &self.announcer.redis)
            .finish_non_exhaustive()
    }
}
