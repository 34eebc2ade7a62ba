//! A store of one's own: all keys in one JSON file.
//!
//! ```text
//! cargo run --example custom_store --features testing
//! ```
//!
//! It passes the suite that every store must pass, and then serves keys.
//!
//! Each write is a whole new file, renamed over the old one: simple and safe, and good for some
//! hundreds of keys in one process. Several processes need a store that they can share.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "an example shows what it does"
)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use async_trait::async_trait;
use http::{Request, Response};
use mcp_api_keys::audit::{Act, AuditEntry, AuditFilter};
use mcp_api_keys::key::{CredentialId, KeyId, KeyRecord, Revision, Subject, SubjectKind};
use mcp_api_keys::store::{
    AuditPage, Change, ChangeBell, ChangeLog, Document, DocumentPage, KeyFilter, KeyStore, KeyUse,
    Page, PageRequest, QuotaAccount, QuotaLedger, Taken,
};
use mcp_api_keys::{ApiKeys, Error, ErrorKind, NewKey, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tower::{ServiceBuilder, ServiceExt};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Keys in a JSON file.
#[derive(Debug)]
struct JsonFile(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// What the file holds. Readers take it as it is; a writer swaps in another.
    state: RwLock<Arc<State>>,
    /// Held by the one writer.
    writing: Mutex<()>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    revision: Revision,
    keys: BTreeMap<KeyId, KeyRecord>,
    /// Owners and plans, by the text of their subjects.
    documents: BTreeMap<String, (Revision, Value)>,
    /// When each secret was last used.
    uses: BTreeMap<KeyId, BTreeMap<u32, Timestamp>>,
    /// What was taken of each quota, and in which period.
    taken: BTreeMap<KeyId, BTreeMap<String, (Timestamp, u64)>>,
    /// Who did what, oldest first.
    trail: Vec<AuditEntry>,
    /// The changes since the file was opened. Nobody can ask about earlier ones, because nobody
    /// but this process reads the file.
    #[serde(skip)]
    log: Vec<Change>,
}

impl JsonFile {
    /// Opens the file, or begins one.
    fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let state = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::default(),
            Err(error) => return Err(error),
        };
        Ok(Self(Arc::new(Inner {
            path,
            state: RwLock::new(Arc::new(state)),
            writing: Mutex::new(()),
        })))
    }

    fn read(&self) -> Arc<State> {
        self.0.state()
    }

    /// Makes a change, in the file first. Files block, so it runs on a thread of its own; a caller
    /// that leaves does not stop it halfway.
    async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut State) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let inner = Arc::clone(&self.0);
        let writing = tokio::task::spawn_blocking(move || inner.write(change));
        writing.await.map_err(unavailable)?
    }
}

impl Inner {
    fn state(&self) -> Arc<State> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&state)
    }

    fn write<T>(&self, change: impl FnOnce(&mut State) -> Result<T, Error>) -> Result<T, Error> {
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut after = State::clone(&self.state());
        let answer = change(&mut after)?;
        save(&self.path, &after).map_err(unavailable)?;
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(after);
        Ok(answer)
    }
}

/// Replaces the file as a whole: after a crash it holds the old state or the new one.
fn save(path: &Path, state: &State) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    // Readable by its owner only, like every file of tempfile.
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(&serde_json::to_vec(state)?)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(directory)?.sync_all()
}

fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Unavailable, "the file cannot be written").with_source(error)
}

impl State {
    fn last_used(&self, key: KeyId) -> Option<Timestamp> {
        self.uses.get(&key)?.values().max().copied()
    }

    fn document(&self, name: &str) -> Option<Document> {
        let (revision, body) = self.documents.get(name)?;
        Some(Document {
            subject: name.parse().ok()?,
            body: body.clone(),
            revision: *revision,
        })
    }

