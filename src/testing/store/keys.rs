//! Writing and reading keys one by one.

use super::{all, changes, conflicts, fails_with, insert, ok, replace};
use crate::clock::Timestamp;
use crate::error::ErrorKind;
use crate::key::{KeyId, KeyRecord, Revision};
use crate::store::{ChangeLog, KeyStore};
use crate::testing::act;
use crate::testing::records::{credential, full_record, handle, record};

/// There is nothing in a new store, and reading it is no error.
pub async fn begins_empty(store: &dyn KeyStore) {
    let id = record(1).id;
    assert_eq!(ok(store.revision().await), Revision::new(0));
    assert_eq!(ok(store.get(id).await), None);
    assert_eq!(ok(store.find_by_handle(&handle(1)).await), None);
    assert_eq!(all(store).await, []);
    assert_eq!(changes(store, 0, 10).await, ChangeLog::Changes(Vec::new()));
    assert!(!ok(store.delete(id, &act()).await));
    assert_eq!(ok(store.revision().await), Revision::new(0));
}

/// A record comes back as it was written, with the revision of the write.
pub async fn inserts_and_reads_back_every_field(store: &dyn KeyStore) {
    let mut written = full_record(1);
    written.revision = Revision::new(77);
    let revision = ok(store.insert(&written, &act()).await);
    assert_eq!(revision, Revision::new(1));

    written.revision = revision;
    assert_eq!(ok(store.get(written.id).await).as_ref(), Some(&written));
    assert_eq!(all(store).await, [written.clone()]);
    for found_by in [handle(1), "Old1".to_owned()] {
        assert_eq!(
            ok(store.find_by_handle(&found_by).await).as_ref(),
            Some(&written)
        );
    }
}

/// Texts come back byte for byte, whatever they look like to a database, and so do the limits of
/// numbers and dates.
pub async fn keeps_unusual_texts(store: &dyn KeyStore) {
    let long = "x".repeat(100_000);
    let texts = [
        "",
        " ",
        "NULL",
        "0123",
        "1e5",
        "'); DROP TABLE api_keys; --",
        "%_\\",
        "\u{feff}\u{202e}\u{1f511}\u{10ffff}",
        "e\u{301}",
        "\r\n\t",
        &long,
    ];
    for (number, text) in (0..).zip(texts) {
        let mut written = record(number);
        text.clone_into(&mut written.name);
        written.description = Some(text.to_owned());
        written.metadata.insert(text.to_owned(), text.to_owned());
        insert(store, &mut written).await;
        assert_eq!(
            ok(store.get(written.id).await),
            Some(written),
            "{text:.40?}"
        );
    }

    let mut extreme = record(0);
    extreme.id = KeyId::from_u128(u128::MAX);
    extreme.created_at = Timestamp::from_millis(i64::MIN);
    extreme.expires_at = Some(Timestamp::from_millis(i64::MAX));
    extreme.owner = Some("ö".repeat(64).parse().expect("a valid owner"));
    extreme.credentials = vec![credential(&"z".repeat(64))];
    insert(store, &mut extreme).await;
    assert_eq!(ok(store.get(extreme.id).await), Some(extreme));
}

/// An id is inserted once.
pub async fn refuses_a_taken_id(store: &dyn KeyStore) {
    let mut first = record(1);
    insert(store, &mut first).await;
    let mut second = record(2);
    second.id = first.id;
    conflicts(store.insert(&second, &act()).await);
    assert_eq!(all(store).await, [first]);
    assert_eq!(ok(store.find_by_handle(&handle(2)).await), None);
}

/// A handle belongs to one key; neither `insert` nor `replace` takes it away.
pub async fn refuses_a_taken_handle_and_changes_nothing(store: &dyn KeyStore) {
    let (mut first, mut second) = (record(1), record(2));
    insert(store, &mut first).await;
    insert(store, &mut second).await;

    let mut greedy = record(3);
    greedy.credentials.push(credential(&handle(1)));
    conflicts(store.insert(&greedy, &act()).await);

    let mut changed = second.clone();
    "changed".clone_into(&mut changed.name);
    changed.credentials.insert(0, credential("Free"));
    changed.credentials.push(credential(&handle(1)));
    conflicts(store.replace(&changed, second.revision, &act()).await);

    assert_eq!(all(store).await, [first.clone(), second.clone()]);
    assert_eq!(ok(store.find_by_handle(&handle(1)).await), Some(first));
    assert_eq!(ok(store.find_by_handle(&handle(2)).await), Some(second));
    for never_taken in [handle(3), "Free".to_owned()] {
        assert_eq!(ok(store.find_by_handle(&never_taken).await), None);
    }
}

