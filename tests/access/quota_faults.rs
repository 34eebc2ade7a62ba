//! Quotas while the store fails, hangs and loses answers.

use std::time::Duration;

use mcp_api_keys::RejectionKind;
use mcp_api_keys::key::Quota;
use mcp_api_keys::testing::{Call, Fault};
use mcp_api_keys::{ErrorKind, NewKey};

use crate::world::{SECOND, admitted, any_server, faulty, issue, outcome, pass, present};

/// What a node holds it may use up; then callers are told to come again, and nobody is let through
/// uncounted.
#[tokio::test(start_paused = true)]
async fn while_the_store_is_down_only_what_is_held_is_used() {
    for fault in [Fault::Fail, Fault::Hang, Fault::Panic] {
        let (keys, faults, clock) = faulty().await;
        let gate = any_server(&keys);
        let new = NewKey::named("k").quota(Quota::per_day(1_000));
        let (key, id) = issue(&keys, new).await;
        assert_eq!(admitted(&gate, &key, 3).await, 3);
        faults.every_call_of(Call::Take, fault);
        assert_eq!(admitted(&gate, &key, 7).await, 7, "{fault:?}");
        for _ in 0..3 {
            let begun = tokio::time::Instant::now();
            let refused = present(&gate, &key).await.unwrap_err();
            assert_eq!(refused.kind(), RejectionKind::Unavailable, "{fault:?}");
            assert!(refused.retry_after().is_some());
            assert!(begun.elapsed() <= 3 * SECOND, "{:?}", begun.elapsed());
        }
        // Costless requests and keys without quotas go on.
        let free = keys.layer().any_server().cost(0).gate().clone();
        assert_eq!(outcome(&free, &key).await, Ok(()));

        faults.clear();
        clock.advance(SECOND);
        assert_eq!(admitted(&gate, &key, 2_000).await, 990, "{fault:?}");
        let status = keys.manager().quotas(id).await.unwrap();
        assert_eq!(status[0].used, 1_000);
    }
}

/// A request whose units were taken and whose answer was lost is refused: they are lost, and the
/// quota is not exceeded.
#[tokio::test]
async fn lost_answers_never_admit_too_many() {
    let (keys, faults, _) = faulty().await;
    let gate = any_server(&keys);
    let (key, _) = issue(&keys, NewKey::named("k").quota(Quota::per_day(200))).await;
    let mut made = 0;
    for round in 0..20 {
        let call = [Call::Take, Call::GiveBack][round % 2];
        faults.nth_call_of(call, 2, Fault::Lose);
        made += admitted(&gate, &key, 9).await;
        let _ = keys.flush().await;
    }
    made += admitted(&gate, &key, 300).await;
    println!("{made} of 200 admitted with 20 answers lost");
    assert!((140..=200).contains(&made), "{made}");
}

/// A client that hangs up while the ledger is asked costs its quota nothing.
#[tokio::test]
async fn a_client_that_hangs_up_takes_nothing_with_it() {
    let (keys, faults, _) = faulty().await;
    let gate = any_server(&keys);
    let (key, id) = issue(&keys, NewKey::named("k").quota(Quota::per_day(100))).await;
    assert_eq!(outcome(&gate, &key).await, Ok(()));
    for _ in 0..30 {
        faults.nth_call_of(Call::Take, 1, Fault::Withhold);
        let hasty = tokio::spawn({
            let (gate, key) = (gate.clone(), key.clone());
            async move { outcome(&gate, &key).await }
        });
        faults.until_held(1).await;
        hasty.abort();
        let _ = hasty.await;
        faults.clear();
        assert_eq!(outcome(&gate, &key).await, Ok(()));
    }
    keys.flush().await.unwrap();
    let status = keys.manager().quotas(id).await.unwrap();
    assert_eq!(status[0].used, 31);
}

