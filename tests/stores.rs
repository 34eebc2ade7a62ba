//! Every store passes the suite in each form it can be held in, and all answer alike; then what only
//! SQLite promises. What only PostgreSQL promises stands in `tests/postgres/`.
//!
//! `MCP_KEYS_SEQUENCES` sets how many random sequences are compared between the stores.

#![cfg(all(feature = "postgres", feature = "sqlite", feature = "testing"))]
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests panic")]

#[path = "support/backends.rs"]
mod backends;

use std::cell::Cell;
use std::error::Error as _;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use mcp_api_keys::alert::{Alert, AlertLedger, AlertRequest, AlertRule, KeyHabits};
use mcp_api_keys::audit::AuditFilter;
use mcp_api_keys::key::{KeyRecord, KeyStatus, Revision};
use mcp_api_keys::store::{
    AuditPage, Change, ChangeLog, DeadLetter, KeyFilter, KeyStore, LetterLedger, MemoryStore,
    PageRequest, PostgresStore, SqliteStore,
};
use mcp_api_keys::testing::act;
use mcp_api_keys::testing::records::{
    Dice, NOON, credential, full_record, handle, random_record, record,
};
use mcp_api_keys::testing::{FaultyStore, store as suite};
use mcp_api_keys::{ApiKeys, Argon2Params, Error, ErrorKind, NewKey, Principal};
use proptest::prelude::*;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqliteSynchronous};
use tempfile::TempDir;
use tokio::sync::Barrier;

// === the suite ===

