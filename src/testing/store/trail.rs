//! The audit trail.

use std::time::Duration;

use super::{fails_with, insert, ok};
use crate::audit::{Act, AuditAction, AuditEntry, AuditFilter};
use crate::error::ErrorKind;
use crate::key::{KeyInfo, Revision};
use crate::store::{AuditPage, KeyStore};
use crate::testing::records::{NOON, record};

fn act(action: AuditAction, actor: &str, second: u64) -> Act {
    Act::new(
        action,
        actor,
        NOON.saturating_add(Duration::from_secs(second)),
    )
}

async fn all(store: &dyn KeyStore) -> Vec<AuditEntry> {
    ok(store
        .audit(&AuditFilter::default(), AuditPage::newest(1_000))
        .await)
}

/// Each write leaves the entry of its act, whole; a write that fails leaves none.
pub async fn keeps_one_entry_of_the_trail_for_each_write(store: &dyn KeyStore) {
    let mut key = record(1);
    let mut issued = act(AuditAction::Issued, "ada", 0).changing(None, KeyInfo::of(&key).as_ref());
    issued.source = Some("203.0.113.7".to_owned());
    key.revision = ok(store.insert(&key, &issued).await);
    let before = KeyInfo::of(&key);
    key.name = "renamed".to_owned();
    let updated = act(AuditAction::Updated, "bob", 1);
    let updated = updated.changing(before.as_ref(), KeyInfo::of(&key).as_ref());
    key.revision = ok(store.replace(&key, key.revision, &updated).await);

    let refused = act(AuditAction::Revoked, "mallory", 2);
    fails_with(
        ErrorKind::Conflict,
        store.replace(&key, Revision::new(9), &refused).await,
    );
    fails_with(ErrorKind::Conflict, store.insert(&key, &refused).await);
    assert!(!ok(store.delete(record(2).id, &refused).await));

    let deleted = act(AuditAction::Deleted, "ada", 3).changing(KeyInfo::of(&key).as_ref(), None);
    assert!(ok(store.delete(key.id, &deleted).await));
    let expected = [(3, &deleted), (2, &updated), (1, &issued)]
        .map(|(revision, act)| AuditEntry::new(Revision::new(revision), key.id.into(), act));
    assert_eq!(all(store).await, expected);
}

/// The newest come first, in pages of any size, and only those that match.
pub async fn reads_the_trail_newest_first_and_filtered(store: &dyn KeyStore) {
    let mut keys = [record(1), record(2), record(3)];
    for key in &mut keys {
        insert(store, key).await;
    }
    for round in 0..20_u64 {
        let actor = ["ada", "bob"][(round % 2) as usize];
        let key = &mut keys[(round % 3) as usize];
        let act = act(AuditAction::Updated, actor, round);
        key.revision = ok(store.replace(key, key.revision, &act).await);
    }
    let entries = all(store).await;
    assert_eq!(entries.len(), 23);
    assert!(entries.is_sorted_by(|one, next| one.revision > next.revision));

    let mut paged = Vec::new();
    let mut page = AuditPage::newest(4);
    loop {
        let some = ok(store.audit(&AuditFilter::default(), page).await);
        let Some(last) = some.last() else { break };
        assert!(some.len() <= 4);
        page = page.before(last.revision);
        paged.extend(some);
    }
    assert_eq!(paged, entries);

    let noon = |second| NOON.saturating_add(Duration::from_secs(second));
    let whole = AuditFilter::default;
    for filter in [
        AuditFilter {
            subject: Some(keys[1].id.into()),
            ..whole()
        },
        AuditFilter {
            actor: Some("ada".to_owned()),
            ..whole()
        },
        AuditFilter {
            since: Some(noon(5)),
            ..whole()
        },
        AuditFilter {
            until: Some(noon(5)),
            ..whole()
        },
        AuditFilter {
            since: Some(noon(5)),
            until: Some(noon(9)),
            ..whole()
        },
        AuditFilter {
            subject: Some(keys[0].id.into()),
            actor: Some("bob".to_owned()),
            ..whole()
        },
        AuditFilter {
            actor: Some("nobody".to_owned()),
            ..whole()
        },
    ] {
        let found = ok(store.audit(&filter, AuditPage::newest(1_000)).await);
        let expected: Vec<_> = entries
            .iter()
            .filter(|entry| filter.matches(entry))
            .cloned()
            .collect();
        assert_eq!(found, expected, "{filter:?}");
    }
}
