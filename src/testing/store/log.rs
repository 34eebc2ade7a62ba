//! Revisions and the change log.

use super::{changes, conflicts, fails_with, insert, log_of, ok, replace};
use crate::error::ErrorKind;
use crate::key::{KeyRecord, Revision};
use crate::store::{ChangeLog, KeyStore};
use crate::testing::act;
use crate::testing::records::record;

/// Each write takes the next revision and leaves one change, a deletion too.
pub async fn logs_every_write_without_gaps(store: &dyn KeyStore) {
    let (mut first, mut second) = (record(1), record(2));
    insert(store, &mut first).await;
    insert(store, &mut second).await;
    replace(store, &mut first).await;
    ok(store.delete(second.id, &act()).await);
    replace(store, &mut first).await;

    assert_eq!(ok(store.revision().await), Revision::new(5));
    let keys = [first.id, second.id, first.id, second.id, first.id];
    assert_eq!(changes(store, 0, 100).await, log_of(1, &keys));
}

/// A write that fails leaves counter and log as they were.
pub async fn takes_no_revision_for_a_failed_write(store: &dyn KeyStore) {
    insert(store, &mut record(1)).await;
    conflicts(store.insert(&record(1), &act()).await);
    conflicts(
        store
            .insert(
                &KeyRecord {
                    id: record(2).id,
                    ..record(1)
                },
                &act(),
            )
            .await,
    );
    conflicts(store.replace(&record(1), Revision::new(9), &act()).await);
    fails_with(
        ErrorKind::NotFound,
        store.replace(&record(3), Revision::new(1), &act()).await,
    );
    assert!(!ok(store.delete(record(3).id, &act()).await));

    assert_eq!(ok(store.revision().await), Revision::new(1));
    assert_eq!(changes(store, 0, 100).await, log_of(1, &[record(1).id]));
    assert_eq!(ok(store.insert(&record(2), &act()).await), Revision::new(2));
}

/// What is derived from a secret is written without a revision and without a change.
pub async fn amends_without_a_revision(store: &dyn KeyStore) {
    let mut key = record(1);
    insert(store, &mut key).await;
    let mut amended = key.clone();
    for credential in &mut amended.credentials {
        credential.hash = "another hash of the same secret".to_owned();
        credential.set_tag(None);
    }
    ok(store.amend(&amended).await);
    assert_eq!(ok(store.get(key.id).await), Some(amended.clone()));
    assert_eq!(ok(store.revision().await), key.revision);
    assert_eq!(changes(store, 0, 100).await, log_of(1, &[key.id]));

    // Somebody who read before the change must not undo it.
    replace(store, &mut key).await;
    let late = store.amend(&amended).await.map_err(|error| error.kind());
    assert_eq!(late, Err(ErrorKind::Conflict));
    assert_eq!(ok(store.get(key.id).await), Some(key));
    let unknown = store.amend(&record(3)).await.map_err(|error| error.kind());
    assert_eq!(unknown, Err(ErrorKind::NotFound));
}

/// Changes are read oldest first, in batches of any size.
pub async fn reads_changes_in_order_and_in_batches(store: &dyn KeyStore) {
    let keys: Vec<_> = (1..=7).map(|number| record(number).id).collect();
    for number in 1..=7 {
        insert(store, &mut record(number)).await;
    }
    assert_eq!(changes(store, 0, 3).await, log_of(1, &keys[..3]));
    assert_eq!(changes(store, 3, 3).await, log_of(4, &keys[3..6]));
    assert_eq!(changes(store, 6, 3).await, log_of(7, &keys[6..]));
    assert_eq!(changes(store, 7, 3).await, log_of(8, &[]));
    assert_eq!(changes(store, 2, 0).await, log_of(3, &[]));
    assert_eq!(changes(store, 0, usize::MAX).await, log_of(1, &keys));
}

/// A revision that the store has never had, as after a restored backup, is not "no changes".
pub async fn says_that_a_revision_is_out_of_reach(store: &dyn KeyStore) {
    for current in 0..3 {
        let answer = ChangeLog::OutOfReach(Revision::new(current));
        for since in [
            current + 1,
            current + 1_000,
            i64::MAX as u64,
            u64::MAX - 1,
            u64::MAX,
        ] {
            assert_eq!(changes(store, since, 10).await, answer, "{since}");
            assert_eq!(changes(store, since, 0).await, answer, "{since}");
        }
        insert(store, &mut record(current)).await;
    }
}