/// Runs the suite on the stores that a function opens: as values, in boxes, in `Arc`s. With a
/// condition: if it is met.
macro_rules! conformance {
    ($open:ident) => {
        conformance!($open if true);
    };
    ($open:ident if $condition:expr) => {
        mod $open {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn as_a_value() {
                if !$condition {
                    return;
                }
                let files = Files::new();
                suite::run_all(|| super::$open(files.next())).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn in_a_box() {
                if !$condition {
                    return;
                }
                let files = Files::new();
                let open =
                    || async { Box::new(super::$open(files.next()).await) as Box<dyn KeyStore> };
                suite::run_all(open).await;
            }

            #[tokio::test]
            async fn in_an_arc_on_one_thread() {
                if !$condition {
                    return;
                }
                let files = Files::new();
                let open =
                    || async { Arc::new(super::$open(files.next()).await) as Arc<dyn KeyStore> };
                suite::run_all(open).await;
            }
        }
    };
}

conformance!(memory);
conformance!(without_faults);
conformance!(sqlite_in_memory);
conformance!(sqlite_in_a_file);
conformance!(sqlite_on_a_pool);
conformance!(postgres if backends::server().is_some());
conformance!(postgres_on_a_pool if backends::server().is_some());

async fn memory(_: PathBuf) -> MemoryStore {
    MemoryStore::new()
}

async fn without_faults(_: PathBuf) -> FaultyStore<MemoryStore> {
    FaultyStore::new(MemoryStore::new())
}

async fn sqlite_in_memory(_: PathBuf) -> SqliteStore {
    SqliteStore::connect("sqlite::memory:").await.unwrap()
}

async fn sqlite_in_a_file(path: PathBuf) -> SqliteStore {
    SqliteStore::connect(&url(&path)).await.unwrap()
}

/// A program's own pool, with the one setting changed that the store could come to rely on.
async fn sqlite_on_a_pool(path: PathBuf) -> SqliteStore {
    let options = durable(&path).foreign_keys(false);
    let pool = SqlitePool::connect_with(options).await.unwrap();
    SqliteStore::with_pool(pool).await.unwrap()
}

async fn postgres(_: PathBuf) -> PostgresStore {
    let schema = backends::reused_schema().await.unwrap();
    PostgresStore::connect(&schema.url).await.unwrap()
}

/// A program's own pool: with another default isolation, and small enough to be waited for.
async fn postgres_on_a_pool(_: PathBuf) -> PostgresStore {
    let schema = backends::reused_schema().await.unwrap();
    let options: PgConnectOptions = schema.url.parse().unwrap();
    let options = options.options([("default_transaction_isolation", "serializable")]);
    let pool = PgPoolOptions::new().max_connections(3);
    let pool = pool.connect_with(options).await.unwrap();
    PostgresStore::with_pool(pool).await.unwrap()
}

// === SQLite: the file ===

#[cfg(unix)]
#[tokio::test]
async fn a_new_file_and_what_lies_beside_it_are_for_the_owner_only() {
    use std::os::unix::fs::PermissionsExt;

    let files = Files::new();
    let path = files.next();
    let store = sqlite_in_a_file(path.clone()).await;
    store.insert(&record(1), &act()).await.unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let file = format!("{}{suffix}", path.display());
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[tokio::test]
async fn every_connection_syncs_each_commit() {
    let files = Files::new();
    let store = sqlite_in_a_file(files.next()).await;
    let mut connections = Vec::new();
    for _ in 0..store.pool().options().get_max_connections() {
        let mut connection = store.pool().acquire().await.unwrap();
        let settings: (String, i64, i64) = sqlx::query_as(
            "SELECT journal_mode, synchronous, foreign_keys
             FROM pragma_journal_mode, pragma_synchronous, pragma_foreign_keys",
        )
        .fetch_one(&mut *connection)
        .await
        .unwrap();
        assert_eq!(settings, ("wal".to_owned(), 2, 1));
        connections.push(connection);
    }
}

#[tokio::test]
async fn keys_survive_closing_and_opening() {
    let files = Files::new();
    let path = files.next();
    let store = sqlite_in_a_file(path.clone()).await;
    let mut key = full_record(1);
    key.revision = store.insert(&key, &act()).await.unwrap();
    store.close().await.unwrap();
    store.close().await.unwrap();
    assert_eq!(
        store.get(key.id).await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    assert!(
        !beside(&path, "-wal").exists(),
        "the log was moved into the file"
    );

    let store = sqlite_in_a_file(path.clone()).await;
    assert_eq!(store.find_by_handle(&handle(1)).await.unwrap(), Some(key));
    assert_eq!(store.revision().await.unwrap(), Revision::new(1));
    store.close().await.unwrap();
}

#[tokio::test]
async fn an_address_that_leads_nowhere_is_refused_by_name() {
    let files = Files::new();
    let lost = files.next().join("no").join("keys.db");
    for url in [
        "keys.db",
        "postgres://localhost/keys",
        "sqlite:",
        "sqlite://?mode=rwc",
        &url(&lost),
    ] {
        let error = SqliteStore::connect(url).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.field()),
            (ErrorKind::InvalidInput, Some("url")),
            "{url}"
        );
    }
    let text = files.next();
    std::fs::write(
        &text,
        "this is no database, however long one looks at it".repeat(100),
    )
    .unwrap();
    let error = SqliteStore::connect(&url(&text)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
}

// === SQLite: a program's own pool ===

#[tokio::test]
async fn a_pool_whose_commits_a_power_cut_could_undo_is_refused() {
    let files = Files::new();
    for options in [
        durable(&files.next()).synchronous(SqliteSynchronous::Normal),
        durable(&files.next()).journal_mode(SqliteJournalMode::Delete),
        durable(&files.next()).journal_mode(SqliteJournalMode::Memory),
    ] {
        let pool = SqlitePool::connect_with(options).await.unwrap();
        let error = SqliteStore::with_pool(pool).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.field()),
            (ErrorKind::InvalidInput, Some("pool"))
        );
    }
}

#[tokio::test]
async fn a_program_keeps_its_own_tables_and_migrations() {
    let files = Files::new();
    let pool = SqlitePool::connect_with(durable(&files.next()))
        .await
        .unwrap();
    for sql in [
        "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, other TEXT)",
        "INSERT INTO _sqlx_migrations VALUES (1, 'mine'), (99, 'mine')",
        "CREATE TABLE keys (id TEXT)",
    ] {
        sqlx::query(sql).execute(&pool).await.unwrap();
    }
    let store = SqliteStore::with_pool(pool.clone()).await.unwrap();
    store.insert(&record(1), &act()).await.unwrap();
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_schema WHERE type = 'table'
         AND name NOT LIKE 'api\\_key%' ESCAPE '\\' AND name NOT LIKE 'api\\_usage\\_%' ESCAPE '\\'",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(tables, ["_sqlx_migrations", "keys"]);
}