/// Units that nobody uses go back after a while, to be had by other nodes.
#[tokio::test(start_paused = true)]
async fn what_is_held_and_not_used_goes_back() {
    let (keys, faults, clock) = faulty().await;
    let gate = any_server(&keys);
    let new = NewKey::named("k").quota(Quota::per_day(10_000));
    let (key, id) = issue(&keys, new).await;
    assert_eq!(outcome(&gate, &key).await, Ok(()));
    let used = async || keys.manager().quotas(id).await.unwrap()[0].used;
    assert_eq!(used().await, 100);
    tokio::time::sleep(6 * SECOND).await;
    assert_eq!(used().await, 100, "in use a moment ago");
    pass(&keys, &clock, 31 * SECOND).await;
    tokio::time::sleep(6 * SECOND).await;
    assert_eq!(used().await, 1);
    // Many requests are few calls.
    let before = faults.calls_of(Call::Take);
    assert_eq!(admitted(&gate, &key, 1_000).await, 1_000);
    assert_eq!(faults.calls_of(Call::Take) - before, 10);
}

/// A key that is deleted takes its account with it; one of the same name starts afresh.
#[tokio::test]
async fn a_deleted_key_gives_nothing_back_to_its_successor() {
    let (keys, _, _) = faulty().await;
    let gate = any_server(&keys);
    let manager = keys.manager();
    let issued = manager.ensure_default_key("files").await.unwrap().unwrap();
    let id = issued.info().id;
    let quota = || mcp_api_keys::KeyUpdate::new().quotas(vec![Quota::per_day(1_000)]);
    manager.update(id, quota()).await.unwrap();
    let key = issued.key().expose_secret();
    assert_eq!(admitted(&gate, key, 1).await, 1);
    assert!(manager.delete(id).await.unwrap());
    let again = manager.ensure_default_key("files").await.unwrap().unwrap();
    manager.update(id, quota()).await.unwrap();
    let key = again.key().expose_secret();
    assert_eq!(admitted(&gate, key, 15).await, 15);
    keys.flush().await.unwrap();
    assert_eq!(manager.quotas(id).await.unwrap()[0].used, 15);
}

/// `flush` returns when everything is written down, also what another round had begun with.
#[tokio::test(start_paused = true)]
async fn a_flush_beside_another_waits_for_it() {
    for slow in [Call::NoteUses, Call::GiveBack] {
        let (keys, faults, _) = faulty().await;
        let gate = any_server(&keys);
        let new = NewKey::named("k").quota(Quota::per_day(1_000));
        let (key, id) = issue(&keys, new).await;
        assert_eq!(admitted(&gate, &key, 5).await, 5);
        faults.nth_call_of(slow, 1, Fault::Delay(Duration::from_millis(300)));
        let first = tokio::spawn({
            let keys = keys.clone();
            async move { keys.flush().await }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        keys.flush().await.unwrap();
        assert_eq!(keys.manager().quotas(id).await.unwrap()[0].used, 5);
        let info = keys.manager().get(id).await.unwrap();
        assert!(info.last_used_at.is_some(), "{slow:?}");
        first.await.unwrap().unwrap();
    }
}

/// One that is given up in the middle has forgotten nobody.
#[tokio::test(start_paused = true)]
async fn a_flush_that_is_given_up_leaves_everything_to_the_next() {
    let (keys, faults, _) = faulty().await;
    let gate = any_server(&keys);
    let mut used = Vec::new();
    for _ in 0..3 {
        let (key, id) = issue(&keys, NewKey::named("k").quota(Quota::per_day(1_000))).await;
        assert_eq!(outcome(&gate, &key).await, Ok(()));
        used.push(id);
    }
    faults.every_call_of(Call::NoteUses, Fault::Hang);
    let given_up = tokio::time::timeout(SECOND / 2, keys.flush()).await;
    assert!(given_up.is_err());
    faults.clear();
    faults.every_call_of(Call::GiveBack, Fault::Fail);
    let failed = keys.flush().await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Unavailable);
    faults.clear();
    keys.flush().await.unwrap();
    let mut units = Vec::new();
    for id in used {
        let info = keys.manager().get(id).await.unwrap();
        assert!(info.last_used_at.is_some());
        units.push(keys.manager().quotas(id).await.unwrap()[0].used);
    }
    units.sort_unstable();
    // What was about to be given back when the store failed may have been, so it is not used.
    assert_eq!(units, [1, 1, 10]);
}
