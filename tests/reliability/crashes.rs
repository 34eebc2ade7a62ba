//! P7: what was acknowledged survives a process that is killed, and nothing is left half done.
//!
//! A process of its own, which is this test binary once more, changes the keys of a SQLite file as
//! fast as it can, four tasks at once. It says what it is about to do and, when the manager has
//! answered, that it is done. It is killed at a random moment; then the file is opened again and
//! compared with what was said:
//!
//! 1. The file is sound (`PRAGMA integrity_check`).
//! 2. What was acknowledged is there: in the key's record, in the trail, and at the gate.
//! 3. What was under way is there as a whole or not at all. The trail decides which, and record and
//!    gate must agree with it.
//! 4. The trail holds nothing else.
//!
//! A kill takes what the process has in its memory. What a power cut takes beyond that, from the
//! memory of the operating system and of the disk, cannot be tested this way.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use http::StatusCode;
use mcp_api_keys::audit::{AuditAction, AuditEntry, AuditFilter};
use mcp_api_keys::key::{KeyId, KeyStatus, Revision};
use mcp_api_keys::store::{AuditPage, KeyFilter, PageRequest, SqliteStore};
use mcp_api_keys::testing::records::Dice;
use mcp_api_keys::{ApiKeys, ErrorKind, Grace, KeyFormat, NewKey};
use serde::{Deserialize, Serialize};

use crate::world::{ALONE, Guarded, builder, size};

const FOLDER: &str = "MCP_KEYS_CRASH_FOLDER";
const SEED: &str = "MCP_KEYS_CRASH_SEED";
const TASKS: u64 = 4;
/// Longer than any round lasts: no window ends while its key is looked at.
const WINDOW: Duration = Duration::from_secs(3_600);

