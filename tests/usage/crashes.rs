//! P20: a process that is killed loses no more than what it noted since it last wrote; one that ends in
//! order loses nothing.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mcp_api_keys::store::SqliteStore;
use mcp_api_keys::{ApiKeys, NewKey};

use crate::world::{builder, issue, request, send, total};

const FOLDER: &str = "MCP_KEYS_USAGE_FOLDER";

/// How often the killed process writes.
const INTERVAL: Duration = Duration::from_millis(400);

async fn open(folder: &str) -> ApiKeys {
    let url = format!("sqlite://{folder}/keys.db");
    let store = SqliteStore::connect(&url).await.unwrap();
    let keys = builder(store.clone(), store).usage_interval(INTERVAL);
    keys.build().await.unwrap()
}

/// The process that is killed: it says after each request how many there were.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it is the process that the other test starts and kills"]
#[allow(clippy::print_stdout, reason = "its parent reads it")]
async fn the_process_that_is_killed() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    println!();
    let keys = open(&folder).await;
    let (_, key) = issue(&keys, NewKey::named("agent")).await;
    let layer = keys.layer().any_server();
    for number in 1_u64.. {
        assert_eq!(send(&layer, request("/", &key)).await, 200);
        let mut out = std::io::stdout().lock();
        writeln!(out, "sent {number}").unwrap();
        out.flush().unwrap();
        drop(out);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
#[allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "it is measured"
)]
async fn a_kill_loses_one_interval_at_most() {
    let kills = if std::env::var_os("MCP_KEYS_LONG").is_some() {
        30
    } else {
        4
    };
    for kill in 0..kills {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "crashes::the_process_that_is_killed",
                "--exact",
                "--ignored",
            ])
            .args(["--nocapture", "--test-threads=1"])
            .env(FOLDER, folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let reader = std::thread::spawn(move || {
            let mut sent = Vec::new();
            for line in out.split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                let number = line
                    .strip_prefix("sent ")
                    .and_then(|n| n.parse::<u64>().ok());
                sent.extend(number.map(|number| (number, Instant::now())));
            }
            sent
        });
        let life = Duration::from_millis(1_500 + 137 * kill);
        tokio::time::sleep(life).await;
        let killed_at = Instant::now();
        child.kill().unwrap();
        child.wait().unwrap();
        let sent = reader.join().unwrap();
        let said = sent.last().map_or(0, |(number, _)| *number);
        let kept = total(&open(folder.path().to_str().unwrap()).await, None).await;
        // One more may have been under way that was not said.
        assert!(kept <= said + 1, "{kept} of {said}");
        let first_lost = sent.iter().find(|(number, _)| *number > kept);
        let lost_for = first_lost.map_or(Duration::ZERO, |(_, at)| {
            killed_at.saturating_duration_since(*at)
        });
        println!("kill {kill}: {kept} of {said} kept, the oldest lost {lost_for:?} before");
        assert!(said > 50, "{said}");
        // The interval, and what a write takes on a busy machine.
        assert!(
            lost_for < INTERVAL + Duration::from_millis(800),
            "{lost_for:?}"
        );
    }
}

#[tokio::test]
async fn an_orderly_end_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let mut sent = 0;
    for round in 1..6_u64 {
        let keys = open(folder).await;
        let (_, key) = issue(&keys, NewKey::named("agent")).await;
        let layer = keys.layer().any_server();
        for _ in 0..round * 10 {
            assert_eq!(send(&layer, request("/", &key)).await, 200);
            sent += 1;
        }
        keys.flush().await.unwrap();
        drop(keys);
        assert_eq!(total(&open(folder).await, None).await, sent);
    }
}
