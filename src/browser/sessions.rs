//! Who has signed in.
//!
//! 1. A session is found by the hash of its id. Whoever reads the memory of the process finds
//!    neither ids nor keys in it.
//! 2. It ends some time after its last request and some time after it began, whichever is first.
//! 3. There are at most [`PER_KEY`] sessions of a key and [`MOST`] in all. Where a new one finds no
//!    room, the one that was used the longest ago ends; another key's only if all are full.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::token::new_token;
use crate::gate::Admission;
use crate::key::KeyId;

/// How long sessions last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lasts {
    /// Without a request.
    pub(crate) idle: Duration,
    pub(crate) longest: Duration,
}

const PER_KEY: usize = 16;
const MOST: usize = 4_096;

/// What a session is known by here.
pub(crate) type SessionHash = [u8; 32];

struct Session<T> {
    admission: Admission,
    key: KeyId,
    token: String,
    began: u64,
    used: u64,
    more: T,
}

/// What a request needs of its session.
pub(crate) struct Found {
    pub(crate) hash: SessionHash,
    pub(crate) admission: Admission,
    /// What the forms of the session carry, or are sealed with.
    pub(crate) token: String,
}

/// The sessions of one page, each with what that page notes of it. Times are the clock's ticks.
pub(crate) struct Sessions<T> {
    lasts: Lasts,
    table: Mutex<Table<T>>,
}

type Table<T> = HashMap<SessionHash, Session<T>>;

impl<T: Default> Sessions<T> {
    pub(crate) fn new(lasts: Lasts) -> Self {
        Self {
            lasts,
            table: Mutex::default(),
        }
    }

    /// Begins a session; returns its id, for the cookie.
    pub(crate) fn begin(&self, admission: Admission, key: KeyId, now: u64) -> String {
        let id = new_token();
        let session = Session {
            admission,
            key,
            token: new_token(),
            began: now,
            used: now,
            more: T::default(),
        };
        let mut table = self.table();
        if table.len() >= MOST {
            table.retain(|_, session| !session.is_over(self.lasts, now));
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
    pub(crate) fn find(&self, id: &str, now: u64) -> Option<Found> {
        let hash = hash(id);
        let mut table = self.table();
        let session = table.get_mut(&hash)?;
        if session.is_over(self.lasts, now) {
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

    pub(crate) fn end(&self, hash: &SessionHash) {
        self.table().remove(hash);
    }

    /// Does something with what is noted of a session; nothing if it has ended.
    #[cfg(feature = "admin")]
    pub(crate) fn with<R>(&self, hash: &SessionHash, act: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.table()
            .get_mut(hash)
            .map(|session| act(&mut session.more))
    }

    fn table(&self) -> MutexGuard<'_, Table<T>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Session<T> {
    fn is_over(&self, lasts: Lasts, now: u64) -> bool {
        let since = |then: u64| Duration::from_nanos(now.saturating_sub(then));
        since(self.used) >= lasts.idle || since(self.began) >= lasts.longest
    }
}

fn end_oldest<T>(table: &mut Table<T>, among: impl Fn(&Session<T>) -> bool) {
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
    let mut hash = SessionHash::default();
    let digest = Sha256::new()
        .chain_update(b"mcp-api-keys:session\0")
        .chain_update(id)
        .finalize();
    hash.copy_from_slice(&digest);
    hash
}

impl<T> fmt::Debug for Sessions<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::ApiKeys;
    use crate::manager::NewKey;
    use crate::store::MemoryStore;

    const LASTS: Lasts = Lasts {
        idle: Duration::from_secs(900),
        longest: Duration::from_secs(3_600),
    };

    fn sessions() -> Sessions<()> {
        Sessions::new(LASTS)
    }

    /// What somebody has who has just signed in.
    async fn admission() -> Admission {
        let keys = ApiKeys::builder(MemoryStore::new()).build().await.unwrap();
        let issued = keys.manager().issue(NewKey::named("key")).await.unwrap();
        let request = http::Request::builder().header("x-api-key", issued.key().expose_secret());
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        let gate = keys.layer().any_server().gate().clone();
        gate.admit(&mut head)
            .await
            .unwrap()
            .into_admission()
            .unwrap()
    }

    #[tokio::test]
    async fn there_are_so_many_sessions_in_all_and_no_more() {
        let (sessions, admission) = (sessions(), admission().await);
        let begin = |number: usize, now: u64| {
            let key = KeyId::from_u128(u128::try_from(number).unwrap());
            sessions.begin(admission.clone(), key, now)
        };
        let ids: Vec<_> = (0..MOST).map(|number| begin(number, 1)).collect();
        assert!(
            sessions.find(&ids[0], 2).is_some(),
            "used, so not the oldest"
        );
        for number in 0..8 {
            begin(MOST + number, 3);
        }
        assert_eq!(sessions.table().len(), MOST);
        assert!(sessions.find(&ids[0], 4).is_some());
        assert_eq!(
            ids.iter()
                .filter(|id| sessions.find(id, 4).is_some())
                .count(),
            MOST - 8
        );

        // Those that are over make room first.
        let late = u64::try_from(LASTS.idle.as_nanos()).unwrap() + 4;
        let id = begin(0, late);
        assert_eq!(sessions.table().len(), 1);
        assert!(sessions.find(&id, late).is_some());
    }

    #[tokio::test]
    async fn a_session_is_over_in_time_and_where_it_is_ended() {
        let (sessions, admission) = (sessions(), admission().await);
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap();
        let (idle, longest) = (nanos(LASTS.idle), nanos(LASTS.longest));
        let begin = || sessions.begin(admission.clone(), KeyId::from_u128(1), 0);
        let id = begin();
        assert!(sessions.find(&id, idle - 1).is_some());
        assert!(sessions.find(&id, 2 * idle - 2).is_some(), "used meanwhile");
        assert!(sessions.find(&id, 3 * idle - 2).is_none());
        let id = begin();
        let mut now = 0;
        while now + idle - 1 < longest {
            now += idle - 1;
            assert!(sessions.find(&id, now).is_some());
        }
        assert!(sessions.find(&id, longest).is_none(), "however it is used");
        let id = begin();
        let found = sessions.find(&id, 1).unwrap();
        assert_ne!(found.token, id);
        sessions.end(&found.hash);
        assert!(sessions.find(&id, 1).is_none());
    }

    #[tokio::test]
    async fn a_key_has_so_many_sessions_and_takes_no_other_keys_place() {
        let (sessions, admission) = (sessions(), admission().await);
        let begin = |key: u128, now| sessions.begin(admission.clone(), KeyId::from_u128(key), now);
        let other = begin(2, 0);
        let ids: Vec<_> = (1..=PER_KEY as u64 + 1).map(|now| begin(1, now)).collect();
        assert!(sessions.find(&ids[0], 100).is_none());
        assert!(ids[1..].iter().all(|id| sessions.find(id, 100).is_some()));
        assert!(sessions.find(&other, 100).is_some());
    }

    #[test]
    fn the_id_is_not_in_the_table() {
        assert_ne!(hash("a"), hash("b"));
        assert_eq!(format!("{:?}", sessions()), "Sessions { .. }");
    }
}
