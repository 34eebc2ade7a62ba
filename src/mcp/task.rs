//! Tasks, each of the key whose request began it.
//!
//! A server hands out the id of a task and may honour it from anybody. Here it is remembered which
//! key was told the id when the task began.
//!
//! 1. A task is its key's. To other keys it does not exist, and one that is not remembered exists
//!    for nobody.
//! 2. An id that two keys were told is neither's: a server that counts its tasks from one again after
//!    a restart gives old ids to new tasks.
//! 3. There is room for so many tasks. Without room the key with the most tasks loses its oldest, so
//!    that nobody can drive out the tasks of others by beginning many.
//!
//! Why it is remembered, and not written into the id as with [sessions](super::Sessions): a list and
//! a notification show ids that the server chose, and whose they are can be told from nothing else.
//! To make codes for them would be to hand them out. Nor does an id stand in one place, as that of a
//! session does in its header: to change it, every answer to every key would have to be rewritten.
//! What is lost is that processes can share it, and that it outlives them.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use crate::key::KeyId;

/// What stands for an id: as long for all, whatever a server makes of them.
type Name = [u8; 16];

/// Remembers which tasks are whose, for all keys of one layer.
pub(crate) struct Tasks {
    known: Mutex<Known>,
    room: usize,
}

#[derive(Default)]
struct Known {
    /// Whose each task is; nobody's, if two keys were told of it.
    owners: HashMap<Name, Option<KeyId>>,
    /// The tasks of each key in the order of their coming.
    of_key: HashMap<KeyId, VecDeque<Name>>,
}

impl Tasks {
    /// How many tasks are remembered. They take about 6 MiB.
    const ROOM: usize = 65_536;

    pub(crate) fn new() -> Self {
        Self::with_room(Self::ROOM)
    }

    fn with_room(room: usize) -> Self {
        Self {
            known: Mutex::default(),
            room,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, task: &str, key: KeyId) {
        let name = name(task);
        let mut known = self.known();
        match known.owners.get_mut(&name) {
            Some(owner) if *owner == Some(key) => {}
            Some(owner) => *owner = None,
            None => {
                while known.owners.len() >= self.room && known.forget_one() {}
                known.owners.insert(name, Some(key));
                known.of_key.entry(key).or_default().push_back(name);
            }
        }
    }

    fn is_of(&self, task: &str, key: KeyId) -> bool {
        self.known().owners.get(&name(task)) == Some(&Some(key))
    }

    fn are_there_of_others(&self, key: KeyId) -> bool {
        let known = self.known();
        known.of_key.len() > usize::from(known.of_key.contains_key(&key))
    }
}

impl Known {
    /// Forgets the oldest task of the key that has the most. False if there is none.
    fn forget_one(&mut self) -> bool {
        let most = self.of_key.iter_mut().max_by_key(|(_, tasks)| tasks.len());
        let Some((key, tasks)) = most else {
            return false;
        };
        let (key, oldest) = (*key, tasks.pop_front());
        if tasks.is_empty() {
            self.of_key.remove(&key);
        }
        oldest.is_some_and(|oldest| self.owners.remove(&oldest).is_some())
    }
}

fn name(task: &str) -> Name {
    let digest = Sha256::digest(task.as_bytes());
    std::array::from_fn(|at| digest.get(at).copied().unwrap_or_default())
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks").finish_non_exhaustive()
    }
}

/// The tasks of one key.
#[derive(Clone, Debug)]
pub(crate) struct OwnTasks {
    tasks: Arc<Tasks>,
    key: KeyId,
}

impl OwnTasks {
    pub(crate) fn new(tasks: &Arc<Tasks>, key: KeyId) -> Self {
        Self {
            tasks: Arc::clone(tasks),
            key,
        }
    }

    /// Whether the task with this id is one.
    pub(crate) fn contains(&self, task: &str) -> bool {
        self.tasks.is_of(task, self.key)
    }

    /// Remembers a task that the key was told the id of when it began.
    pub(super) fn note(&self, task: &str) {
        self.tasks.note(task, self.key);
    }

    /// Whether another key has any, so that what cannot be judged may be about one of these.
    pub(crate) fn are_not_all(&self) -> bool {
        self.tasks.are_there_of_others(self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> [KeyId; 3] {
        [1, 2, 3].map(KeyId::from_u128)
    }

    #[test]
    fn a_task_is_its_keys_and_an_unknown_one_is_nobodys() {
        let tasks = Arc::new(Tasks::new());
        let [ada, bob, _] = keys().map(|key| OwnTasks::new(&tasks, key));
        assert!(!ada.contains("a") && !ada.are_not_all());
        ada.note("a");
        ada.note("a");
        assert!(ada.contains("a") && !ada.contains("A") && !ada.contains(""));
        assert!(!bob.contains("a"));
        assert!(!ada.are_not_all() && bob.are_not_all());
        bob.note("b");
        assert!(ada.are_not_all() && bob.contains("b") && !ada.contains("b"));
    }

    #[test]
    fn an_id_that_two_were_told_is_neithers_and_stays_so() {
        let tasks = Arc::new(Tasks::new());
        let [ada, bob, eve] = keys().map(|key| OwnTasks::new(&tasks, key));
        ada.note("1");
        bob.note("1");
        for key in [&ada, &bob, &eve] {
            assert!(!key.contains("1"));
            key.note("1");
            assert!(!key.contains("1"));
        }
    }

    #[test]
    fn who_begins_many_drives_out_only_their_own() {
        let tasks = Arc::new(Tasks::with_room(10));
        let [ada, bob, eve] = keys().map(|key| OwnTasks::new(&tasks, key));
        ada.note("first");
        bob.note("second");
        for number in 0..1_000 {
            eve.note(&number.to_string());
            assert!(tasks.known().owners.len() <= 10);
        }
        assert!(ada.contains("first") && bob.contains("second"));
        assert!(eve.contains("999") && eve.contains("992") && !eve.contains("991"));
        // What was forgotten may be told again.
        eve.note("0");
        assert!(eve.contains("0"));
        let known = tasks.known();
        let queued: usize = known.of_key.values().map(VecDeque::len).sum();
        assert_eq!(queued, known.owners.len());
    }

    #[test]
    fn without_any_room_nothing_is_remembered_for_long() {
        let tasks = Arc::new(Tasks::with_room(1));
        let [ada, bob, _] = keys().map(|key| OwnTasks::new(&tasks, key));
        ada.note("a");
        bob.note("b");
        assert!(!ada.contains("a") && bob.contains("b") && !bob.are_not_all());
    }
}
