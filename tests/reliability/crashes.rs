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

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use mcp_api_keys::ApiKeys;
use mcp_api_keys::store::SqliteStore;
use mcp_api_keys::testing::records::Dice;

use crate::acts::{Figures, Held, Model, Said, carry_out, deal, next_act};
use crate::world::{ALONE, builder, size};

const FOLDER: &str = "MCP_KEYS_CRASH_FOLDER";
const SEED: &str = "MCP_KEYS_CRASH_SEED";
const TASKS: u64 = 4;
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
    let shares = deal(&keys, TASKS).await;
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
async fn change(keys: ApiKeys, task: u64, mut held: Held, mut dice: Dice) {
    for number in 0.. {
        let act = next_act(task, number, &held, &mut dice);
        say(&Said::Begins {
            task,
            act: act.clone(),
        });
        let key = carry_out(&keys, &act, &mut held).await.unwrap();
        say(&Said::Done { task, key });
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
    let (mut figures, mut reopened) = (Figures::default(), Duration::ZERO);
    let (mut folder, mut model) = (tempfile::tempdir().unwrap(), Model::default());
    for kill in 0..kills {
        if kill > 0 && kill % KILLS == 0 {
            (folder, model) = (tempfile::tempdir().unwrap(), Model::default());
        }
        let process = Process::start(folder.path(), dice.roll(u64::MAX));
        let said = process.kill(&mut dice);
        let started = Instant::now();
        let (keys, store) = open(folder.path()).await;
        reopened = reopened.max(started.elapsed());
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
    } = figures;
    let acts: usize = acknowledged.values().sum();
    println!(
        "P7: {kills} kills, {acts} acknowledged acts {acknowledged:?}, 0 lost; {written} under way \
         were written whole, {unwritten} not at all; reopened within {reopened:?}"
    );
    assert!(acts > kills, "{acts}");
    assert!(written + unwritten > kills / 2, "{written} {unwritten}");
}
