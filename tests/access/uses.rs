//! When keys were last used: written down in batches, lost never, in nobody's way.

use std::collections::BTreeSet;
use std::time::Duration;

use mcp_api_keys::key::KeyId;
use mcp_api_keys::store::{KeyFilter, PageRequest};
use mcp_api_keys::testing::{Call, Fault};
use mcp_api_keys::{ApiKeys, Grace, KeyUpdate, NewKey, Timestamp};

use crate::world::{
    DAY, Database, NOW, SECOND, admitted, any_server, faulty, issue, node, outcome, pass,
};

async fn last_used(keys: &ApiKeys, id: KeyId) -> Option<Timestamp> {
    keys.manager().get(id).await.unwrap().last_used_at
}

/// Five seconds after a use it stands in the store, without anybody asking for it.
#[tokio::test(start_paused = true)]
async fn a_use_is_written_down_within_five_seconds() {
    let (keys, faults, clock) = faulty().await;
    let gate = any_server(&keys);
    let (key, id) = issue(&keys, NewKey::named("k")).await;
    let (_, unused) = issue(&keys, NewKey::named("unused")).await;
    clock.advance(SECOND);
    assert_eq!(admitted(&gate, &key, 10_000).await, 10_000);
    assert_eq!(last_used(&keys, id).await, None, "some seconds late");
    tokio::time::sleep(SECOND * 51 / 10).await;
    assert_eq!(last_used(&keys, id).await, Some(NOW.saturating_add(SECOND)));
    assert_eq!(last_used(&keys, unused).await, None);
    assert_eq!(
        faults.calls_of(Call::NoteUses),
        1,
        "of ten thousand requests"
    );

    // Nothing is written when nothing happened.
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(faults.calls_of(Call::NoteUses), 1);
    let by_list = keys
        .manager()
        .list(&KeyFilter::default(), PageRequest::default())
        .await
        .unwrap();
    for key in by_list.keys {
        let used = (key.id == id).then(|| NOW.saturating_add(SECOND));
        assert_eq!(key.last_used_at, used);
    }
    let handle = keys.manager().get(id).await.unwrap().handle;
    let by_handle = keys.manager().get_by_handle(handle.as_str()).await.unwrap();
    assert!(by_handle.last_used_at.is_some());
}

/// A request costs the store nothing.
#[tokio::test]
async fn no_request_is_a_write() {
    let (keys, faults, _) = faulty().await;
    let gate = any_server(&keys);
    let (key, _) = issue(&keys, NewKey::named("k")).await;
    assert_eq!(outcome(&gate, &key).await, Ok(()));
    let before = faults.calls();
    assert_eq!(admitted(&gate, &key, 1_000).await, 1_000);
    assert!(faults.calls() - before <= 1, "but for a poll of the log");
    for call in [Call::Insert, Call::Replace, Call::Amend, Call::NoteUses] {
        let expected = usize::from(call == Call::Insert);
        assert_eq!(faults.calls_of(call), expected, "{call:?}");
    }
}

/// A refused request is no use.
#[tokio::test]
async fn a_request_that_is_refused_is_no_use() {
    let (keys, _, _) = faulty().await;
    let (key, id) = issue(&keys, NewKey::named("k")).await;
    let files = keys.layer().server("files").gate().clone();
    outcome(&files, &key).await.unwrap_err();
    keys.flush().await.unwrap();
    assert_eq!(last_used(&keys, id).await, None);
}

/// Who still presents the old secret during a rotation is known until the window closes.
#[tokio::test]
async fn both_secrets_of_a_rotation_have_a_last_use() {
    let (keys, _, clock) = faulty().await;
    let gate = any_server(&keys);
    let (old, id) = issue(&keys, NewKey::named("k")).await;
    assert_eq!(outcome(&gate, &old).await, Ok(()));
    let rotated = keys.manager().rotate_with(id, Grace::For(DAY)).await;
    let rotated = rotated.unwrap();
    let new = rotated.key().expose_secret();
    let [first, second, third] = [1, 2, 3].map(|n| NOW.saturating_add(n * SECOND));
    let seen = async || {
        keys.flush().await.unwrap();
        let info = keys.manager().get(id).await.unwrap();
        (info.last_used_at, info.previous.unwrap().last_used_at)
    };
    // The use before the rotation was one of the secret that is the old one now.
    assert_eq!(seen().await, (Some(NOW), Some(NOW)));
    clock.advance(SECOND);
    assert_eq!(outcome(&gate, new).await, Ok(()));
    assert_eq!(seen().await, (Some(first), Some(NOW)));
    clock.advance(SECOND);
    assert_eq!(outcome(&gate, &old).await, Ok(()));
    assert_eq!(seen().await, (Some(second), Some(second)));
    clock.advance(SECOND);
    assert_eq!(outcome(&gate, new).await, Ok(()));
    assert_eq!(seen().await, (Some(third), Some(second)));
    // After the window its past is the key's past still.
    keys.manager().end_grace(id).await.unwrap();
    let info = keys.manager().get(id).await.unwrap();
    assert_eq!((info.last_used_at, info.previous), (Some(third), None));
}

