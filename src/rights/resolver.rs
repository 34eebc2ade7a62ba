//! Finds out about the owner and the plan of a key.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::OwnerDirectory;
use super::effective::{add_plan, under_plan, within_owner, within_role};
use crate::error::{Error, ErrorKind};
use crate::key::{
    KeyInfo, KeyRecord, KeyStatus, Owner, OwnerId, Plan, PlanName, Quota, RateLimit, Subject,
};
use crate::store::{Document, KeyStore};

/// How many definitions are remembered. Beyond it all are forgotten, and read again as needed.
const REMEMBERED: usize = 10_000;

/// How long to wait for an owner directory.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a key may do at present.
#[derive(Clone, Debug)]
pub(crate) struct Rights {
    /// The key as its owner and plan leave it.
    pub(crate) info: Arc<KeyInfo>,
    /// Whether the owner lets it work at all.
    pub(crate) owner_permits: bool,
    /// How long this may be relied upon; nothing for as long as no change is announced.
    pub(crate) good_for: Option<Duration>,
}

/// Knows owners and plans, and remembers those that the store holds.
#[derive(Debug)]
pub(crate) struct Resolver {
    store: Arc<dyn KeyStore>,
    directory: Option<Arc<dyn OwnerDirectory>>,
    /// Whether keys of owners that the store does not know are refused.
    refuses_unknown: bool,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    /// How often something was forgotten: what was read before the last time is not remembered.
    chapter: u64,
    documents: HashMap<Subject, Option<Arc<Document>>>,
}

impl Resolver {
    pub(crate) fn new(
        store: Arc<dyn KeyStore>,
        directory: Option<Arc<dyn OwnerDirectory>>,
        refuses_unknown: bool,
    ) -> Self {
        Self {
            store,
            directory,
            refuses_unknown,
            memory: Mutex::default(),
        }
    }

    /// Whether the record alone says what its key may do.
    pub(crate) fn is_plain(record: &KeyRecord) -> bool {
        record.owner.is_none() && record.plan.is_none() && record.connection.is_none()
    }

    /// Whether owners are known from a directory of the integrator's, and not from the store.
    pub(crate) fn has_directory(&self) -> bool {
        self.directory.is_some()
    }

    /// Whether owners have to be known for their keys to work.
    pub(crate) fn wants_known_owners(&self) -> bool {
        self.refuses_unknown || self.directory.is_some()
    }

    /// What the key of `record` may do at present.
    pub(crate) async fn resolve(&self, record: &KeyRecord) -> Result<Rights, Error> {
        let info = KeyInfo::of(record)
            .ok_or_else(|| Error::new(ErrorKind::Corrupt, "the stored key holds no secret"))?;
        if matches!(record.status, KeyStatus::Revoked { .. }) {
            // It may do nothing at all, and its plan may be gone by now.
            return Ok(Rights {
                info: Arc::new(info),
                owner_permits: true,
                good_for: None,
            });
        }
        self.narrow(info).await
    }

    /// What a key of which this is known may do at present.
    pub(crate) async fn narrow(&self, mut info: KeyInfo) -> Result<Rights, Error> {
        let mut owner_permits = true;
        let mut good_for = None;
        if let Some(id) = &info.owner {
            let owner = self.owner(id).await?;
            owner_permits = owner
                .as_ref()
                .map_or(!self.wants_known_owners(), |owner| owner.active);
            if let Some(owner) = &owner {
                within_owner(&mut info, owner);
            }
            within_role(&mut info, owner.as_ref());
            good_for = self.directory.as_ref().and_then(|known| known.good_for());
        } else {
            within_role(&mut info, None);
        }
        if let Some(name) = &info.plan {
            let plan = self.plan(name).await?.ok_or_else(|| no_plan(name))?;
            under_plan(&mut info, &plan);
        }
        Ok(Rights {
            info: Arc::new(info),
            owner_permits,
            good_for,
        })
    }

    /// The limits and quotas that a record has with those of its plan.
    pub(crate) async fn terms(&self, record: &KeyRecord) -> Result<Terms, Error> {
        let mut terms = (record.limits.clone(), record.quotas.clone());
        if let Some(name) = &record.plan {
            let plan = self.plan(name).await?.ok_or_else(|| no_plan(name))?;
            add_plan((&mut terms.0, &mut terms.1), &plan);
        }
        Ok(terms)
    }

    /// What the owner may do; nothing if they are not known.
    pub(crate) async fn owner(&self, id: &OwnerId) -> Result<Option<Owner>, Error> {
        match &self.directory {
            Some(directory) => tokio::time::timeout(PATIENCE, directory.owner(id))
                .await
                .map_err(|late| {
                    Error::new(ErrorKind::Unavailable, "the owner directory did not answer")
                        .with_source(late)
                })?,
            None => {
                let document = self.document(&Subject::Owner(id.clone())).await?;
                document.map(|document| read_owner(&document)).transpose()
            }
        }
    }

    /// The plan: the stored one, else the one that is built in.
    pub(crate) async fn plan(&self, name: &PlanName) -> Result<Option<Plan>, Error> {
        match self.document(&Subject::Plan(name.clone())).await? {
            Some(document) => read_plan(&document).map(Some),
            None => Ok(Plan::built_in().find(|plan| plan.name == *name)),
        }
    }

    /// Forgets what the store held of `subjects`: it has changed, or may have.
    pub(crate) fn forget(&self, subjects: &HashSet<Subject>) {
        let mut memory = self.memory();
        memory.chapter = memory.chapter.wrapping_add(1);
        for subject in subjects {
            memory.documents.remove(subject);
        }
    }

    /// Forgets all that the store held.
    pub(crate) fn forget_everything(&self) {
        let mut memory = self.memory();
        memory.chapter = memory.chapter.wrapping_add(1);
        memory.documents.clear();
    }

    async fn document(&self, subject: &Subject) -> Result<Option<Arc<Document>>, Error> {
        let chapter = {
            let memory = self.memory();
            if let Some(known) = memory.documents.get(subject) {
                return Ok(known.clone());
            }
            memory.chapter
        };
        let found = self.store.document(subject).await?.map(Arc::new);
        let mut memory = self.memory();
        if memory.chapter == chapter {
            if memory.documents.len() >= REMEMBERED {
                memory.documents.clear();
            }
            memory.documents.insert(subject.clone(), found.clone());
        }
        Ok(found)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rate limits and quotas.
pub(crate) type Terms = (Vec<RateLimit>, Vec<Quota>);

fn no_plan(name: &PlanName) -> Error {
    Error::new(ErrorKind::Corrupt, format!("there is no plan {name}"))
}

/// The owner that a document defines.
pub(crate) fn read_owner(document: &Document) -> Result<Owner, Error> {
    let mut owner: Owner = read(document)?;
    owner.revision = document.revision;
    Ok(owner)
}

/// The plan that a document defines.
pub(crate) fn read_plan(document: &Document) -> Result<Plan, Error> {
    let mut plan: Plan = read(document)?;
    plan.revision = document.revision;
    Ok(plan)
}

fn read<T: DeserializeOwned>(document: &Document) -> Result<T, Error> {
    T::deserialize(&document.body).map_err(|_| {
        let message = format!("the definition {} cannot be read", document.subject);
        Error::new(ErrorKind::Corrupt, message)
    })
}