/// What the process that is killed says, a line of JSON each.
#[derive(Debug, Serialize, Deserialize)]
enum Said {
    Ready,
    Begins {
        task: u64,
        act: Act,
    },
    Done {
        task: u64,
        key: Option<(KeyId, String)>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Act {
    /// The name is used once only.
    Issue(String),
    Rotate(KeyId),
    RotateWithGrace(KeyId),
    Revoke(KeyId),
    Delete(KeyId),
}

impl Act {
    fn action(&self) -> AuditAction {
        match self {
            Self::Issue(_) => AuditAction::Issued,
            Self::Rotate(_) | Self::RotateWithGrace(_) => AuditAction::Rotated,
            Self::Revoke(_) => AuditAction::Revoked,
            Self::Delete(_) => AuditAction::Deleted,
        }
    }
}

// The process that is killed.

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it is the process that the other test starts and kills"]
async fn the_process_that_is_killed() {
    let (Ok(folder), Ok(seed)) = (std::env::var(FOLDER), std::env::var(SEED)) else {
        return;
    };
    // The line that names the test is not ended yet.
    println!();
    let keys = open(folder.as_ref()).await.0;
    let page = PageRequest::first(1_000);
    let found = keys.manager().list(&KeyFilter::all(), page).await.unwrap();
    let mut shares = vec![Vec::new(); TASKS as usize];
    for (at, info) in found.keys.iter().enumerate() {
        let revoked = matches!(info.status, KeyStatus::Revoked { .. });
        shares[at % TASKS as usize].push((info.id, revoked));
    }
    say(&Said::Ready);
    let mut tasks = Vec::new();
    for (task, share) in (0..TASKS).zip(shares) {
        let dice = Dice::new(seed.parse::<u64>().unwrap() ^ (task << 32));
        tasks.push(tokio::spawn(change(keys.clone(), task, share, dice)));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

/// Changes keys until it is killed, or nobody listens any more.
async fn change(keys: ApiKeys, task: u64, mut held: Vec<(KeyId, bool)>, mut dice: Dice) {
    let manager = keys.manager();
    for number in 0.. {
        let act = next_act(task, number, &held, &mut dice);
        say(&Said::Begins {
            task,
            act: act.clone(),
        });
        let issued = match &act {
            Act::Issue(name) => {
                let new = NewKey::named(name).all_servers();
                Some(manager.issue(new).await.unwrap())
            }
            Act::Rotate(id) => Some(manager.rotate(*id).await.unwrap()),
            Act::RotateWithGrace(id) => {
                let grace = Grace::For(WINDOW);
                Some(manager.rotate_with(*id, grace).await.unwrap())
            }
            Act::Revoke(id) => {
                drop(manager.revoke(*id, Some("a reason")).await.unwrap());
                None
            }
            Act::Delete(id) => {
                assert!(manager.delete(*id).await.unwrap());
                None
            }
        };
        let key = issued.map(|key| (key.info().id, key.key().expose_secret().to_owned()));
        match (&act, &key) {
            (Act::Issue(_), Some((id, _))) => held.push((*id, false)),
            (Act::Revoke(id), _) => held.iter_mut().for_each(|key| key.1 |= key.0 == *id),
            (Act::Delete(id), _) => held.retain(|key| key.0 != *id),
            _ => {}
        }
        say(&Said::Done { task, key });
    }
}

fn next_act(task: u64, number: u64, held: &[(KeyId, bool)], dice: &mut Dice) -> Act {
    const PLENTY: usize = 12;
    let issue = || Act::Issue(format!("{}-{task}-{number}", std::process::id()));
    if held.is_empty() {
        return issue();
    }
    let (id, revoked) = dice.pick(held);
    match dice.roll(10) {
        _ if held.len() >= PLENTY => Act::Delete(id),
        0..=2 => issue(),
        9 => Act::Delete(id),
        _ if revoked => issue(),
        3..=4 => Act::Rotate(id),
        5..=6 => Act::RotateWithGrace(id),
        _ => Act::Revoke(id),
    }
}

/// One line, at once. A process that nobody listens to any more ends here.
fn say(said: &Said) {
    let mut line = serde_json::to_string(said).unwrap();
    line.push('\n');
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).unwrap();
    out.flush().unwrap();
}

async fn open(folder: &Path) -> (ApiKeys, SqliteStore) {
    let url = format!("sqlite://{}", folder.join("keys.db").display());
    let store = SqliteStore::connect(&url).await.unwrap();
    let keys = builder(store.clone()).build().await.unwrap();
    (keys, store)
}

// Its parent.

/// The process, which does not outlive the test.
struct Process {
    child: Child,
    lines: Receiver<Said>,
}

impl Process {
    fn start(folder: &Path, seed: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "crashes::the_process_that_is_killed",
                "--exact",
                "--ignored",
            ])
            .args(["--nocapture", "--test-threads=1"])
            .env(FOLDER, folder)
            .env(SEED, seed.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || {
            // Bytes, since the last line may have been cut off.
            for line in out.split(b'\n').map_while(Result::ok) {
                if let Ok(said) = serde_json::from_slice(&line) {
                    let _ = send.send(said);
                }
            }
        });
        Self { child, lines }
    }

    /// Kills it some time after its start, or some time after it has begun to write; tells what it
    /// has said until then.
    fn kill(mut self, dice: &mut Dice) -> Vec<Said> {
        let mut said = Vec::new();
        let patience = if dice.roll(5) == 0 {
            Duration::from_micros(dice.roll(40_000))
        } else {
            said.extend(self.lines.recv_timeout(Duration::from_secs(30)));
            assert!(matches!(*said, [Said::Ready]), "{said:?}");
            Duration::from_micros(dice.roll(60_000))
        };
        std::thread::sleep(patience);
        let ended = self.child.try_wait().unwrap();
        assert_eq!(ended, None, "it ended by itself");
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        said.extend(self.lines.iter());
        said
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is known of a key.
#[derive(Debug, Default)]
struct Known {
    /// Nothing, if the process was killed before it could say it.
    newest: Option<String>,
    /// The one in its window.
    older: Option<String>,
    /// Refused from now on.
    ended: Vec<String>,
    in_window: bool,
    revoked: bool,
    deleted: bool,
}

impl Known {
    fn apply(&mut self, act: &Act, key: Option<String>) {
        match act {
            Act::Issue(_) => self.newest = key,
            Act::Rotate(_) | Act::RotateWithGrace(_) => {
                self.in_window = matches!(act, Act::RotateWithGrace(_));
                self.ended.extend(self.older.take());
                let old = std::mem::replace(&mut self.newest, key);
                if self.in_window {
                    self.older = old;
                } else {
                    self.ended.extend(old);
                }
            }
            Act::Revoke(_) => self.revoked = true,
            Act::Delete(_) => self.deleted = true,
        }
    }
}

/// What is known of the file.
#[derive(Debug, Default)]
struct Model {
    keys: BTreeMap<KeyId, Known>,
    read_to: Revision,
}

#[derive(Debug, Default)]
struct Figures {
    acknowledged: BTreeMap<&'static str, usize>,
    written: usize,
    unwritten: usize,
    reopened: Duration,
}

impl Model {
    fn apply(&mut self, act: &Act, key: Option<(KeyId, String)>) -> KeyId {
        let (id, text) = match (act, key) {
            (Act::Issue(_), Some((id, text))) => (id, Some(text)),
            (Act::Issue(_), None) => panic!("an issued key has a text"),
            (Act::Rotate(id) | Act::RotateWithGrace(id), key) => {
                assert_eq!(key.as_ref().map(|key| key.0), Some(*id));
                (*id, key.map(|key| key.1))
            }
            (Act::Revoke(id) | Act::Delete(id), _) => (*id, None),
        };
        self.keys.entry(id).or_default().apply(act, text);
        id
    }

    /// Takes in what was said and what the trail tells of the acts under way, and holds one against
    /// the other.
    fn settle(&mut self, said: Vec<Said>, trail: &[AuditEntry], figures: &mut Figures) {
        let mut under_way = BTreeMap::new();
        let mut expected: BTreeMap<KeyId, Vec<AuditAction>> = BTreeMap::new();
        for said in said {
            match said {
                Said::Ready => {}
                Said::Begins { task, act } => assert_eq!(under_way.insert(task, act), None),
                Said::Done { task, key } => {
                    let act = under_way.remove(&task).unwrap();
                    let id = self.apply(&act, key);
                    expected.entry(id).or_default().push(act.action());
                    *figures
                        .acknowledged
                        .entry(act.action().as_str())
                        .or_default() += 1;
                }
            }
        }
        let mut found: BTreeMap<KeyId, Vec<AuditAction>> = BTreeMap::new();
        for entry in trail {
            found
                .entry(entry.subject.key().unwrap())
                .or_default()
                .push(entry.action);
        }
        for act in under_way.into_values() {
            let id = match &act {
                Act::Issue(name) => trail
                    .iter()
                    .find(|entry| named(entry, name))
                    .and_then(|e| e.subject.key()),
                Act::Rotate(id) | Act::RotateWithGrace(id) => Some(*id),
                Act::Revoke(id) | Act::Delete(id) => Some(*id),
            };
            let before = id.and_then(|id| expected.get(&id)).map_or(0, Vec::len);
            match id.filter(|id| found.get(id).map_or(0, Vec::len) > before) {
                None => figures.unwritten += 1,
                Some(id) => {
                    figures.written += 1;
                    self.keys.entry(id).or_default().apply(&act, None);
                    expected.entry(id).or_default().push(act.action());
                }
            }
        }
        assert_eq!(found, expected, "the trail and what was acknowledged");
    }

    /// Holds what is known of the keys against their records and the gate.
    async fn check(&self, keys: &ApiKeys) {
        let guarded = Guarded::new(keys.layer());
        for (id, known) in &self.keys {
            match keys.manager().get(*id).await {
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::NotFound, "{id}");
                    assert!(known.deleted, "{id} is gone: {known:?}");
                }
                Ok(info) => {
                    assert!(!known.deleted, "{id} is back");
                    let revoked = matches!(info.status, KeyStatus::Revoked { .. });
                    assert_eq!(revoked, known.revoked, "{id}");
                    let older = info.previous.as_ref().map(|old| old.handle.as_str());
                    assert_eq!(older.is_some(), known.in_window, "{id}");
                    assert!(
                        known
                            .older
                            .as_ref()
                            .is_none_or(|key| older == Some(handle(key)))
                    );
                    let newest = info.handle.as_str();
                    match &known.newest {
                        Some(key) => assert_eq!(newest, handle(key), "{id}"),
                        None => {
                            let mut others = known.ended.iter().chain(&known.older);
                            assert!(others.all(|key| newest != handle(key)), "{id}");
                        }
                    }
                }
            }
            let in_force = known.newest.iter().chain(&known.older);
            let expected = if known.revoked || known.deleted {
                StatusCode::UNAUTHORIZED
            } else {
                StatusCode::OK
            };
            for key in in_force {
                let status = guarded.send(key).await.status();
                assert_eq!(status, expected, "{id}: {known:?}");
            }
            for key in &known.ended {
                let status = guarded.send(key).await.status();
                assert_eq!(status, StatusCode::UNAUTHORIZED, "{id}: {known:?}");
            }
        }
        let page = PageRequest::first(1_000);
        let found = keys.manager().list(&KeyFilter::all(), page).await.unwrap();
        let known = self.keys.values().filter(|known| !known.deleted).count();
        assert_eq!(found.keys.len(), known, "keys that nobody was told of");
    }

    /// The entries since the last round, oldest first.
    async fn trail(&mut self, keys: &ApiKeys) -> Vec<AuditEntry> {
        let mut entries: Vec<AuditEntry> = Vec::new();
        let mut page = AuditPage::newest(500);
        loop {
            let filter = AuditFilter::default();
            let more = keys.manager().audit(&filter, page).await.unwrap();
            let Some(last) = more.last() else { break };
            page = page.before(last.revision);
            let known = more.partition_point(|entry| entry.revision > self.read_to);
            let is_all = known < more.len();
            entries.extend(more.into_iter().take(known));
            if is_all {
                break;
            }
        }
        entries.reverse();
        if let Some(last) = entries.last() {
            self.read_to = last.revision;
        }
        entries
    }
}

fn named(entry: &AuditEntry, name: &str) -> bool {
    let after = entry.after.as_ref();
    after.is_some_and(|key| key["name"] == *name) && entry.action == AuditAction::Issued
}

fn handle(key: &str) -> &str {
    KeyFormat::default().parse(key.as_bytes()).unwrap().handle()
}

#[tokio::test]
async fn what_was_acknowledged_before_a_kill_holds_after_it() {
    /// Kills of one file; then a new one, so that the kills meet the making of a file as well.
    const KILLS: usize = 50;

    let _alone = ALONE.lock().await;
    let kills = size(100, 1_000);
    let seed = match std::env::var("MCP_KEYS_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => u64::from(std::process::id()),
    };
    println!("P7: seed {seed} (MCP_KEYS_SEED)");
    let mut dice = Dice::new(seed);
    let mut figures = Figures::default();
    let (mut folder, mut model) = (tempfile::tempdir().unwrap(), Model::default());
    for kill in 0..kills {
        if kill > 0 && kill % KILLS == 0 {
            (folder, model) = (tempfile::tempdir().unwrap(), Model::default());
        }
        let process = Process::start(folder.path(), dice.roll(u64::MAX));
        let said = process.kill(&mut dice);
        let started = Instant::now();
        let (keys, store) = open(folder.path()).await;
        figures.reopened = figures.reopened.max(started.elapsed());
        let sound: String = sqlx::query_scalar("PRAGMA integrity_check")
            .fetch_one(store.pool())
            .await
            .unwrap();
        assert_eq!(sound, "ok", "kill {kill}");
        let trail = model.trail(&keys).await;
        model.settle(said, &trail, &mut figures);
        model.check(&keys).await;
        // Keys that are gone were looked at once more than they need be.
        model.keys.retain(|_, known| !known.deleted);
        drop(keys);
        store.pool().close().await;
    }
    let Figures {
        acknowledged,
        written,
        unwritten,
        reopened,
    } = figures;
    let acts: usize = acknowledged.values().sum();
    println!(
        "P7: {kills} kills, {acts} acknowledged acts {acknowledged:?}, 0 lost; {written} under way \
         were written whole, {unwritten} not at all; reopened within {reopened:?}"
    );
    assert!(acts > kills, "{acts}");
    assert!(written + unwritten > kills / 2, "{written} {unwritten}");
}
