//! Who has signed in.
//!
//! A session is found by the hash of its id: whoever reads the memory of the process finds neither ids
//! nor keys in it. There are at most [`PER_KEY`] of a key and [`MOST`] in all; where a new one finds no
//! room, the one that was used the longest ago ends, another key's only if all are full.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::cookie::new_token;
use crate::gate::Admission;
use crate::key::KeyId;

/// How long a session lasts without a request.
const IDLE: Duration = Duration::from_secs(15 * 60);

/// How long a session lasts.
const LONGEST: Duration = Duration::from_secs(3_600);

const PER_KEY: usize = 16;
const MOST: usize = 4_096;

/// What a session is known by here.
pub(super) type SessionHash = [u8; 32];

struct Session {
    admission: Admission,
    key: KeyId,
    token: String,
    began: u64,
    used: u64,
}

/// What a request needs of its session.
pub(super) struct Found {
    pub(super) hash: SessionHash,
    pub(super) admission: Admission,
    /// What questions that are shown in the session are sealed with.
    pub(super) token: String,
}

/// The sessions of one sign-in. Times are the clock's ticks.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<SessionHash, Session>>);

impl Sessions {
    /// Begins a session; returns its id, for the cookie.
    pub(super) fn begin(&self, admission: Admission, key: KeyId, now: u64) -> String {
        let id = new_token();
        let session = Session {
            admission,
            key,
            token: new_token(),
            began: now,
            used: now,
        };
        let mut table = self.table();
        if table.len() >= MOST {
            table.retain(|_, session| !session.is_over(now));
        }
        while table.values().filter(|session| session.key == key).count() >= PER_KEY {
            end_oldest(&mut table, |session| session.key == key);
        }
        while table.len() >= MOST {
            end_oldest(&mut table, |_| true);
        }
        table.insert(hash(&id), session);
        id
    }

    /// The session with this id, which is used now.
    pub(super) fn find(&self, id: &str, now: u64) -> Option<Found> {
        let hash = hash(id);
        let mut table = self.table();
        let session = table.get_mut(&hash)?;
        if session.is_over(now) {
            table.remove(&hash);
            return None;
        }
        session.used = now;
        Some(Found {
            hash,
            admission: session.admission.clone(),
            token: session.token.clone(),
        })
    }

    pub(super) fn end(&self, hash: &SessionHash) {
        self.table().remove(hash);
    }

    fn table(&self) -> MutexGuard<'_, HashMap<SessionHash, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn is_over(&self, now: u64) -> bool {
        let since = |then: u64| Duration::from_nanos(now.saturating_sub(then));
        since(self.used) >= IDLE || since(self.began) >= LONGEST
    }
}

fn end_oldest(table: &mut HashMap<SessionHash, Session>, among: impl Fn(&Session) -> bool) {
    let oldest = table
        .iter()
        .filter(|(_, session)| among(session))
        .min_by_key(|(_, session)| session.used)
        .map(|(hash, _)| *hash);
    if let Some(hash) = oldest {
        table.remove(&hash);
    }
}

fn hash(id: &str) -> SessionHash {
    let digest = Sha256::new()
        .chain_update(b"mcp-api-keys:oauth-session\0")
        .chain_update(id)
        .finalize();
    digest.into()
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}