// === SQLite: several at once ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_open_a_new_file_at_once() {
    const MANY: u64 = 8;

    let files = Files::new();
    for _ in 0..25 {
        let path = files.next();
        let start = Arc::new(Barrier::new(8));
        let open = |number| {
            let (path, start) = (path.clone(), start.clone());
            tokio::spawn(async move {
                start.wait().await;
                let store = sqlite_in_a_file(path).await;
                store.insert(&record(number), &act()).await.unwrap();
                store.close().await.unwrap();
            })
        };
        for opened in (0..MANY).map(open).collect::<Vec<_>>() {
            opened.await.unwrap();
        }
        let store = sqlite_in_a_file(path).await;
        assert_eq!(store.revision().await.unwrap(), Revision::new(MANY));
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_reader_of_an_old_file_delays_its_switch_to_wal() {
    let files = Files::new();
    let path = files.next();
    let old = durable(&path).journal_mode(SqliteJournalMode::Delete);
    let pool = SqlitePool::connect_with(old).await.unwrap();
    sqlx::query("CREATE TABLE mine (id INTEGER)")
        .execute(&pool)
        .await
        .unwrap();
    let mut reading = pool.begin().await.unwrap();
    sqlx::query("SELECT * FROM mine")
        .fetch_all(&mut *reading)
        .await
        .unwrap();

    let opening = tokio::spawn(sqlite_in_a_file(path));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!opening.is_finished());
    drop(reading);
    opening
        .await
        .unwrap()
        .insert(&record(1), &act())
        .await
        .unwrap();
}

