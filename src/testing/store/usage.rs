//! When secrets were used, and what was taken of quotas.

use std::time::Duration;

use super::{account, changes, insert, ok};
use crate::clock::Timestamp;
use crate::key::{CredentialId, KeyId, Revision};
use crate::store::{ChangeLog, KeyStore, KeyUse, Taken};
use crate::testing::act;
use crate::testing::records::{NOON, full_record, record};

fn at(second: u64) -> Timestamp {
    NOON.saturating_add(Duration::from_secs(second))
}

fn used(key: KeyId, credential: CredentialId, second: u64) -> KeyUse {
    KeyUse {
        key,
        credential,
        at: at(second),
    }
}

async fn uses(store: &dyn KeyStore, keys: &[KeyId]) -> Vec<KeyUse> {
    let mut uses = ok(store.uses(keys).await);
    uses.sort_by_key(|one| (one.key, one.credential));
    uses
}

/// Each secret has a time of its own; an older one does not take its place.
pub async fn notes_the_latest_use_of_each_secret(store: &dyn KeyStore) {
    let (one, other) = (full_record(1).id, record(2).id);
    insert(store, &mut full_record(1)).await;
    insert(store, &mut record(2)).await;
    assert_eq!(uses(store, &[one, other]).await, []);
    ok(store.note_uses(&[]).await);

    let [first, second] = [CredentialId::FIRST, CredentialId::FIRST.next()];
    ok(store
        .note_uses(&[
            used(one, first, 5),
            used(one, second, 7),
            used(other, first, 6),
        ])
        .await);
    ok(store
        .note_uses(&[
            used(one, first, 4),
            used(one, second, 8),
            used(record(3).id, first, 9),
        ])
        .await);
    assert_eq!(
        uses(store, &[one, record(3).id]).await,
        [used(one, first, 5), used(one, second, 8)]
    );
    assert_eq!(uses(store, &[other]).await, [used(other, first, 6)]);
    assert_eq!(uses(store, &[]).await, []);
}

/// A key that is deleted leaves nothing of its use.
pub async fn forgets_the_uses_and_quotas_of_a_deleted_key(store: &dyn KeyStore) {
    let id = record(1).id;
    insert(store, &mut record(1)).await;
    ok(store.note_uses(&[used(id, CredentialId::FIRST, 1)]).await);
    ok(store.take(&account(id, "daily", NOON), 1, 5).await);
    ok(store.delete(id, &act()).await);
    assert_eq!(uses(store, &[id]).await, []);
    assert_eq!(ok(store.taken(id).await), []);
    // Nor can it take any more.
    assert_eq!(ok(store.take(&account(id, "daily", NOON), 1, 5).await), 0);
    ok(store.give_back(&account(id, "daily", NOON), 1).await);
    assert_eq!(ok(store.taken(id).await), []);
}

/// A later period begins anew, an earlier one counts for the later, and each name for itself.
pub async fn counts_a_quota_by_its_period(store: &dyn KeyStore) {
    let id = record(1).id;
    insert(store, &mut record(1)).await;
    let [today, tomorrow] = [0, 86_400].map(|second| account(id, "daily", at(second)));
    assert_eq!(ok(store.take(&today, 7, 10).await), 7);
    assert_eq!(ok(store.take(&today, 7, 10).await), 3);
    assert_eq!(ok(store.take(&today, 7, 10).await), 0);
    assert_eq!(ok(store.take(&today, 7, 12).await), 2);
    // A limit that was lowered below what is taken gives nothing, and takes nothing back.
    assert_eq!(ok(store.take(&today, 7, 5).await), 0);
    assert_eq!(ok(store.take(&account(id, "other", at(0)), 1, 10).await), 1);

    assert_eq!(ok(store.take(&tomorrow, 4, 10).await), 4);
    assert_eq!(ok(store.take(&today, 9, 10).await), 6);
    ok(store.give_back(&today, 3).await);
    assert_eq!(ok(store.take(&tomorrow, 1, 10).await), 0);
    ok(store.give_back(&tomorrow, 2).await);
    let mut taken = ok(store.taken(id).await);
    taken.sort_by(|one, other| one.account.quota.cmp(&other.account.quota));
    let [daily, other] = [(tomorrow, 8), (account(id, "other", at(0)), 1)]
        .map(|(account, units)| Taken { account, units });
    assert_eq!(taken, [daily, other]);
}

/// Use is no change: it wakes no reader of the log and stands in no trail.
pub async fn takes_no_revision_for_use(store: &dyn KeyStore) {
    let id = record(1).id;
    insert(store, &mut record(1)).await;
    ok(store.note_uses(&[used(id, CredentialId::FIRST, 1)]).await);
    ok(store.take(&account(id, "daily", NOON), 1, 5).await);
    assert_eq!(ok(store.revision().await), Revision::new(1));
    assert_eq!(changes(store, 1, 10).await, ChangeLog::Changes(Vec::new()));
    assert_eq!(
        ok(store.get(id).await).map(|key| key.revision),
        Some(Revision::new(1))
    );
}
