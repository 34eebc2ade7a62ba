//! Many keys at once: withdrawing, looking at what is risky, connections.

use std::collections::BTreeSet;

use mcp_api_keys::RejectionKind;
use mcp_api_keys::key::{Access, KeyId, KeyStatus, Owner, Plan, Role};
use mcp_api_keys::store::{KeyFilter, PageRequest};
use mcp_api_keys::testing::{Call, Fault};
use mcp_api_keys::{ApiKeys, ErrorKind, NewKey, Principal, RateLimit, Risk, Withdrawn};

use crate::world::{
    DAY, NOW, any_server, everything, faulty, in_database, in_memory, issue, member, of, outcome,
    pass, plan, present,
};

fn filter(change: impl FnOnce(&mut KeyFilter)) -> KeyFilter {
    let mut filter = KeyFilter::default();
    change(&mut filter);
    filter
}

fn ids<'a>(keys: impl IntoIterator<Item = &'a mcp_api_keys::key::KeyInfo>) -> BTreeSet<KeyId> {
    keys.into_iter().map(|key| key.id).collect()
}

async fn is_revoked(keys: &ApiKeys, id: KeyId) -> bool {
    matches!(
        keys.manager().get(id).await.unwrap().status,
        KeyStatus::Revoked { .. }
    )
}

#[tokio::test]
async fn all_keys_of_an_owner_are_revoked_and_nobody_elses() {
    let keys = in_database().await;
    let gate = any_server(&keys);
    let mut of_ada = BTreeSet::new();
    let mut texts = Vec::new();
    // More than one page.
    for _ in 0..510 {
        let (key, id) = issue(&keys, of("ada")).await;
        of_ada.insert(id);
        texts.push(key);
    }
    let (bobs, _) = issue(&keys, of("bob")).await;
    assert_eq!(outcome(&gate, &texts[0]).await, Ok(()));
    let chosen = filter(|filter| filter.owner = "ada".parse().ok());
    let revoke = || keys.manager().revoke_all(&chosen, Some("left"));
    let Withdrawn {
        revoked,
        spared,
        failed,
        ..
    } = revoke().await.unwrap();
    assert_eq!(ids(&revoked), of_ada);
    assert!(spared.is_empty() && failed.is_empty());
    let expected = KeyStatus::Revoked {
        at: NOW,
        reason: Some("left".to_owned()),
    };
    assert!(revoked.iter().all(|key| key.status == expected));
    for key in [&texts[0], &texts[509]] {
        assert_eq!(outcome(&gate, key).await, Err(RejectionKind::Revoked));
    }
    assert_eq!(outcome(&gate, &bobs).await, Ok(()));
    // Asked again, there is nothing left to do.
    assert!(revoke().await.unwrap().revoked.is_empty());
}

/// A key for all servers opens others too, so it is named and left alone.
#[tokio::test]
async fn keys_of_a_server_are_revoked_but_not_those_for_all() {
    let keys = in_database().await;
    let (_, one) = issue(&keys, NewKey::named("one").server("files")).await;
    let both = NewKey::named("both").server("files").server("mail");
    let (_, both) = issue(&keys, both).await;
    let (_, all) = issue(&keys, everything("all")).await;
    let (_, other) = issue(&keys, NewKey::named("other").server("mail")).await;
    let chosen = filter(|filter| filter.server = "files".parse().ok());
    let withdrawn = keys.manager().revoke_all(&chosen, None).await.unwrap();
    assert_eq!(ids(&withdrawn.revoked), BTreeSet::from([one, both]));
    assert_eq!(ids(&withdrawn.spared), BTreeSet::from([all]));
    for (id, gone) in [(one, true), (both, true), (all, false), (other, false)] {
        assert_eq!(is_revoked(&keys, id).await, gone);
    }
}

#[tokio::test]
async fn keys_made_before_a_leak_are_revoked() {
    let (keys, clock) = in_memory().await;
    let (_, before) = issue(&keys, NewKey::named("before")).await;
    pass(&keys, &clock, DAY).await;
    let (_, after) = issue(&keys, NewKey::named("after")).await;
    let leak = NOW.saturating_add(DAY);
    let chosen = filter(|filter| filter.created_before = Some(leak));
    let withdrawn = keys.manager().revoke_all(&chosen, None).await.unwrap();
    assert_eq!(ids(&withdrawn.revoked), BTreeSet::from([before]));
    assert!(!is_revoked(&keys, after).await);
}