    /// The number of the write that `subject` is now part of.
    fn note(&mut self, subject: &Subject, act: &Act) -> Revision {
        self.revision = self.revision.next();
        self.log.push(Change {
            revision: self.revision,
            subject: subject.clone(),
            stamp: 0,
        });
        self.trail
            .push(AuditEntry::new(self.revision, subject.clone(), act));
        self.revision
    }

    /// The definition of `subject`, if it is of the revision `expected`, where zero stands for none.
    fn expect(&self, subject: &Subject, expected: Revision) -> Result<(), Error> {
        match self.documents.get(&subject.to_string()) {
            None if expected == Revision::default() => Ok(()),
            None => Err(not_found()),
            Some((revision, _)) if *revision == expected => Ok(()),
            Some(_) => Err(conflict("the definition has changed since it was read")),
        }
    }

    fn put(&mut self, mut record: KeyRecord, act: &Act) -> Result<Revision, Error> {
        let others = self.keys.values().filter(|other| other.id != record.id);
        let mut taken = others.flat_map(|other| &other.credentials);
        if taken.any(|theirs| {
            record
                .credentials
                .iter()
                .any(|ours| ours.handle == theirs.handle)
        }) {
            return Err(conflict("one of the handles belongs to another key"));
        }
        record.revision = self.note(&record.id.into(), act);
        self.keys.insert(record.id, record);
        Ok(self.revision)
    }
}

fn not_found() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such definition")
}

fn conflict(message: &'static str) -> Error {
    Error::new(ErrorKind::Conflict, message)
}

#[async_trait]
impl KeyStore for JsonFile {
    async fn insert(&self, record: &KeyRecord, act: &Act) -> Result<Revision, Error> {
        let (record, act) = (record.clone(), act.clone());
        self.write(move |state| match state.keys.get(&record.id) {
            Some(_) => Err(conflict("a key with this id exists already")),
            None => state.put(record, &act),
        })
        .await
    }

    async fn get(&self, id: KeyId) -> Result<Option<KeyRecord>, Error> {
        Ok(self.read().keys.get(&id).cloned())
    }

    async fn find_by_handle(&self, handle: &str) -> Result<Option<KeyRecord>, Error> {
        let state = self.read();
        let mut keys = state.keys.values();
        let found = keys.find(|key| key.credentials.iter().any(|c| c.handle.as_str() == handle));
        Ok(found.cloned())
    }

    async fn amend(&self, record: &KeyRecord) -> Result<(), Error> {
        let record = record.clone();
        self.write(move |state| match state.keys.get_mut(&record.id) {
            None => Err(Error::new(ErrorKind::NotFound, "there is no such key")),
            Some(stored) if stored.revision != record.revision => {
                Err(conflict("the key has changed since it was read"))
            }
            Some(stored) => {
                stored.credentials = record.credentials;
                Ok(())
            }
        })
        .await
    }

    async fn replace(
        &self,
        record: &KeyRecord,
        expected: Revision,
        act: &Act,
    ) -> Result<Revision, Error> {
        let (record, act) = (record.clone(), act.clone());
        self.write(move |state| match state.keys.get(&record.id) {
            None => Err(Error::new(ErrorKind::NotFound, "there is no such key")),
            Some(stored) if stored.revision != expected => {
                Err(conflict("the key has changed since it was read"))
            }
            Some(_) => state.put(record, &act),
        })
        .await
    }

    async fn delete(&self, id: KeyId, act: &Act) -> Result<bool, Error> {
        let act = act.clone();
        self.write(move |state| {
            let existed = state.keys.remove(&id).is_some();
            if existed {
                state.note(&id.into(), &act);
                state.uses.remove(&id);
                state.taken.remove(&id);
            }
            Ok(existed)
        })
        .await
    }

