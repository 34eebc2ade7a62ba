//! Programs that have registered to be connected.
//!
//! Anybody may register, so what is kept of it is bounded by whoever lets them: registrations expire,
//! are counted, and those that are over are removed when others are put, a few at a time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::codes::body;
use crate::audit::AuditAction;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind};
use crate::key::{ClientId, Revision, Subject, SubjectKind};
use crate::manager::KeyManager;
use crate::store::{Document, DocumentPage};

/// How many documents are looked at with one that is put.
const LOOKED_AT: usize = 8;

/// How long a count holds.
const COUNTED_FOR: Duration = Duration::from_secs(30);

/// A program, as it has described itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegisteredClient {
    /// The id that it was given.
    pub(crate) id: ClientId,
    /// What it calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// Where codes for it may be sent.
    pub(crate) redirect_uris: Vec<String>,
    /// What else it has said that is to be told again.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(crate) metadata: Map<String, Value>,
    /// When it registered.
    pub(crate) created_at: Timestamp,
    /// From when on it is not known any more.
    pub(crate) expires_at: Timestamp,
}

impl RegisteredClient {
    /// A program that registers now, under a new id, for so long.
    pub(crate) fn new(redirect_uris: Vec<String>, now: Timestamp, lifetime: Duration) -> Self {
        Self {
            id: ClientId::generate(),
            name: None,
            redirect_uris,
            metadata: Map::new(),
            created_at: now,
            expires_at: now.saturating_add(lifetime),
        }
    }
}

/// How far the registrations have been gone through, and how many there were.
#[derive(Debug, Default)]
pub(in crate::manager) struct Rounds(Mutex<Round>);

#[derive(Debug, Default)]
struct Round {
    /// After which one to look for those that are over.
    after: Option<String>,
    /// How many there were, and when they were counted.
    counted: Option<(usize, Timestamp)>,
}

impl Rounds {
    fn lock(&self) -> MutexGuard<'_, Round> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyManager {
    /// Keeps a program, as a new one or in place of what was known of it.
    ///
    /// # Errors
    ///
    /// `Conflict`, if it is being changed at the same time; `Unavailable`.
    pub(crate) async fn put_client(&self, client: &RegisteredClient) -> Result<(), Error> {
        let now = self.office.clock.now().wall;
        self.prune_clients(now).await?;
        let subject = Subject::Client(client.id.clone());
        let known = self.office.store.document(&subject).await?;
        let is_new = known.is_none();
        let mut act = self.act(AuditAction::Registered, None, None);
        act.before = known.as_ref().map(|known| known.body.clone());
        act.after = Some(body("client", client)?);
        let document = Document {
            subject,
            body: body("client", client)?,
            revision: known.map_or(Revision::default(), |known| known.revision),
        };
        self.office.store.put_document(&document, &act).await?;
        if is_new && let Some((count, _)) = &mut self.office.rounds.lock().counted {
            *count = count.saturating_add(1);
        }
        Ok(())
    }

    /// Reads a program that has registered; nothing if there is none, or not any more.
    ///
    /// # Errors
    ///
    /// `Unavailable`; `Corrupt`.
    pub(crate) async fn client(&self, id: &ClientId) -> Result<Option<RegisteredClient>, Error> {
        let subject = Subject::Client(id.clone());
        let Some(document) = self.office.store.document(&subject).await? else {
            return Ok(None);
        };
        let client = read(&document)
            .ok_or_else(|| Error::new(ErrorKind::Corrupt, "a registration cannot be read"))?;
        let now = self.office.clock.now().wall;
        Ok(Some(client).filter(|client| now < client.expires_at))
    }

    /// How many programs are registered, counted up to `most`. The count may be half a minute old, but
    /// for those that this node has registered itself.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub(crate) async fn count_clients(&self, most: usize) -> Result<usize, Error> {
        let now = self.office.clock.now().wall;
        let counted = self.office.rounds.lock().counted;
        if let Some((count, at)) = counted
            && now.saturating_since(at) < COUNTED_FOR
            && at <= now
        {
            return Ok(count.min(most));
        }
        let mut count = 0;
        let mut page = DocumentPage::first(1_000);
        while count < most {
            let found = self.office.store.documents(SubjectKind::Client, &page);
            let found = found.await?;
            // Those that are over take nobody's place: they are removed as others come.
            let is_over = |document: &&Document| is_over(document, now);
            count += found.len() - found.iter().filter(is_over).count();
            match found.last() {
                Some(Document {
                    subject: Subject::Client(id),
                    ..
                }) if found.len() >= page.bounded_size() => {
                    page.after = Some(id.as_str().to_owned());
                }
                _ => break,
            }
        }
        self.office.rounds.lock().counted = Some((count, now));
        Ok(count.min(most))
    }

    /// Goes on through the registrations and removes some of those that are over.
    async fn prune_clients(&self, now: Timestamp) -> Result<(), Error> {
        let mut page = DocumentPage::first(LOOKED_AT);
        page.after = self.office.rounds.lock().after.clone();
        let next = self
            .prune(SubjectKind::Client, &page, |document| {
                is_over(document, now)
            })
            .await?;
        self.office.rounds.lock().after = next;
        Ok(())
    }
}

/// What cannot be read is left for people to look at.
fn is_over(document: &Document, now: Timestamp) -> bool {
    read(document).is_some_and(|client| client.expires_at <= now)
}

fn read(document: &Document) -> Option<RegisteredClient> {
    RegisteredClient::deserialize(&document.body).ok()
}