/// What chooses nothing would be everything.
#[tokio::test]
async fn a_filter_that_chooses_nothing_is_refused() {
    let keys = in_database().await;
    let (_, id) = issue(&keys, NewKey::named("k")).await;
    for chosen in [
        KeyFilter::default(),
        KeyFilter::all(),
        filter(|filter| filter.name_contains = Some(String::new())),
        filter(|filter| filter.status = Some(mcp_api_keys::key::StatusKind::Active)),
    ] {
        let refused = keys.manager().revoke_all(&chosen, None).await.unwrap_err();
        assert_eq!(
            (refused.kind(), refused.field()),
            (ErrorKind::InvalidInput, Some("filter"))
        );
    }
    let long = "x".repeat(501);
    let chosen = filter(|filter| filter.name_contains = Some("k".to_owned()));
    let refused = keys.manager().revoke_all(&chosen, Some(&long)).await;
    assert_eq!(refused.unwrap_err().field(), Some("reason"));
    assert!(!is_revoked(&keys, id).await);
}

#[tokio::test]
async fn a_member_withdraws_their_own_keys_only() {
    let keys = in_database().await;
    let (_, own) = issue(&keys, of("ada")).await;
    let (_, others) = issue(&keys, of("bob")).await;
    let ada = keys
        .manager()
        .acting_as(Principal::member("ada".parse().unwrap()));
    let of_bob = filter(|filter| filter.owner = "bob".parse().ok());
    let none = ada.revoke_all(&of_bob, None).await.unwrap();
    assert!(none.revoked.is_empty() && none.failed.is_empty());
    let named = filter(|filter| filter.name_contains = Some("key".to_owned()));
    let withdrawn = ada.revoke_all(&named, None).await.unwrap();
    assert_eq!(ids(&withdrawn.revoked), BTreeSet::from([own]));
    assert!(!is_revoked(&keys, others).await);
}

/// One that cannot be revoked is told of, and the others are.
#[tokio::test]
async fn one_failing_key_does_not_stop_the_rest() {
    let (keys, faults, _) = faulty().await;
    let mut all = BTreeSet::new();
    for _ in 0..10 {
        all.insert(issue(&keys, of("ada")).await.1);
    }
    faults.nth_call_of(Call::Replace, 4, Fault::Fail);
    faults.nth_call_of(Call::Get, 8, Fault::Fail);
    let chosen = filter(|filter| filter.owner = "ada".parse().ok());
    let withdrawn = keys.manager().revoke_all(&chosen, None).await.unwrap();
    assert_eq!(withdrawn.revoked.len(), 8);
    let failed: BTreeSet<_> = withdrawn.failed.iter().map(|(id, _)| *id).collect();
    assert_eq!(failed.len(), 2);
    assert_eq!(&ids(&withdrawn.revoked) | &failed, all);
    let rest = keys.manager().revoke_all(&chosen, None).await.unwrap();
    assert_eq!(ids(&rest.revoked), failed);
}

/// Each risk by itself, and none where there is none.
#[tokio::test]
async fn the_safety_report_names_each_risk() {
    let (keys, clock) = in_memory().await;
    let manager = keys.manager();
    let safe = || {
        let bounded = NewKey::named("safe").server("files").expires_in(200 * DAY);
        bounded.rate(RateLimit::per_minute(60))
    };
    manager.put_owner(member("ada")).await.unwrap();
    let nothing = Plan::new(plan("nothing"));
    manager.put_plan(nothing).await.unwrap();
    let unrestricted = || everything("u").expires_in(200 * DAY).plan("free");
    let at_home = unrestricted().allow_from("192.0.2.0/24".parse().unwrap());
    let unlimited = || NewKey::named("u").server("files").expires_in(200 * DAY);
    let quota = mcp_api_keys::key::Quota::per_day(1);
    use Risk::*;
    let cases: Vec<(NewKey, Vec<Risk>)> = vec![
        (safe(), vec![]),
        (NewKey::named("f").plan("free"), vec![NeverExpires]),
        (unrestricted(), vec![Unrestricted]),
        (unrestricted().read_only(), vec![]),
        (at_home, vec![]),
        // Its owner is not.
        (unrestricted().owner("ada"), vec![]),
        (unlimited(), vec![Unlimited]),
        (unlimited().plan("nothing"), vec![Unlimited]),
        (unlimited().quota(quota), vec![]),
        (
            everything("all"),
            vec![NeverExpires, Unrestricted, Unlimited],
        ),
    ];
    let mut expected = Vec::new();
    for (new, risks) in cases {
        let (_, id) = issue(&keys, new).await;
        expected.push((id, risks));
    }
    // Keys that do not work are no risk.
    let (_, disabled) = issue(&keys, everything("disabled").inactive()).await;
    let (_, revoked) = issue(&keys, everything("revoked")).await;
    manager.revoke(revoked, None).await.unwrap();
    let (_, expired) = issue(&keys, everything("expired").expires_in(DAY / 2)).await;
    pass(&keys, &clock, DAY).await;

    let report = async |idle| {
        let page = manager.safety(idle, PageRequest::default()).await.unwrap();
        assert_eq!(page.next, None);
        page.keys
            .into_iter()
            .map(|risky| (risky.key.id, risky.risks))
            .collect::<Vec<_>>()
    };
    let mut found = report(90 * DAY).await;
    found.sort_by_key(|(id, _)| *id);
    expected.retain(|(_, risks)| !risks.is_empty());
    expected.sort_by_key(|(id, _)| *id);
    assert_eq!(found, expected);
    assert!(
        found
            .iter()
            .all(|(id, _)| ![disabled, expired].contains(id))
    );

    // Unused: not since it was made, or not since it was used.
    let (used, used_id) = issue(&keys, safe()).await;
    pass(&keys, &clock, 100 * DAY).await;
    assert!(report(90 * DAY).await.contains(&(used_id, vec![Unused])));
    outcome(&any_server(&keys), &used).await.unwrap();
    keys.flush().await.unwrap();
    let found = report(90 * DAY).await;
    assert!(found.iter().all(|(id, _)| *id != used_id));
}

