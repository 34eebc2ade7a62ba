//! Many callers at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{all, changes, insert, log_of, ok};
use crate::error::ErrorKind;
use crate::key::{CodeId, KeyRecord, Revision};
use crate::store::{ChangeLog, Document, KeyStore};
use crate::testing::act;
use crate::testing::records::{NOON, handle, record};

/// Of many writers that saw the same state, one wins; the others are told.
pub async fn lets_one_of_many_replaces_win(store: Arc<dyn KeyStore>) {
    let mut key = record(1);
    insert(&store, &mut key).await;
    let tasks = (0..16).map(|number| {
        let (store, mut mine) = (store.clone(), key.clone());
        mine.name = format!("winner {number}");
        tokio::spawn(async move { (store.replace(&mine, mine.revision, &act()).await, mine) })
    });
    let mut winners = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        let (result, mut mine) = task.await.expect("the task ends");
        match result {
            Ok(revision) => {
                mine.revision = revision;
                winners.push(mine);
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(all(&store).await, winners);
    assert_eq!(ok(store.revision().await), Revision::new(2));
}

/// Of many who saw the same document, or none, one writes it; and of many who would remove it one
/// does.
pub async fn lets_one_of_many_writes_of_a_document_win(store: Arc<dyn KeyStore>) {
    let (_, code) = CodeId::generate(NOON);
    let mut revision = Revision::default();
    for round in 1..=3_u64 {
        let tasks = (0..16).map(|number| {
            let store = store.clone();
            let document = Document {
                subject: code.into(),
                body: serde_json::json!({"number": number}),
                revision,
            };
            tokio::spawn(async move {
                let written = match round {
                    3 => {
                        store
                            .remove_document(&document.subject, revision, &act())
                            .await
                    }
                    _ => store.put_document(&document, &act()).await,
                };
                (written, document)
            })
        });
        let mut winners = Vec::new();
        for task in tasks.collect::<Vec<_>>() {
            let (result, mut document) = task.await.expect("the task ends");
            match result {
                Ok(revision) => {
                    document.revision = revision;
                    winners.push(document);
                }
                Err(error) if round == 3 && error.kind() == ErrorKind::NotFound => {}
                Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
            }
        }
        assert_eq!(winners.len(), 1);
        revision = Revision::new(round);
        let stored = ok(store.document(&code.into()).await);
        assert_eq!(stored, winners.pop().filter(|_| round < 3));
    }
    assert_eq!(ok(store.revision().await), revision);
}

/// Of many keys with one handle, one is inserted.
pub async fn lets_one_of_many_inserts_win(store: Arc<dyn KeyStore>) {
    let tasks = (0..16).map(|number| {
        let store = store.clone();
        let key = KeyRecord {
            id: record(number).id,
            ..record(100)
        };
        tokio::spawn(async move { store.insert(&key, &act()).await.map(|_| key.id) })
    });
    let mut winners = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        match task.await.expect("the task ends") {
            Ok(id) => winners.push(id),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
        }
    }
    let stored: Vec<_> = all(&store).await.iter().map(|record| record.id).collect();
    assert_eq!(stored, winners);
    assert_eq!(winners.len(), 1);
}

/// A reader that has seen a revision has missed none below it, however many write at once.
pub async fn commits_in_the_order_of_revisions(store: Arc<dyn KeyStore>) {
    const WRITERS: u64 = 8;
    const WRITES: u64 = 25;

    let writers = (0..WRITERS).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for write in 0..WRITES {
                insert(&store, &mut record(writer * WRITES + write)).await;
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut seen = Vec::new();
    while seen.len() < usize::try_from(WRITERS * WRITES).unwrap_or(usize::MAX) {
        let since = Revision::new(seen.len() as u64);
        let ChangeLog::Changes(batch) = ok(store.changes_since(since, 7).await) else {
            panic!("the log reaches all the way back");
        };
        for change in batch {
            assert_eq!(change.revision, Revision::new(seen.len() as u64 + 1));
            let key = change.subject.key().expect("only keys are written");
            let found = ok(store.get(key).await);
            assert_eq!(found.map(|key| key.revision), Some(change.revision));
            seen.push(key);
        }
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.expect("the writer ends");
    }
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len());
}

/// A write whose caller goes away, at any point, happens as a whole or not at all.
pub async fn leaves_an_abandoned_write_whole_or_absent(store: Arc<dyn KeyStore>) {
    for number in 0..60 {
        let key = record(number);
        let writing = store.clone();
        let write = tokio::spawn(async move { writing.insert(&key, &act()).await });
        for _ in 0..number % 20 {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_micros(number * 20)).await;
        write.abort();
        // Whatever became of it, the store goes on.
        insert(&store, &mut record(1_000 + number)).await;
    }
    let stored = all(&store).await;
    for number in 0..60 {
        let found = ok(store.find_by_handle(&handle(number)).await);
        assert_eq!(
            found.as_ref(),
            stored.iter().find(|key| key.id == record(number).id)
        );
    }
    assert_eq!(
        ok(store.revision().await),
        Revision::new(stored.len() as u64)
    );
    let mut by_revision = stored;
    by_revision.sort_by_key(|key| key.revision);
    let keys: Vec<_> = by_revision.iter().map(|key| key.id).collect();
    assert_eq!(changes(&store, 0, usize::MAX).await, log_of(1, &keys));
}

/// Many take from one quota, and together not more than there is.
pub async fn never_gives_more_of_a_quota_than_there_is(store: Arc<dyn KeyStore>) {
    insert(&store, &mut record(1)).await;
    let account = super::account(record(1).id, "daily", NOON);
    let tasks = (1..=40_u64).map(|wanted| {
        let (store, account) = (store.clone(), account.clone());
        tokio::spawn(async move { ok(store.take(&account, wanted, 500).await) })
    });
    let mut given = 0;
    for task in tasks.collect::<Vec<_>>() {
        given += task.await.expect("the task ends");
    }
    // They wanted 820.
    assert_eq!(given, 500);
    assert_eq!(ok(store.taken(record(1).id).await)[0].units, 500);
}