#[tokio::test]
async fn two_stores_on_one_file_see_what_the_other_does() {
    let files = Files::new();
    let path = files.next();
    let ours = sqlite_in_a_file(path.clone()).await;
    let theirs = sqlite_in_a_file(path).await;

    let mut key = record(1);
    key.revision = ours.insert(&key, &act()).await.unwrap();
    assert_eq!(
        theirs.find_by_handle(&handle(1)).await.unwrap().as_ref(),
        Some(&key)
    );
    key.status = KeyStatus::Disabled;
    theirs.replace(&key, key.revision, &act()).await.unwrap();
    assert_eq!(
        ours.get(key.id).await.unwrap().unwrap().status,
        KeyStatus::Disabled
    );
    assert_eq!(
        ours.replace(&key, key.revision, &act())
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Conflict
    );
    let ChangeLog::Changes(log) = ours.changes_since(Revision::new(0), 10).await.unwrap() else {
        panic!("the log is whole");
    };
    assert_eq!(log[1].subject, key.id.into());
    assert_ne!(log[0].stamp, log[1].stamp);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_two_stores_on_one_file_wait_for_each_other() {
    let files = Files::new();
    let path = files.next();
    let mut writers = Vec::new();
    for writer in 0..2 {
        let store = sqlite_in_a_file(path.clone()).await;
        for task in 0..4 {
            let store = store.clone();
            writers.push(tokio::spawn(async move {
                for write in 0..25 {
                    store
                        .insert(&record(writer * 1_000 + task * 100 + write), &act())
                        .await
                        .unwrap();
                }
            }));
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let store = sqlite_in_a_file(path).await;
    let ChangeLog::Changes(log) = store.changes_since(Revision::new(0), 1_000).await.unwrap()
    else {
        panic!("the log is whole");
    };
    assert!(
        log.iter()
            .map(|change| change.revision.as_u64())
            .eq(1..=200)
    );
}

#[tokio::test]
async fn a_lock_that_does_not_end_is_unavailable_for_writers_only() {
    let files = Files::new();
    let path = files.next();
    let store = sqlite_in_a_file(path.clone()).await;
    store.insert(&record(1), &act()).await.unwrap();
    let impatient = durable(&path).busy_timeout(Duration::from_millis(20));
    let blocked = SqliteStore::with_pool(SqlitePool::connect_with(impatient).await.unwrap());
    let blocked = blocked.await.unwrap();

    let lock = store.pool().begin_with("BEGIN IMMEDIATE").await.unwrap();
    let error = blocked.insert(&record(2), &act()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.source().is_some());
    assert!(blocked.find_by_handle(&handle(1)).await.unwrap().is_some());
    drop(lock);
    store.insert(&record(3), &act()).await.unwrap();
}

// === SQLite: the log ===

#[tokio::test]
async fn the_log_keeps_the_newest_changes_and_says_what_it_lost() {
    let store = sqlite_in_memory(PathBuf::new()).await;
    store.insert(&record(1), &act()).await.unwrap();
    execute(&store, "UPDATE api_key_counter SET revision = 150998").await;
    for number in 2..=4 {
        store.insert(&record(number), &act()).await.unwrap();
    }
    execute(
        &store,
        "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 150998)
         INSERT INTO api_key_changes SELECT i, 'key_0000000000000000000001', 0 FROM n",
    )
    .await;
    execute(&store, "UPDATE api_key_counter SET revision = 151999").await;
    store.insert(&record(5), &act()).await.unwrap();

    let newest = Revision::new(152_000);
    let reach = |since| store.changes_since(Revision::new(since), 1);
    assert_eq!(reach(51_999).await.unwrap(), ChangeLog::OutOfReach(newest));
    let first = Change {
        revision: Revision::new(52_001),
        subject: record(1).id.into(),
        stamp: 0,
    };
    assert_eq!(
        reach(52_000).await.unwrap(),
        ChangeLog::Changes(vec![first])
    );

    execute(&store, "DELETE FROM api_key_changes").await;
    assert_eq!(reach(151_999).await.unwrap(), ChangeLog::OutOfReach(newest));
    assert_eq!(
        reach(152_000).await.unwrap(),
        ChangeLog::Changes(Vec::new())
    );
}

// === SQLite: damage ===

#[tokio::test]
async fn a_record_that_cannot_be_read_back_is_corrupt_and_shows_no_hash() {
    for damage in [
        "UPDATE api_keys SET record = substr(record, 1, length(record) - 9)",
        "UPDATE api_keys SET record = 'null'",
        "UPDATE api_keys SET record = json_remove(record, '$.status')",
        "UPDATE api_keys SET record = json_set(record, '$.credentials[0].id', record -> '$.credentials[0].hash')",
        "UPDATE api_keys SET record = json_set(record, '$.scopes', json_array(record ->> '$.credentials[0].hash'))",
        "UPDATE api_keys SET record = json_set(record, '$.status.state', record ->> '$.credentials[0].hash')",
        "UPDATE api_keys SET record = json_set(record, '$.id', 'key_0000000000000000000009')",
        "UPDATE api_keys SET status = 'revoked'",
        "UPDATE api_keys SET owner = 'somebody'",
        "UPDATE api_keys SET expires_at = 1",
        "UPDATE api_keys SET revision = -1",
        "UPDATE api_key_handles SET handle = 'Handle7'",
        "ALTER TABLE api_keys DROP COLUMN record",
        "DROP TABLE api_keys",
    ] {
        let store = sqlite_in_memory(PathBuf::new()).await;
        store.insert(&record(1), &act()).await.unwrap();
        let looked_up = if damage.contains("Handle7") {
            handle(7)
        } else {
            handle(1)
        };
        execute(&store, "PRAGMA foreign_keys = OFF").await;
        execute(&store, damage).await;

        let found = store.find_by_handle(&looked_up).await;
        assert_is_corrupt(&found.unwrap_err(), damage);
        if !damage.contains("Handle7") {
            let listed = store.list(&KeyFilter::all(), PageRequest::default()).await;
            let error = listed.unwrap_err();
            assert_is_corrupt(&error, damage);
            // Whoever is to mend it is told which one it is.
            let id = record(1).id.to_string();
            let is_of_the_row = !damage.contains("TABLE");
            assert_eq!(
                error.to_string().contains(&id),
                is_of_the_row,
                "{damage}: {error}"
            );
        }
    }
}

/// A list fails as a whole rather than pass over what may be a restriction; and says which row it was.
#[tokio::test]
async fn every_row_that_cannot_be_read_is_named() {
    let store = sqlite_in_memory(PathBuf::new()).await;
    let key = record(1).id;
    store.insert(&record(1), &act()).await.unwrap();
    let alert = Alert::new(key, AlertRule::Idle, NOON, 95, 90);
    store.put(&[alert]).await.unwrap();
    let habits = KeyHabits {
        key,
        seen_at: NOON,
        networks: Vec::new(),
        per_minute: 1,
        minutes: 1,
    };
    store.put_habits(&[habits]).await.unwrap();
    let letter = DeadLetter {
        id: "ltr_7".to_owned(),
        event: serde_json::Value::Null,
        attempts: 1,
        reason: String::new(),
        at: NOON,
    };
    store.keep(&[letter]).await.unwrap();
    for damage in [
        "UPDATE api_key_alerts SET body = '{}'",
        "UPDATE api_key_habits SET body = '{}'",
        "UPDATE api_key_letters SET body = '{}'",
        "UPDATE api_key_audit SET action = 'odd'",
        "UPDATE api_key_changes SET subject = 'odd:one'",
        "INSERT INTO api_key_uses VALUES ((SELECT id FROM api_keys), -1, 0)",
    ] {
        execute(&store, damage).await;
    }
    let key = key.to_string();
    let trail = store
        .audit(&AuditFilter::default(), AuditPage::newest(10))
        .await;
    let log = store.changes_since(Revision::new(0), 10).await;
    let alerts = AlertLedger::read(&store, &AlertRequest::latest(10)).await;
    for (error, name) in [
        (alerts.unwrap_err(), &*key),
        (store.habits(10).await.unwrap_err(), &*key),
        (store.uses(&[record(1).id]).await.unwrap_err(), &*key),
        (store.letters(10).await.unwrap_err(), "ltr_7"),
        (trail.unwrap_err(), "revision 1 "),
        (log.unwrap_err(), "revision 1"),
    ] {
        assert_is_corrupt(&error, name);
        assert!(error.to_string().contains(name), "{error}");
    }
}

/// What stands in the way of every list can be removed, by whoever may remove anything.
#[tokio::test]
async fn an_admin_deletes_what_cannot_be_read() {
    let store = sqlite_in_memory(PathBuf::new()).await;
    let keys = ApiKeys::builder(store.clone())
        .argon2(Argon2Params::new(64, 1, 1).unwrap())
        .build()
        .await
        .unwrap();
    let manager = keys.manager();
    let good = manager
        .issue(NewKey::named("good"))
        .await
        .unwrap()
        .info()
        .id;
    let bad = NewKey::named("bad").owner("ada");
    let bad = manager.issue(bad).await.unwrap().info().id;
    execute(
        &store,
        "UPDATE api_keys SET record = 'null' WHERE name = 'bad'",
    )
    .await;
    let all = (KeyFilter::all(), PageRequest::default());
    let error = manager.list(&all.0, all.1).await.unwrap_err();
    assert!(error.to_string().contains(&bad.to_string()), "{error}");
    let ada = manager.acting_as(Principal::member("ada".parse().unwrap()));
    let refused = ada.delete(bad).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Corrupt);

    assert!(manager.delete(bad).await.unwrap());
    let left = manager.list(&all.0, all.1).await.unwrap().keys;
    assert_eq!(left.iter().map(|key| key.id).collect::<Vec<_>>(), [good]);
    let trail = store
        .audit(&AuditFilter::default(), AuditPage::newest(1))
        .await;
    assert_eq!(trail.unwrap()[0].subject, bad.into());
    assert!(!manager.delete(bad).await.unwrap());
}

#[tokio::test]
async fn a_damaged_counter_or_log_is_corrupt() {
    for damage in [
        "DELETE FROM api_key_counter",
        "UPDATE api_key_counter SET revision = -1",
        "UPDATE api_key_changes SET subject = 'rubbish'",
    ] {
        let store = sqlite_in_memory(PathBuf::new()).await;
        store.insert(&record(1), &act()).await.unwrap();
        execute(&store, damage).await;
        let log = store.changes_since(Revision::new(0), 10).await;
        assert_is_corrupt(&log.unwrap_err(), damage);
        if damage.contains("counter") {
            assert!(store.revision().await.is_err());
        }
    }
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let files = Files::new();
    let path = files.next();
    let store = sqlite_in_a_file(path.clone()).await;
    execute(
        &store,
        "INSERT INTO api_key_migrations SELECT 1000000, 'later', installed_on, success, checksum, 0
         FROM api_key_migrations LIMIT 1",
    )
    .await;
    let error = SqliteStore::connect(&url(&path)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.source().is_some());
}

#[tokio::test]
async fn no_error_of_a_write_shows_a_hash() {
    let store = sqlite_in_memory(PathBuf::new()).await;
    let mut key = record(1);
    key.revision = store.insert(&key, &act()).await.unwrap();
    let mut thief = record(1);
    thief.id = record(2).id;
    execute(&store, "PRAGMA query_only = ON").await;
    let refused = store.insert(&record(3), &act()).await.unwrap_err();
    execute(&store, "PRAGMA query_only = OFF").await;
    for error in [
        refused,
        store.insert(&key, &act()).await.unwrap_err(),
        store.insert(&thief, &act()).await.unwrap_err(),
        store
            .replace(&key, Revision::new(9), &act())
            .await
            .unwrap_err(),
    ] {
        assert_shows_no_hash(&error);
    }
}

#[tokio::test]
async fn nothing_that_is_logged_shows_a_hash() {
    static SEEN: AtomicUsize = AtomicUsize::new(0);
    static LEAKED: AtomicUsize = AtomicUsize::new(0);

    struct Watch;
    impl std::io::Write for Watch {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            let text = String::from_utf8_lossy(line);
            SEEN.fetch_add(text.matches("INSERT INTO api_keys").count(), Relaxed);
            LEAKED.fetch_add(text.matches("argon2id").count(), Relaxed);
            Ok(line.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(|| Watch)
        .init();
    let files = Files::new();
    for store in [
        sqlite_on_a_pool(files.next()).await,
        sqlite_in_a_file(files.next()).await,
    ] {
        let mut key = full_record(1);
        key.revision = store.insert(&key, &act()).await.unwrap();
        store.insert(&key, &act()).await.unwrap_err();
        store.replace(&key, key.revision, &act()).await.unwrap();
        store.find_by_handle(&handle(1)).await.unwrap();
        store.close().await.unwrap();
    }
    assert_ne!(
        SEEN.load(Relaxed),
        0,
        "the program's own pool logs statements"
    );
    assert_eq!(LEAKED.load(Relaxed), 0);
}

fn assert_is_corrupt(error: &Error, context: &str) {
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{context}: {error:?}");
    assert_shows_no_hash(error);
}

fn assert_shows_no_hash(error: &Error) {
    let mut shown = format!("{error:?}");
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        shown += &format!(" {error} {error:?}");
        cause = error.source();
    }
    assert!(
        !shown.contains("argon2id") && !shown.contains("c2FsdA"),
        "{shown}"
    );
}

// === all stores answer alike ===

/// The suite does not ask for it, since not every database can store it.
#[tokio::test]
async fn a_nul_in_a_text_is_a_character_like_any_other() {
    for store in [
        Box::new(MemoryStore::new()) as Box<dyn KeyStore>,
        Box::new(sqlite_in_memory(PathBuf::new()).await),
    ] {
        let mut key = record(1);
        "BACK\0UP".clone_into(&mut key.name);
        key.revision = store.insert(&key, &act()).await.unwrap();
        assert_eq!(store.get(key.id).await.unwrap().as_ref(), Some(&key));
        assert_eq!(
            store
                .find_by_handle(&format!("{}\0", handle(1)))
                .await
                .unwrap(),
            None
        );
        for (part, found) in [
            ("k\0u", 1),
            ("\0", 1),
            ("up", 1),
            ("k\0p", 0),
            ("back\0up\0", 0),
        ] {
            let mut filter = KeyFilter::all();
            filter.name_contains = Some(part.to_owned());
            let page = store.list(&filter, PageRequest::default()).await.unwrap();
            assert_eq!(page.records.len(), found, "{part:?}");
        }
    }
}

/// One call. Numbers choose from the few keys and handles that a sequence plays with.
#[derive(Clone, Debug)]
enum Step {
    Insert {
        key: u64,
        handles: Vec<u64>,
        seed: u64,
    },
    Replace {
        key: u64,
        handles: Vec<u64>,
        seed: u64,
        behind: u64,
    },
    Delete(u64),
    Get(u64),
    Find(u64),
    List {
        seed: u64,
        after: Option<u64>,
        size: usize,
    },
    Changes {
        since: u64,
        limit: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..6_u64;
    let handles = prop::collection::vec(0..8_u64, 0..3);
    prop_oneof![
        4 => (key.clone(), handles.clone(), any::<u64>())
            .prop_map(|(key, handles, seed)| Step::Insert { key, handles, seed }),
        4 => (key.clone(), handles, any::<u64>(), prop_oneof![3 => Just(0), 1 => 1..3_u64])
            .prop_map(|(key, handles, seed, behind)| Step::Replace { key, handles, seed, behind }),
        2 => key.clone().prop_map(Step::Delete),
        1 => key.clone().prop_map(Step::Get),
        2 => (0..8_u64).prop_map(Step::Find),
        2 => (any::<u64>(), prop::option::of(key), 0..5_usize)
            .prop_map(|(seed, after, size)| Step::List { seed, after, size }),
        2 => (0..30_u64, 0..6_usize).prop_map(|(since, limit)| Step::Changes { since, limit }),
    ]
}

/// Carries a step out and says what came of it.
async fn answer(store: &dyn KeyStore, step: &Step) -> String {
    match step {
        Step::Insert { key, handles, seed } => {
            said(store.insert(&made(*key, handles, *seed), &act()).await)
        }
        Step::Replace {
            key,
            handles,
            seed,
            behind,
        } => {
            let stored = store.get(record(*key).id).await.unwrap();
            let current = stored.map_or(0, |record| record.revision.as_u64());
            let expected = Revision::new(current.saturating_sub(*behind));
            said(
                store
                    .replace(&made(*key, handles, *seed), expected, &act())
                    .await,
            )
        }
        Step::Delete(key) => said(store.delete(record(*key).id, &act()).await),
        Step::Get(key) => said(store.get(record(*key).id).await),
        Step::Find(number) => said(store.find_by_handle(&handle(*number)).await),
        Step::List { seed, after, size } => {
            let page = PageRequest {
                after: after.map(|key| record(key).id),
                size: *size,
            };
            let filter = suite::random_filter(&mut Dice::new(*seed));
            said(store.list(&filter, page).await)
        }
        Step::Changes { since, limit } => {
            let log = store.changes_since(Revision::new(*since), *limit).await;
            said(log.map(unstamped))
        }
    }
}

/// Stamps are drawn, so that no two stores have the same.
fn unstamped(mut log: ChangeLog) -> ChangeLog {
    if let ChangeLog::Changes(changes) = &mut log {
        changes.iter_mut().for_each(|change| change.stamp = 0);
    }
    log
}

fn made(key: u64, handles: &[u64], seed: u64) -> KeyRecord {
    let mut dice = Dice::new(seed);
    let mut made = random_record(key, &mut dice);
    made.credentials = handles
        .iter()
        .map(|number| credential(&handle(*number)))
        .collect();
    made
}

fn said<T: Debug>(result: Result<T, Error>) -> String {
    format!("{:?}", result.map_err(|error| error.kind()))
}

#[test]
fn random_sequences_have_the_same_answers_in_all_stores() {
    let cases = std::env::var("MCP_KEYS_SEQUENCES")
        .ok()
        .and_then(|count| count.parse().ok());
    let config = ProptestConfig {
        cases: cases.unwrap_or(300),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(backends::postgres());
    let ran = Cell::new(0_u32);
    proptest!(config, |(steps in prop::collection::vec(step(), 1..40))| {
        runtime.block_on(async {
            let memory = MemoryStore::new();
            let sqlite = sqlite_in_memory(PathBuf::new()).await;
            let mut stores: Vec<&dyn KeyStore> = vec![&sqlite];
            // A call to the server takes a hundred times as long; without a number given, it sees some.
            ran.set(ran.get() + 1);
            if let Some(server) = &server && (cases.is_some() || ran.get().is_multiple_of(6)) {
                backends::reused_schema().await.unwrap();
                stores.push(server);
            }
            for step in &steps {
                let expected = answer(&memory, step).await;
                for store in &stores {
                    assert_eq!(answer(*store, step).await, expected, "{step:?} {store:?}");
                }
            }
            let (all, page) = (KeyFilter::all(), PageRequest::default());
            let expected = memory.list(&all, page).await.unwrap().records;
            for store in &stores {
                let step = Step::Changes { since: 0, limit: 1_000 };
                assert_eq!(answer(*store, &step).await, answer(&memory, &step).await);
                let theirs = store.list(&all, page).await.unwrap().records;
                assert_eq!(theirs, expected, "{store:?}");
            }
            sqlite.close().await.unwrap();
        });
    });
}

// === helpers ===

/// Names for new files, in a folder that goes with it.
struct Files {
    folder: TempDir,
    count: Cell<u32>,
}

impl Files {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            count: Cell::new(0),
        }
    }

    fn next(&self) -> PathBuf {
        self.count.set(self.count.get() + 1);
        self.folder
            .path()
            .join(format!("keys {}.db", self.count.get()))
    }
}

fn url(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    format!("{}{suffix}", path.display()).into()
}

fn durable(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
}

async fn execute(store: &SqliteStore, sql: &'static str) {
    sqlx::query(sql).execute(store.pool()).await.unwrap();
}
