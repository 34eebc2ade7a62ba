//! `Idempotency-Key`: a create that is sent again makes no second key.
//!
//! 1. The same key of the caller, the same `Idempotency-Key` and the same body, byte for byte, get the
//!    same answer for ten minutes, with `Idempotency-Replayed: true`. The clear text is kept in memory
//!    for that long and is wiped then.
//! 2. Up to 24 hours after, the answer is 409 `idempotency_key_used`, and names the key that was made:
//!    whoever did not get it can rotate it.
//! 3. With another body the answer is 422 `idempotency_key_reused`.
//! 4. A create that failed may be tried again under the same name.
//! 5. All this is known to one process, of its last ten thousand creates, and nothing of it is written
//!    down. Where several nodes serve the API, send a create again to the same one, or look for the key
//!    in the list first.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderName, StatusCode};
use sha2::{Digest as _, Sha256};

use super::fault::Fault;
use crate::clock::Timestamp;
use crate::key::KeyId;
use crate::manager::IssuedKey;

const MOST: usize = 10_000;
const SHOWN_FOR: Duration = Duration::from_secs(600);
const KNOWN_FOR: Duration = Duration::from_secs(86_400);

/// A SHA-256.
pub(super) type Digest = [u8; 32];

/// The value of `Idempotency-Key`, if there is one.
#[derive(Debug)]
pub(super) struct Once(Option<String>);

/// The creates that were asked for under a name.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger(Arc<Mutex<HashMap<Digest, Entry>>>);

#[derive(Debug)]
struct Entry {
    since: Timestamp,
    create: Arc<tokio::sync::Mutex<Create>>,
}

/// One create; locked while it is being made.
#[derive(Debug)]
enum Create {
    /// Not made, or not successfully.
    Open,
    Made {
        body: Digest,
        key: Made,
    },
}

#[derive(Debug)]
enum Made {
    Shown(Arc<IssuedKey>),
    Known(KeyId),
}

/// A key that was made, and whether that was now.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) issued: Arc<IssuedKey>,
    pub(super) now: bool,
}

impl Once {
    /// The name of a create of `caller`, if it is to have one.
    pub(super) fn name(&self, caller: KeyId) -> Option<Digest> {
        self.0.as_ref().map(|name| {
            let named = Sha256::new().chain_update(caller.as_u128().to_be_bytes());
            named.chain_update(name).finalize().into()
        })
    }
}

impl<S: Sync> FromRequestParts<S> for Once {
    type Rejection = Fault;

    async fn from_request_parts(head: &mut Parts, _: &S) -> Result<Self, Fault> {
        const NAME: HeaderName = HeaderName::from_static("idempotency-key");
        let mut values = head.headers.get_all(NAME).iter();
        let Some(value) = values.next() else {
            return Ok(Self(None));
        };
        let text = value.to_str().ok().filter(|text| {
            let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
            is_plain && (1..=255).contains(&text.len())
        });
        match (text, values.next()) {
            (Some(text), None) => Ok(Self(Some(text.to_owned()))),
            _ => Err(Fault::malformed(
                "Idempotency-Key must be 1 to 255 visible ASCII characters, once",
            )
            .in_field("Idempotency-Key")),
        }
    }
}

impl Ledger {
    /// Makes a key, unless it was made before under this name.
    pub(super) async fn once(
        &self,
        name: Digest,
        body: Digest,
        now: Timestamp,
        make: impl Future<Output = Result<IssuedKey, Fault>>,
    ) -> Result<Answered, Fault> {
        let create = self.entry(name, now);
        let mut held = create.lock().await;
        match &*held {
            Create::Made { body: before, .. } if *before != body => {
                let message = "this Idempotency-Key was used with another body";
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                Err(Fault::new(status, "idempotency_key_reused", message)
                    .in_field("Idempotency-Key"))
            }
            Create::Made {
                key: Made::Known(id),
                ..
            } => Err(made_before(*id)),
            Create::Made {
                key: Made::Shown(issued),
                ..
            } => Ok(Answered {
                issued: Arc::clone(issued),
                now: false,
            }),
            Create::Open => match make.await {
                Ok(issued) => {
                    let issued = Arc::new(issued);
                    let key = Made::Shown(Arc::clone(&issued));
                    *held = Create::Made { body, key };
                    drop(held);
                    tokio::spawn(forget(Arc::downgrade(&create)));
                    Ok(Answered { issued, now: true })
                }
                Err(fault) => {
                    drop(held);
                    drop(create);
                    self.discard(name);
                    Err(fault)
                }
            },
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Digest, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, name: Digest, now: Timestamp) -> Arc<tokio::sync::Mutex<Create>> {
        let mut entries = self.entries();
        entries.retain(|_, entry| now.saturating_since(entry.since) < KNOWN_FOR);
        if entries.len() >= MOST
            && !entries.contains_key(&name)
            && let Some(oldest) = entries.iter().min_by_key(|(_, entry)| entry.since)
        {
            let oldest = *oldest.0;
            entries.remove(&oldest);
        }
        let entry = entries.entry(name).or_insert_with(|| Entry {
            since: now,
            create: Arc::new(tokio::sync::Mutex::new(Create::Open)),
        });
        Arc::clone(&entry.create)
    }

    /// Takes out a create that failed, unless others wait to try it again. Whoever waits holds it.
    fn discard(&self, name: Digest) {
        let mut entries = self.entries();
        let is_idle = |entry: &Entry| {
            Arc::strong_count(&entry.create) == 1
                && entry
                    .create
                    .try_lock()
                    .is_ok_and(|held| matches!(*held, Create::Open))
        };
        if entries.get(&name).is_some_and(is_idle) {
            entries.remove(&name);
        }
    }
}

fn made_before(id: KeyId) -> Fault {
    let message = "a key was made under this Idempotency-Key before; rotate it to get its secret";
    Fault::new(StatusCode::CONFLICT, "idempotency_key_used", message).about(id)
}

/// Drops the clear text when its time is over.
async fn forget(create: Weak<tokio::sync::Mutex<Create>>) {
    tokio::time::sleep(SHOWN_FOR).await;
    let Some(create) = create.upgrade() else {
        return;
    };
    if let Create::Made { key, .. } = &mut *create.lock().await
        && let Made::Shown(issued) = key
    {
        *key = Made::Known(issued.info().id);
    }
}