/// A lookup compares the whole handle, and the case of its letters.
pub async fn finds_handles_exactly(store: &dyn KeyStore) {
    let mut upper = record(1);
    upper.credentials = vec![credential("ABCDEFGH")];
    insert(store, &mut upper).await;
    let mut lower = record(2);
    lower.credentials = vec![credential("abcdefgh"), credential("007")];
    insert(store, &mut lower).await;

    assert_eq!(ok(store.find_by_handle("ABCDEFGH").await), Some(upper));
    assert_eq!(
        ok(store.find_by_handle("abcdefgh").await).as_ref(),
        Some(&lower)
    );
    assert_eq!(ok(store.find_by_handle("007").await), Some(lower));
    for absent in [
        "",
        "A",
        "ABCDEFG",
        "ABCDEFGHI",
        "AbCdEfGh",
        "%",
        "ABCDEFG_",
        "7",
    ] {
        assert_eq!(ok(store.find_by_handle(absent).await), None, "{absent:?}");
    }
}

/// Two secrets of one key may have one handle, as imported ones that begin alike do.
pub async fn keeps_a_handle_that_one_key_has_twice(store: &dyn KeyStore) {
    let mut key = record(1);
    key.credentials.push(credential(&handle(1)));
    insert(store, &mut key).await;
    assert_eq!(
        ok(store.find_by_handle(&handle(1)).await).as_ref(),
        Some(&key)
    );

    key.credentials.remove(0);
    replace(store, &mut key).await;
    assert_eq!(ok(store.find_by_handle(&handle(1)).await), Some(key));
}

/// Who has not seen the latest state cannot overwrite it.
pub async fn replaces_only_the_expected_revision(store: &dyn KeyStore) {
    let mut key = record(1);
    insert(store, &mut key).await;
    insert(store, &mut record(2)).await;
    let stale = key.clone();
    "renamed".clone_into(&mut key.name);
    replace(store, &mut key).await;

    for expected in [
        stale.revision,
        Revision::new(0),
        Revision::new(2),
        Revision::new(u64::MAX),
    ] {
        conflicts(store.replace(&stale, expected, &act()).await);
    }
    assert_eq!(ok(store.get(key.id).await), Some(key));
    fails_with(
        ErrorKind::NotFound,
        store.replace(&record(3), Revision::new(0), &act()).await,
    );
    assert_eq!(ok(store.get(record(3).id).await), None);
}

/// After a rotation the new handle finds the key, and the old one does as long as it is kept.
pub async fn follows_a_rotation(store: &dyn KeyStore) {
    let mut key = record(1);
    insert(store, &mut key).await;

    key.credentials.push(credential("New"));
    replace(store, &mut key).await;
    assert_eq!(
        ok(store.find_by_handle(&handle(1)).await).as_ref(),
        Some(&key)
    );

    key.credentials.remove(0);
    replace(store, &mut key).await;
    assert_eq!(ok(store.find_by_handle("New").await), Some(key));
    assert_eq!(ok(store.find_by_handle(&handle(1)).await), None);
    insert(
        store,
        &mut KeyRecord {
            id: record(2).id,
            ..record(1)
        },
    )
    .await;
}

/// A deleted key leaves nothing behind that would stand in the way of another.
pub async fn deletes_for_good_and_frees_the_names(store: &dyn KeyStore) {
    let mut key = full_record(1);
    insert(store, &mut key).await;
    insert(store, &mut record(2)).await;
    assert!(ok(store.delete(key.id, &act()).await));
    assert!(!ok(store.delete(key.id, &act()).await));

    assert_eq!(ok(store.get(key.id).await), None);
    assert_eq!(ok(store.find_by_handle(&handle(1)).await), None);
    fails_with(
        ErrorKind::NotFound,
        store.replace(&key, key.revision, &act()).await,
    );
    assert_eq!(all(store).await.len(), 1);

    insert(store, &mut key).await;
    assert_eq!(ok(store.find_by_handle("Old1").await), Some(key));
}