/// R4: a connection does no more than was asked for, than the role lets it, and than its owner may,
/// at the time.
#[tokio::test]
async fn r4_a_connection_is_bounded_by_request_role_and_owner() {
    let keys = in_database().await;
    let manager = keys.manager();
    let mut ada = member("ada").all_servers();
    ada.role = Role::Admin;
    let mut ada = manager.put_owner(ada).await.unwrap();
    let (full, _) = issue(&keys, of("ada").connection("claude")).await;
    let (asked_less, _) = issue(&keys, of("ada").connection("claude").read_only()).await;
    let (own, _) = issue(&keys, of("ada")).await;
    let (strangers, _) = issue(&keys, of("stranger").connection("claude")).await;
    let gate = any_server(&keys);
    let access = async |key: &str| present(&gate, key).await.unwrap().access();
    assert_eq!(access(&full).await, Access::Full);
    assert_eq!(access(&asked_less).await, Access::ReadOnly);
    assert_eq!(access(&strangers).await, Access::ReadOnly);

    // As a member they keep their own keys, and connections that only look.
    ada.role = Role::Member;
    ada = manager.put_owner(ada).await.unwrap();
    assert_eq!(access(&full).await, Access::ReadOnly);
    assert_eq!(access(&own).await, Access::Full);
    ada.role = Role::Admin;
    ada.access = Access::ReadOnly;
    ada = manager.put_owner(ada).await.unwrap();
    assert_eq!(access(&full).await, Access::ReadOnly);
    ada.access = Access::Full;
    ada.servers = mcp_api_keys::key::Servers::only(["mail"]).unwrap();
    manager.put_owner(ada).await.unwrap();
    assert_eq!(access(&full).await, Access::Full);
    let files = keys.layer().server("files").gate().clone();
    assert_eq!(
        outcome(&files, &full).await,
        Err(RejectionKind::ServerDenied)
    );
}

/// R5: connections are listed by themselves and ended one by one.
#[tokio::test]
async fn r5_connections_are_listed_and_disconnected() {
    let keys = in_database().await;
    let manager = keys.manager();
    manager
        .put_owner(Owner::admin("ada".parse().unwrap()))
        .await
        .unwrap();
    let (claude, claude_id) = issue(&keys, of("ada").connection("claude")).await;
    let (_, cursor_id) = issue(&keys, of("ada").connection("cursor")).await;
    let (own, own_id) = issue(&keys, of("ada")).await;
    let orphan = manager.issue(everything("k").connection("claude")).await;
    assert_eq!(orphan.unwrap_err().field(), Some("owner"));
    let list = async |connections| {
        let chosen = filter(|filter| filter.connections = Some(connections));
        let page = manager.list(&chosen, PageRequest::default()).await.unwrap();
        ids(&page.keys)
    };
    assert_eq!(list(true).await, BTreeSet::from([claude_id, cursor_id]));
    assert_eq!(list(false).await, BTreeSet::from([own_id]));
    let info = manager.get(claude_id).await.unwrap();
    let client = info.connection.unwrap().client;
    assert_eq!(client.as_str(), "claude");

    let gate = any_server(&keys);
    assert_eq!(outcome(&gate, &claude).await, Ok(()));
    let ended = manager.disconnect(claude_id).await.unwrap();
    assert!(matches!(ended.status, KeyStatus::Revoked { .. }));
    assert_eq!(outcome(&gate, &claude).await, Err(RejectionKind::Revoked));
    assert_eq!(list(true).await, BTreeSet::from([cursor_id]));
    let no_connection = manager.disconnect(own_id).await.unwrap_err();
    assert_eq!(no_connection.kind(), ErrorKind::NotFound);
    assert_eq!(outcome(&gate, &own).await, Ok(()));
    // Of others' a member learns nothing.
    let eve = manager.acting_as(Principal::member("eve".parse().unwrap()));
    let hidden = eve.disconnect(cursor_id).await.unwrap_err();
    assert_eq!(hidden.kind(), ErrorKind::NotFound);
    assert!(!is_revoked(&keys, cursor_id).await);
}
