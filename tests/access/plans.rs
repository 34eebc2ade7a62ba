//! R2, plans: named limits that many keys share.

use mcp_api_keys::RejectionKind;
use mcp_api_keys::key::{Plan, Quota};
use mcp_api_keys::store::{KeyStore, MemoryStore};
use mcp_api_keys::{ErrorKind, KeyUpdate, NewKey, RateLimit};

use crate::world::{
    Crowd, Database, NOW, SECOND, admitted, any_server, builder, in_database, in_memory, issue,
    node, outcome, pass, plan, present, until,
};

fn on(name: &str) -> NewKey {
    NewKey::named("k").plan(name)
}

/// R2: free admits ten a minute, standard sixty, professional three hundred; exactly.
#[tokio::test]
async fn r2_the_built_in_plans_admit_exactly_what_they_say() {
    for (name, count) in [("free", 10), ("standard", 60), ("professional", 300)] {
        let (keys, clock) = in_memory().await;
        let gate = any_server(&keys);
        let (key, _) = issue(&keys, on(name)).await;
        assert_eq!(admitted(&gate, &key, 2 * count).await, count, "{name}");
        let refused = present(&gate, &key).await.unwrap_err();
        assert_eq!(refused.kind(), RejectionKind::RateLimited);
        // Each of its keys has all of it.
        let (other, _) = issue(&keys, on(name)).await;
        assert_eq!(admitted(&gate, &other, 2 * count).await, count, "{name}");
        pass(&keys, &clock, 60 * SECOND).await;
        assert_eq!(admitted(&gate, &key, 2 * count).await, count, "{name}");
    }
}

#[tokio::test]
async fn a_keys_own_limit_replaces_the_plans_of_the_same_name() {
    let (keys, _) = in_memory().await;
    let gate = any_server(&keys);
    let custom = Plan::new(plan("custom"))
        .rate(RateLimit::per_minute(10))
        .rate(RateLimit::per_hour(15).named("hourly"))
        .quota(Quota::per_day(20));
    keys.manager().put_plan(custom).await.unwrap();
    let (key, _) = issue(&keys, on("custom")).await;
    assert_eq!(admitted(&gate, &key, 30).await, 10);
    let (key, _) = issue(&keys, on("custom").rate(RateLimit::per_minute(100))).await;
    assert_eq!(
        admitted(&gate, &key, 30).await,
        15,
        "the hourly limit stays"
    );
    let wide = on("custom")
        .rate(RateLimit::per_minute(100))
        .rate(RateLimit::per_hour(100).named("hourly"));
    let (key, _) = issue(&keys, wide.clone()).await;
    assert_eq!(admitted(&gate, &key, 30).await, 20, "the quota stays");
    let (key, id) = issue(&keys, wide.quota(Quota::per_day(25))).await;
    assert_eq!(admitted(&gate, &key, 30).await, 25);
    let narrow = on("custom").rate(RateLimit::per_minute(3));
    let (key, _) = issue(&keys, narrow).await;
    assert_eq!(admitted(&gate, &key, 30).await, 3);
    let status = keys.manager().quotas(id).await.unwrap();
    assert_eq!((status.len(), status[0].used), (1, 25));
}

/// A change reaches the plan's keys at the next request, and what was spent stays spent.
#[tokio::test]
async fn a_change_of_a_plan_reaches_its_keys_at_once() {
    let (keys, clock) = in_memory().await;
    let gate = any_server(&keys);
    let mut custom = Plan::new(plan("custom")).rate(RateLimit::per_hour(10));
    custom = keys.manager().put_plan(custom).await.unwrap();
    let (key, id) = issue(&keys, on("custom")).await;
    let (other, _) = issue(&keys, on("free")).await;
    assert_eq!(admitted(&gate, &key, 10).await, 10);
    assert_eq!(admitted(&gate, &key, 1).await, 0);
    assert_eq!(admitted(&gate, &other, 4).await, 4);

    custom.limits = vec![RateLimit::per_hour(20)];
    custom = keys.manager().put_plan(custom).await.unwrap();
    // A whole hour's share is spent; what comes back comes back at the new rate.
    assert_eq!(admitted(&gate, &key, 5).await, 0);
    pass(&keys, &clock, 180 * SECOND).await;
    assert_eq!(admitted(&gate, &key, 5).await, 1);
    // Other plans have nothing to do with it.
    assert_eq!(admitted(&gate, &other, 20).await, 10);

    custom.limits = vec![RateLimit::per_hour(1_000)];
    custom.quotas = vec![Quota::per_day(5)];
    pass(&keys, &clock, 3_600 * SECOND).await;
    custom = keys.manager().put_plan(custom).await.unwrap();
    assert_eq!(admitted(&gate, &key, 30).await, 5);
    custom.quotas = vec![Quota::per_day(8)];
    keys.manager().put_plan(custom).await.unwrap();
    assert_eq!(admitted(&gate, &key, 30).await, 3);

    // So does a key's change of plan.
    let update = KeyUpdate::new().plan(Some(plan("professional")));
    keys.manager().update(id, update).await.unwrap();
    assert!(admitted(&gate, &key, 10).await > 0);
    let status = keys.manager().rights(id).await.unwrap();
    assert_eq!(status.limits, [RateLimit::per_minute(300)]);
}