    async fn list(&self, filter: &KeyFilter, page: PageRequest) -> Result<Page, Error> {
        let state = self.read();
        let after = |key: &&KeyRecord| page.after.is_none_or(|last| key.id > last);
        let mut matching = state
            .keys
            .values()
            .filter(after)
            .filter(|key| filter.matches(key, state.last_used(key.id)));
        let size = page.bounded_size();
        let records: Vec<_> = matching.by_ref().take(size).cloned().collect();
        let last = records.last().map(|record| record.id);
        let next = matching.next().and(last);
        Ok(Page { records, next })
    }

    async fn audit(&self, filter: &AuditFilter, page: AuditPage) -> Result<Vec<AuditEntry>, Error> {
        let state = self.read();
        let older = |entry: &&AuditEntry| page.before.is_none_or(|at| entry.revision < at);
        let newest_first = state.trail.iter().rev().filter(older);
        let matching = newest_first.filter(|entry| filter.matches(entry));
        Ok(matching.take(page.bounded_size()).cloned().collect())
    }

    async fn revision(&self) -> Result<Revision, Error> {
        Ok(self.read().revision)
    }

    async fn changes_since(&self, since: Revision, limit: usize) -> Result<ChangeLog, Error> {
        let state = self.read();
        let opened_at = state.revision.as_u64() - state.log.len() as u64;
        if since > state.revision || since.as_u64() < opened_at {
            return Ok(ChangeLog::OutOfReach(state.revision));
        }
        let changes = state.log.iter().filter(|change| change.revision > since);
        Ok(ChangeLog::Changes(changes.take(limit).cloned().collect()))
    }

    fn change_bell(&self) -> Option<Box<dyn ChangeBell>> {
        None
    }

    async fn document(&self, subject: &Subject) -> Result<Option<Document>, Error> {
        Ok(self.read().document(&subject.to_string()))
    }

    async fn put_document(&self, document: &Document, act: &Act) -> Result<Revision, Error> {
        let (document, act) = (document.clone(), act.clone());
        self.write(move |state| {
            state.expect(&document.subject, document.revision)?;
            let revision = state.note(&document.subject, &act);
            let name = document.subject.to_string();
            state.documents.insert(name, (revision, document.body));
            Ok(revision)
        })
        .await
    }

    async fn remove_document(
        &self,
        subject: &Subject,
        expected: Revision,
        act: &Act,
    ) -> Result<Revision, Error> {
        let (subject, act) = (subject.clone(), act.clone());
        self.write(move |state| {
            let name = subject.to_string();
            if !state.documents.contains_key(&name) {
                return Err(not_found());
            }
            state.expect(&subject, expected)?;
            let names_it = |key: &KeyRecord| match &subject {
                Subject::Owner(id) => key.owner.as_ref() == Some(id),
                Subject::Plan(name) => key.plan.as_ref() == Some(name),
                _ => false,
            };
            let mut in_force = state
                .keys
                .values()
                .filter(|key| key.status.as_str() != "revoked");
            if in_force.any(names_it) {
                return Err(conflict("a key names it"));
            }
            state.documents.remove(&name);
            Ok(state.note(&subject, &act))
        })
        .await
    }

    async fn documents(
        &self,
        kind: SubjectKind,
        page: &DocumentPage,
    ) -> Result<Vec<Document>, Error> {
        let state = self.read();
        let after = page
            .after
            .as_ref()
            .map(|name| format!("{}{name}", kind.prefix()));
        let documents = state
            .documents
            .keys()
            .filter(|name| after.as_ref().is_none_or(|last| *name > last));
        let documents = documents.filter_map(|name| state.document(name));
        let of_kind = documents.filter(|document| document.subject.kind() == kind);
        Ok(of_kind.take(page.bounded_size()).collect())
    }

    async fn note_uses(&self, uses: &[KeyUse]) -> Result<(), Error> {
        let uses = uses.to_vec();
        self.write(move |state| {
            for one in uses {
                if state.keys.contains_key(&one.key) {
                    let of_key = state.uses.entry(one.key).or_default();
                    let at = of_key.entry(one.credential.as_u32()).or_insert(one.at);
                    *at = one.at.max(*at);
                }
            }
            Ok(())
        })
        .await
    }