/// Writing uses down never takes back a change, and a change never takes back a use.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uses_and_changes_do_not_undo_each_other() {
    let database = Database::new().await;
    let keys = node(&database).await;
    let gate = any_server(&keys);
    let (key, id) = issue(&keys, NewKey::named("k")).await;
    let using = tokio::spawn({
        let (keys, gate, key) = (keys.clone(), gate.clone(), key.clone());
        async move {
            for _ in 0..50 {
                outcome(&gate, &key).await.unwrap();
                keys.flush().await.unwrap();
            }
        }
    });
    for number in 0..50 {
        let name = format!("name-{number}");
        let update = KeyUpdate::new().name(&*name);
        keys.manager().update(id, update).await.unwrap();
        assert_eq!(keys.manager().get(id).await.unwrap().name, name);
    }
    using.await.unwrap();
    let info = keys.manager().get(id).await.unwrap();
    assert_eq!(info.name, "name-49");
    assert!(info.last_used_at >= Some(info.created_at));
    assert_eq!(info.revision.as_u64(), 51, "a use is no revision");
}

/// Two nodes and two clocks: the latest use counts, whoever writes last.
#[tokio::test]
async fn a_use_that_is_older_than_the_known_one_changes_nothing() {
    let database = Database::new().await;
    let (here, there) = (node(&database).await, node(&database).await);
    let (key, id) = issue(&here, NewKey::named("k")).await;
    outcome(&any_server(&here), &key).await.unwrap();
    tokio::time::sleep(Duration::from_millis(30)).await;
    outcome(&any_server(&there), &key).await.unwrap();
    there.flush().await.unwrap();
    let later = last_used(&there, id).await;
    here.flush().await.unwrap();
    assert_eq!(last_used(&here, id).await, later);
}

/// While the store is down uses wait, and requests do not.
#[tokio::test(start_paused = true)]
async fn uses_outlast_an_outage_of_the_store() {
    for fault in [Fault::Fail, Fault::Hang, Fault::Panic] {
        let (keys, faults, clock) = faulty().await;
        let gate = any_server(&keys);
        let mut used = Vec::new();
        for _ in 0..50 {
            let (key, id) = issue(&keys, NewKey::named("k")).await;
            assert_eq!(outcome(&gate, &key).await, Ok(()));
            used.push((key, id));
        }
        faults.every_call_of(Call::NoteUses, fault);
        tokio::time::sleep(20 * SECOND).await;
        pass(&keys, &clock, 10 * SECOND).await;
        for (key, _) in used.iter().take(25) {
            assert_eq!(outcome(&gate, key).await, Ok(()));
        }
        faults.clear();
        tokio::time::sleep(10 * SECOND).await;
        for (number, (_, id)) in used.iter().enumerate() {
            let expected = if number < 25 {
                NOW.saturating_add(10 * SECOND)
            } else {
                NOW
            };
            assert_eq!(last_used(&keys, *id).await, Some(expected), "{fault:?}");
        }
    }
}

/// Keys that nobody uses are found, and those that expire soon.
#[tokio::test]
async fn idle_and_expiring_keys_are_listed() {
    let (keys, _, clock) = faulty().await;
    let gate = any_server(&keys);
    let (busy, busy_id) = issue(&keys, NewKey::named("busy")).await;
    let (once, once_id) = issue(&keys, NewKey::named("once")).await;
    let (_, never_id) = issue(&keys, NewKey::named("never")).await;
    for key in [&busy, &once] {
        assert_eq!(outcome(&gate, key).await, Ok(()));
    }
    pass(&keys, &clock, 90 * DAY).await;
    let soon = NewKey::named("soon").expires_in(DAY);
    let (_, soon_id) = issue(&keys, soon).await;
    assert_eq!(outcome(&gate, &busy).await, Ok(()));
    keys.flush().await.unwrap();
    let list = async |filter: &KeyFilter| -> BTreeSet<KeyId> {
        let page = keys.manager().list(filter, PageRequest::default()).await;
        page.unwrap().keys.iter().map(|key| key.id).collect()
    };
    let mut idle = KeyFilter::default();
    idle.idle_since = Some(NOW.saturating_add(30 * DAY));
    assert_eq!(list(&idle).await, [once_id, never_id].into());
    idle.idle_since = Some(NOW.saturating_add(100 * DAY));
    let all = [busy_id, once_id, never_id, soon_id];
    assert_eq!(list(&idle).await, all.into());
    let mut expiring = KeyFilter::default();
    expiring.expires_before = Some(NOW.saturating_add(92 * DAY));
    assert_eq!(list(&expiring).await, [soon_id].into());
}
