//! Who has signed in.
//!
//! 1. A session is found by the hash of its id. Whoever reads the memory of the process finds
//!    neither ids nor keys in it.
//! 2. It ends [`IDLE`] after its last request and [`LONGEST`] after it began, whichever is first.
//! 3. There are at most [`PER_KEY`] sessions of a key and [`MOST`] in all. Where a new one finds no
//!    room, the one that was used the longest ago ends; another key's only if all are full.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::cookie::new_token;
use super::shell::Notice;
use crate::gate::Admission;
use crate::key::KeyId;

/// How long a session lasts without a request.
pub(super) const IDLE: Duration = Duration::from_secs(30 * 60);

/// How long a session lasts.
pub(super) const LONGEST: Duration = Duration::from_secs(12 * 3_600);

const PER_KEY: usize = 16;
const MOST: usize = 4_096;

/// How many forms that must not be sent twice are remembered.
const SPENT: usize = 64;

/// What a session is known by here.
pub(super) type SessionHash = [u8; 32];

struct Session {
    admission: Admission,
    key: KeyId,
    token: String,
    began: u64,
    used: u64,
    notice: Option<Notice>,
    spent: VecDeque<String>,
}

/// What a request needs of its session.
pub(super) struct Found {
    pub(super) hash: SessionHash,
    pub(super) admission: Admission,
    /// What the forms of the session carry.
    pub(super) token: String,
}

/// The sessions of one page. Times are the clock's ticks.
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
            notice: None,
            spent: VecDeque::new(),
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

    /// Leaves a word for the next page of the session.
    pub(super) fn leave(&self, hash: &SessionHash, notice: Notice) {
        if let Some(session) = self.table().get_mut(hash) {
            session.notice = Some(notice);
        }
    }

    /// Takes the word that was left.
    pub(super) fn take_notice(&self, hash: &SessionHash) -> Option<Notice> {
        self.table().get_mut(hash)?.notice.take()
    }

    /// Whether a form is sent for the first time. Of too many forms the oldest are forgotten.
    pub(super) fn spend(&self, hash: &SessionHash, form: &str) -> bool {
        let mut table = self.table();
        let Some(session) = table.get_mut(hash) else {
            return false;
        };
        if session.spent.iter().any(|spent| spent == form) {
            return false;
        }
        if session.spent.len() >= SPENT {
            session.spent.pop_front();
        }
        session.spent.push_back(form.to_owned());
        true
    }

    /// Lets a form be sent again: what it asked for was not done.
    pub(super) fn unspend(&self, hash: &SessionHash, form: &str) {
        if let Some(session) = self.table().get_mut(hash) {
            session.spent.retain(|spent| spent != form);
        }
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
    let mut hash = SessionHash::default();
    let digest = Sha256::new()
        .chain_update(b"mcp-api-keys:session\0")
        .chain_update(id)
        .finalize();
    hash.copy_from_slice(&digest);
    hash
}

impl fmt::Debug for Sessions {
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
        let (sessions, admission) = (Sessions::default(), admission().await);
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
        let late = u64::try_from(IDLE.as_nanos()).unwrap() + 4;
        let id = begin(0, late);
        assert_eq!(sessions.table().len(), 1);
        assert!(sessions.find(&id, late).is_some());
    }

    #[tokio::test]
    async fn a_form_is_sent_once_and_the_oldest_of_many_are_forgotten() {
        let (sessions, admission) = (Sessions::default(), admission().await);
        let id = sessions.begin(admission, KeyId::from_u128(1), 0);
        let hash = sessions.find(&id, 0).unwrap().hash;
        assert!(sessions.spend(&hash, "a") && !sessions.spend(&hash, "a"));
        sessions.unspend(&hash, "a");
        assert!(sessions.spend(&hash, "a"));
        for number in 0..SPENT {
            assert!(sessions.spend(&hash, &number.to_string()));
        }
        assert!(sessions.spend(&hash, "a"), "forgotten by now");
        sessions.end(&hash);
        assert!(!sessions.spend(&hash, "b"), "of no session");
    }

    #[test]
    fn the_id_is_not_in_the_table() {
        assert_ne!(hash("a"), hash("b"));
        assert_eq!(format!("{:?}", Sessions::default()), "Sessions { .. }");
    }
}