/// A built-in plan is replaced by a stored one of its name, and comes back when that is removed.
#[tokio::test]
async fn a_stored_plan_takes_the_place_of_a_built_in_one() {
    let keys = in_database().await;
    let manager = keys.manager();
    let names: Vec<String> = manager
        .plans()
        .await
        .unwrap()
        .iter()
        .map(|plan| plan.name.to_string())
        .collect();
    assert_eq!(names, ["free", "professional", "standard"]);
    let own = Plan::new(plan("free")).rate(RateLimit::per_minute(2));
    manager.put_plan(own).await.unwrap();
    assert_eq!(manager.plans().await.unwrap().len(), 3);
    let (key, id) = issue(&keys, on("free")).await;
    assert_eq!(admitted(&any_server(&keys), &key, 5).await, 2);
    let in_use = manager.remove_plan(&plan("free")).await.unwrap_err();
    assert_eq!(in_use.kind(), ErrorKind::Conflict);
    manager.revoke(id, None).await.unwrap();
    manager.remove_plan(&plan("free")).await.unwrap();
    // The revoked key is refused as what it is.
    let own = Plan::new(plan("own"));
    manager.put_plan(own).await.unwrap();
    let (key, id) = issue(&keys, on("own")).await;
    manager.revoke(id, None).await.unwrap();
    manager.remove_plan(&plan("own")).await.unwrap();
    let revoked = outcome(&any_server(&keys), &key).await;
    assert_eq!(revoked, Err(RejectionKind::Revoked));
    let built_in = manager.plan(&plan("free")).await.unwrap().unwrap();
    assert_eq!(built_in.limits, [RateLimit::per_minute(10)]);
    let (key, _) = issue(&keys, on("free")).await;
    assert_eq!(admitted(&any_server(&keys), &key, 15).await, 10);
    // One that is built in cannot be removed.
    let gone = manager.remove_plan(&plan("standard")).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn what_is_no_plan_is_refused_by_field() {
    let keys = in_database().await;
    let refused = keys.manager().issue(on("none-such")).await.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.field()),
        (ErrorKind::InvalidInput, Some("plan"))
    );
    let (_, id) = issue(&keys, NewKey::named("k")).await;
    let update = KeyUpdate::new().plan(Some(plan("none-such")));
    let refused = keys.manager().update(id, update).await.unwrap_err();
    assert_eq!(refused.field(), Some("plan"));
    for (field, bad) in [
        (
            "limits",
            Plan::new(plan("p")).rate(RateLimit::per_minute(0)),
        ),
        (
            "limits",
            Plan::new(plan("p"))
                .rate(RateLimit::per_minute(1))
                .rate(RateLimit::per_hour(2)),
        ),
        ("quotas", Plan::new(plan("p")).quota(Quota::per_day(0))),
    ] {
        let refused = keys.manager().put_plan(bad).await.unwrap_err();
        assert_eq!(refused.field(), Some(field));
    }
}

/// A plan that is gone although a key is on it is a fault of the house, and no freedom.
#[tokio::test]
async fn a_key_on_a_plan_that_is_gone_is_told_to_come_again() {
    let store = MemoryStore::new();
    let keys = builder(store.clone()).build().await.unwrap();
    let gate = any_server(&keys);
    let (key, id) = issue(&keys, on("free")).await;
    // As a store that was restored in part would have it.
    let mut record = store.get(id).await.unwrap().unwrap();
    record.plan = Some(plan("lost"));
    let act =
        mcp_api_keys::audit::Act::new(mcp_api_keys::audit::AuditAction::Updated, "somebody", NOW);
    store.replace(&record, record.revision, &act).await.unwrap();
    let refused = present(&gate, &key).await.unwrap_err();
    assert_eq!(refused.kind(), RejectionKind::Unavailable);
    assert!(refused.retry_after().is_some());
    // It is repaired by making the plan.
    let lost = Plan::new(plan("lost")).rate(RateLimit::per_minute(2));
    keys.manager().put_plan(lost).await.unwrap();
    assert_eq!(admitted(&gate, &key, 5).await, 2);
}

/// Sixty-four tasks on one key while its plan shrinks: not one beyond what is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_that_begins_after_a_plan_was_used_up_by_a_change_is_admitted() {
    let keys = builder(MemoryStore::new()).build().await.unwrap();
    let gate = any_server(&keys);
    let crowd = Crowd::of(64, &gate);
    for round in 0..200 {
        let name = format!("plan-{round}");
        let wide = Plan::new(plan(&name)).rate(RateLimit::per_day(1_000_000));
        let wide = keys.manager().put_plan(wide).await.unwrap();
        let (key, _) = issue(&keys, on(&name)).await;
        let shrink = async {
            let mut narrow = wide;
            narrow.limits = vec![RateLimit::per_day(1)];
            keys.manager().put_plan(narrow).await.unwrap();
            // One is admitted under the new limit, perhaps.
            let _ = outcome(&gate, &key).await;
        };
        crowd.present(&key, [50, 1][round % 2], shrink).await;
    }
    let (admitted, late, unavailable) = crowd.leave().await;
    assert!(admitted > 200);
    assert_eq!((late, unavailable), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_node_sees_a_change_of_a_plan_in_time() {
    let database = Database::new().await;
    let (here, there) = (node(&database).await, node(&database).await);
    let gate = any_server(&there);
    let wide = Plan::new(plan("custom")).quota(Quota::per_day(1_000_000));
    let wide = here.manager().put_plan(wide).await.unwrap();
    let (key, _) = issue(&here, on("custom")).await;
    assert_eq!(admitted(&gate, &key, 5).await, 5);
    let mut narrow = wide;
    narrow.quotas = vec![Quota::per_day(1)];
    here.manager().put_plan(narrow).await.unwrap();
    let after = until(&gate, &key, Err(RejectionKind::QuotaExceeded)).await;
    assert!(after <= SECOND * 5 / 2, "{after:?}");
}
