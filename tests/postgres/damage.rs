//! What cannot be read back, and what errors and logs show.

use std::error::Error as _;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use mcp_api_keys::key::Revision;
use mcp_api_keys::store::{KeyFilter, KeyStore, PageRequest};
use mcp_api_keys::testing::act;
use mcp_api_keys::testing::records::{full_record, handle, record};
use mcp_api_keys::{Error, ErrorKind};

use crate::world::{execute, open, schema};

#[tokio::test]
async fn a_record_that_cannot_be_read_back_is_corrupt_and_shows_no_hash() {
    let schema = schema!();
    let store = open(&schema.url).await;
    for damage in [
        "UPDATE api_keys SET record = substr(record, 1, length(record) - 9)",
        "UPDATE api_keys SET record = 'null'",
        "UPDATE api_keys SET record = (record::JSONB - 'status')::TEXT",
        "UPDATE api_keys SET record = jsonb_set(record::JSONB, '{credentials,0,id}', record::JSONB #> '{credentials,0,hash}')::TEXT",
        "UPDATE api_keys SET record = jsonb_set(record::JSONB, '{id}', '\"key_0000000000000000000009\"')::TEXT",
        "UPDATE api_keys SET status = 'revoked'",
        "UPDATE api_keys SET owner = 'somebody'",
        "UPDATE api_keys SET expires_at = 1",
        "UPDATE api_keys SET revision = -1",
        "UPDATE api_key_handles SET handle = 'Handle7'",
        "ALTER TABLE api_keys RENAME record TO lost",
        "ALTER TABLE api_keys RENAME lost TO record; ALTER TABLE api_keys RENAME TO gone",
    ] {
        if !damage.contains("lost") {
            store.delete(record(1).id, &act()).await.unwrap();
            store.insert(&record(1), &act()).await.unwrap();
        }
        execute(&schema.url, damage).await;
        let wanted = if damage.contains("Handle7") {
            handle(7)
        } else {
            handle(1)
        };
        assert_is_corrupt(&store.find_by_handle(&wanted).await.unwrap_err(), damage);
        if !damage.contains("Handle7") {
            let listed = store.list(&KeyFilter::all(), PageRequest::default()).await;
            assert_is_corrupt(&listed.unwrap_err(), damage);
        }
    }
}

#[tokio::test]
async fn a_damaged_counter_or_log_is_corrupt() {
    for damage in [
        "UPDATE api_key_counter SET revision = -1",
        "UPDATE api_key_changes SET subject = 'rubbish'",
        "DELETE FROM api_key_counter",
    ] {
        let schema = schema!();
        let store = open(&schema.url).await;
        store.insert(&record(1), &act()).await.unwrap();
        execute(&schema.url, damage).await;
        let log = store.changes_since(Revision::new(0), 10).await;
        assert_is_corrupt(&log.unwrap_err(), damage);
        if damage.contains("counter") {
            assert_is_corrupt(&store.revision().await.unwrap_err(), damage);
        }
        if damage.contains("DELETE") {
            let written = store.insert(&record(2), &act()).await;
            assert_is_corrupt(&written.unwrap_err(), damage);
        }
    }
}

/// A rule of the tables that a row breaks is told by PostgreSQL together with the row.
#[tokio::test]
async fn no_error_shows_a_hash() {
    let schema = schema!();
    let store = open(&schema.url).await;
    let mut key = record(1);
    key.revision = store.insert(&key, &act()).await.unwrap();
    let mut thief = record(1);
    thief.id = record(2).id;
    for error in [
        store.insert(&key, &act()).await.unwrap_err(),
        store.insert(&thief, &act()).await.unwrap_err(),
        store
            .replace(&key, Revision::new(9), &act())
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_shows_no_hash(&error);
    }
    execute(
        &schema.url,
        "ALTER TABLE api_keys ADD CONSTRAINT hostile CHECK (name = '') NOT VALID",
    )
    .await;
    let refused = store.insert(&record(3), &act()).await.unwrap_err();
    assert_is_corrupt(&refused, "a check");
    assert!(refused.source().is_some());
}

#[tokio::test]
async fn a_nul_is_refused_and_found_nowhere() {
    let schema = schema!();
    let store = open(&schema.url).await;
    let mut key = record(1);
    "BACK\0UP".clone_into(&mut key.name);
    let refused = store.insert(&key, &act()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{refused:?}");
    store.insert(&record(1), &act()).await.unwrap();
    let found = store.find_by_handle(&format!("{}\0", handle(1))).await;
    assert_eq!(found.unwrap(), None);
    let mut filter = KeyFilter::all();
    filter.name_contains = Some("\0".to_owned());
    let page = store.list(&filter, PageRequest::default()).await.unwrap();
    assert!(page.records.is_empty());
}

#[tokio::test]
async fn nothing_that_is_logged_shows_a_hash() {
    static SEEN: AtomicUsize = AtomicUsize::new(0);
    static LEAKED: AtomicUsize = AtomicUsize::new(0);

    struct Watch;
    impl std::io::Write for Watch {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            let text = String::from_utf8_lossy(line);
            SEEN.fetch_add(1, Relaxed);
            LEAKED.fetch_add(text.matches("argon2id").count(), Relaxed);
            LEAKED.fetch_add(text.matches("INSERT INTO api_keys").count(), Relaxed);
            Ok(line.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let schema = schema!();
    let log = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(|| Watch)
        .finish();
    let _log = tracing::subscriber::set_default(log);
    let store = open(&schema.url).await;
    let mut key = full_record(1);
    key.revision = store.insert(&key, &act()).await.unwrap();
    store.insert(&key, &act()).await.unwrap_err();
    store.replace(&key, key.revision, &act()).await.unwrap();
    store.find_by_handle(&handle(1)).await.unwrap();
    store.close().await;
    assert_ne!(SEEN.load(Relaxed), 0, "the driver logs something");
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