    async fn uses(&self, keys: &[KeyId]) -> Result<Vec<KeyUse>, Error> {
        let state = self.read();
        let of_keys = keys
            .iter()
            .filter_map(|key| state.uses.get(key).map(|uses| (*key, uses)));
        let uses = of_keys.flat_map(|(key, uses)| {
            uses.iter().map(move |(number, at)| KeyUse {
                key,
                credential: CredentialId::from_u32(*number),
                at: *at,
            })
        });
        Ok(uses.collect())
    }
}

#[async_trait]
impl QuotaLedger for JsonFile {
    async fn take(&self, account: &QuotaAccount, wanted: u64, limit: u64) -> Result<u64, Error> {
        let account = account.clone();
        self.write(move |state| {
            if !state.keys.contains_key(&account.key) {
                return Ok(0);
            }
            let of_key = state.taken.entry(account.key).or_default();
            let (period, taken) = of_key.entry(account.quota).or_insert((account.period, 0));
            if *period < account.period {
                (*period, *taken) = (account.period, 0);
            }
            let granted = wanted.min(limit.saturating_sub(*taken));
            *taken += granted;
            Ok(granted)
        })
        .await
    }

    async fn give_back(&self, account: &QuotaAccount, units: u64) -> Result<(), Error> {
        let account = account.clone();
        self.write(move |state| {
            let of_key = state.taken.get_mut(&account.key);
            if let Some((period, taken)) = of_key.and_then(|of_key| of_key.get_mut(&account.quota))
                && *period == account.period
            {
                *taken = taken.saturating_sub(units);
            }
            Ok(())
        })
        .await
    }

    async fn taken(&self, key: KeyId) -> Result<Vec<Taken>, Error> {
        let state = self.read();
        let of_key = state.taken.get(&key).into_iter().flatten();
        let taken = of_key.map(|(quota, &(period, units))| Taken {
            account: QuotaAccount {
                key,
                quota: quota.clone(),
                period,
            },
            units,
        });
        Ok(taken.collect())
    }
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let directory = tempfile::tempdir()?;

    // The suite wants an empty store for each of its promises.
    let mut stores = 0;
    mcp_api_keys::testing::store::run_all(|| {
        stores += 1;
        let store = JsonFile::open(directory.path().join(format!("suite-{stores}.json")));
        async { store.expect("a new file can be begun") }
    })
    .await;
    println!("the suite passes, on {stores} stores");

    let path = directory.path().join("keys.json");
    let keys = ApiKeys::builder(JsonFile::open(&path)?).build().await?;
    let new = NewKey::named("ci-bot").all_servers();
    let issued = keys.manager().issue(new).await?;
    let key = issued.key().expose_secret();
    println!("new key: {}", status(&keys, key).await?);
    drop(keys);

    let keys = ApiKeys::builder(JsonFile::open(&path)?).build().await?;
    println!("after a restart: {}", status(&keys, key).await?);
    let reason = Some("left the team");
    keys.manager().revoke(issued.info().id, reason).await?;
    println!("revoked: {}", status(&keys, key).await?);
    drop(keys);

    let keys = ApiKeys::builder(JsonFile::open(&path)?).build().await?;
    println!("after another restart: {}", status(&keys, key).await?);
    Ok(())
}

/// What a request with `key` is answered.
async fn status(keys: &ApiKeys, key: &str) -> Result<http::StatusCode, AnyError> {
    let service = ServiceBuilder::new()
        .layer(keys.layer())
        .service_fn(async |_| Ok::<_, AnyError>(Response::new(String::new())));
    let request = Request::get("/")
        .header("authorization", format!("Bearer {key}"))
        .body(String::new())?;
    Ok(service.oneshot(request).await?.status())
}
