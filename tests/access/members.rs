//! O10, R1: who acts by their own rights, and how far that reaches.

use mcp_api_keys::RejectionKind;
use mcp_api_keys::key::{Access, Owner, Quota, ScopeSet, Servers, Signing};
use mcp_api_keys::store::{KeyFilter, MemoryStore, PageRequest};
use mcp_api_keys::{ApiKeys, Error, ErrorKind, KeyManager, KeyUpdate, NewKey, RateLimit};

use crate::world::{DAY, NOW, admitted, any_server, builder, in_database, member, outcome, plan};

fn forbidden<T: std::fmt::Debug>(outcome: Result<T, Error>, field: &str) {
    let error = outcome.unwrap_err();
    assert_eq!(
        (error.kind(), error.field()),
        (ErrorKind::Forbidden, Some(field)),
        "{error}"
    );
}

/// The manager in the hands of an owner.
async fn acting(keys: &ApiKeys, name: &str) -> KeyManager {
    let manager = keys.manager();
    let principal = manager.principal_of(&name.parse().unwrap()).await.unwrap();
    manager.acting_as(principal)
}

#[tokio::test]
async fn o10_an_owner_acts_by_their_role_of_the_moment() {
    let keys = in_database().await;
    let manager = keys.manager();
    let root = Owner::admin("root".parse().unwrap());
    manager.put_owner(root).await.unwrap();
    manager.put_owner(member("ada")).await.unwrap();
    let ada = acting(&keys, "ada").await;
    let _ = ada.issue(NewKey::named("laptop")).await.unwrap();
    let all = KeyFilter::default();
    let root = acting(&keys, "root").await;
    assert_eq!(
        root.list(&all, PageRequest::default())
            .await
            .unwrap()
            .keys
            .len(),
        1
    );
    // An owner who is only a name is a member.
    let eve = acting(&keys, "eve").await;
    assert!(
        eve.list(&all, PageRequest::default())
            .await
            .unwrap()
            .keys
            .is_empty()
    );
    for error in [
        ada.put_owner(Owner::admin("ada".parse().unwrap()))
            .await
            .unwrap_err(),
        ada.suspend_owner(&"root".parse().unwrap())
            .await
            .unwrap_err(),
        ada.remove_owner(&"ada".parse().unwrap()).await.unwrap_err(),
        ada.put_plan(mcp_api_keys::key::Plan::new(plan("free")))
            .await
            .unwrap_err(),
        ada.remove_plan(&plan("free")).await.unwrap_err(),
        ada.bootstrap("ada".parse().unwrap()).await.unwrap_err(),
        ada.ensure_default_key("files").await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Forbidden, "{error}");
    }
    let own = ada.owner(&"ada".parse().unwrap()).await.unwrap();
    assert!(own.is_some());
    let others = ada.owner(&"root".parse().unwrap()).await.unwrap_err();
    assert_eq!(others.kind(), ErrorKind::NotFound);

    manager
        .suspend_owner(&"ada".parse().unwrap())
        .await
        .unwrap();
    let suspended = manager.principal_of(&"ada".parse().unwrap()).await;
    assert_eq!(suspended.unwrap_err().kind(), ErrorKind::Forbidden);
    let issued = ada.issue(NewKey::named("another")).await;
    assert_eq!(issued.unwrap_err().kind(), ErrorKind::Forbidden);
}

/// R4: neither making a key nor changing one gives a member more than they have.
#[tokio::test]
async fn a_member_stays_within_their_own_rights() {
    let keys = in_database().await;
    let own = Owner::member("ada".parse().unwrap())
        .server("files".parse().unwrap())
        .scope("files:*".parse().unwrap())
        .read_only();
    let mut own = keys.manager().put_owner(own).await.unwrap();
    let ada = acting(&keys, "ada").await;
    let new = || NewKey::named("k").read_only();
    forbidden(ada.issue(new().server("mail")).await, "servers");
    forbidden(ada.issue(new().scope("*").unwrap()).await, "scopes");
    forbidden(ada.issue(NewKey::named("k")).await, "access");
    forbidden(ada.issue(new().owner("bob")).await, "owner");

    let fits = new().all_servers().scope("files:read").unwrap();
    let issued = ada.issue(fits).await.unwrap();
    let id = issued.info().id;
    for (field, update) in [
        (
            "servers",
            KeyUpdate::new().servers(Servers::only(["mail"]).unwrap()),
        ),
        (
            "scopes",
            KeyUpdate::new().scopes(ScopeSet::parse(["mail:read"]).unwrap()),
        ),
        ("access", KeyUpdate::new().access(Access::Full)),
        ("owner", KeyUpdate::new().owner(None)),
    ] {
        forbidden(ada.update(id, update).await, field);
    }
    let wider = KeyUpdate::new().scopes(ScopeSet::parse(["files:*"]).unwrap());
    ada.update(id, wider).await.unwrap();
    // What they have lost meanwhile they cannot hand on either; withdrawing is always possible.
    own.scopes = ScopeSet::parse(["files:read"]).unwrap();
    keys.manager().put_owner(own).await.unwrap();
    forbidden(ada.rotate(id).await, "scopes");
    ada.revoke(id, None).await.unwrap();
}

/// What an admin has set on a member's key, the member tightens and does not loosen.
#[tokio::test]
async fn a_member_does_not_loosen_what_bounds_their_key_alone() {
    let keys = in_database().await;
    keys.manager().put_owner(member("ada")).await.unwrap();
    let new = NewKey::named("k")
        .owner("ada")
        .plan("free")
        .rate(RateLimit::per_hour(100).named("hourly"))
        .quota(Quota::per_day(50))
        .signed_only()
        .expires_in(DAY);
    let issued = keys.manager().issue(new).await.unwrap();
    let id = issued.info().id;
    let ada = acting(&keys, "ada").await;
    let hourly = RateLimit::per_hour(100).named("hourly");
    let limits = |limit: RateLimit| KeyUpdate::new().limits(vec![limit]);
    let later = NOW.saturating_add(2 * DAY);
    for (field, update) in [
        ("plan", KeyUpdate::new().plan(None)),
        ("plan", KeyUpdate::new().plan(Some(plan("professional")))),
        ("signing", KeyUpdate::new().signing(Signing::ByLayer)),
        ("expires_at", KeyUpdate::new().expires_at(None)),
        ("expires_at", KeyUpdate::new().expires_at(Some(later))),
        ("limits", KeyUpdate::new().limits(Vec::new())),
        ("limits", limits(RateLimit::per_hour(101).named("hourly"))),
        ("limits", limits(hourly.clone().burst(101))),
        ("limits", limits(RateLimit::per_minute(2).named("hourly"))),
        ("limits", limits(RateLimit::per_hour(100).named("other"))),
        // In place of the plan's ten a minute.
        (
            "limits",
            KeyUpdate::new().limits(vec![hourly.clone(), RateLimit::per_minute(11)]),
        ),
        ("quotas", KeyUpdate::new().quotas(Vec::new())),
        ("quotas", KeyUpdate::new().quotas(vec![Quota::per_day(51)])),
        (
            "quotas",
            KeyUpdate::new().quotas(vec![Quota::per_month(50)]),
        ),
    ] {
        forbidden(ada.update(id, update).await, field);
    }
    let before = keys.manager().get(id).await.unwrap();
    assert_eq!(before.revision, issued.info().revision);

    let tighter = KeyUpdate::new()
        .limits(vec![hourly.burst(5), RateLimit::per_minute(9)])
        .quotas(vec![Quota::per_day(49), Quota::per_month(50).named("m")])
        .expires_at(Some(NOW.saturating_add(DAY / 2)));
    ada.update(id, tighter).await.unwrap();
    ada.update(id, KeyUpdate::new().name("mine")).await.unwrap();
    // An admin does as they like.
    let freed = KeyUpdate::new().plan(None).limits(Vec::new());
    keys.manager().update(id, freed).await.unwrap();
}

#[tokio::test]
async fn members_keys_are_on_the_plan_that_is_meant_for_them() {
    let keys = builder(MemoryStore::new())
        .members_plan(plan("free"))
        .build()
        .await
        .unwrap();
    let bob = acting(&keys, "bob").await;
    forbidden(bob.issue(NewKey::named("k").plan("standard")).await, "plan");
    let generous = NewKey::named("k").rate(RateLimit::per_minute(1_000));
    forbidden(bob.issue(generous).await, "limits");
    for new in [
        NewKey::named("k"),
        NewKey::named("k").plan("free"),
        NewKey::named("k").rate(RateLimit::per_minute(10)),
    ] {
        let issued = bob.issue(new).await.unwrap();
        assert_eq!(issued.info().plan, Some(plan("free")));
        let key = issued.key().expose_secret();
        assert_eq!(admitted(&any_server(&keys), key, 12).await, 10);
    }
    // Admins are not concerned.
    let issued = keys.manager().issue(NewKey::named("k").owner("bob"));
    assert_eq!(issued.await.unwrap().info().plan, None);

    let nowhere = builder(MemoryStore::new()).members_plan(plan("none-such"));
    let nowhere = nowhere.build().await.unwrap();
    let bob = acting(&nowhere, "bob").await;
    bob.issue(NewKey::named("k")).await.unwrap_err();
}

/// R1 by configuration: members look, admins act.
#[tokio::test]
async fn r1_members_only_look_where_only_admins_change_keys() {
    let keys = builder(MemoryStore::new())
        .only_admins_change_keys(true)
        .build()
        .await
        .unwrap();
    let issued = keys.manager().issue(NewKey::named("k").owner("bob"));
    let issued = issued.await.unwrap();
    let (key, id) = (issued.key().expose_secret(), issued.info().id);
    let bob = acting(&keys, "bob").await;
    assert_eq!(bob.get(id).await.unwrap().id, id);
    let mut own = KeyFilter::default();
    own.owner = "bob".parse().ok();
    for error in [
        bob.issue(NewKey::named("k")).await.unwrap_err(),
        bob.update(id, KeyUpdate::new().name("n"))
            .await
            .unwrap_err(),
        bob.disable(id).await.unwrap_err(),
        bob.enable(id).await.unwrap_err(),
        bob.rotate(id).await.unwrap_err(),
        bob.end_grace(id).await.unwrap_err(),
        bob.revoke(id, None).await.unwrap_err(),
        bob.delete(id).await.unwrap_err(),
        bob.revoke_all(&own, None).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Forbidden, "{error}");
    }
    assert_eq!(outcome(&any_server(&keys), key).await, Ok(()));
    keys.manager().revoke(id, None).await.unwrap();
    assert_eq!(
        outcome(&any_server(&keys), key).await,
        Err(RejectionKind::Revoked)
    );
}

#[tokio::test]
async fn what_an_admin_has_switched_off_no_member_switches_on() {
    let keys = in_database().await;
    let manager = keys.manager();
    let root = Owner::admin("root".parse().unwrap());
    manager.put_owner(root).await.unwrap();
    manager.put_owner(member("ada")).await.unwrap();
    let (root, ada) = (acting(&keys, "root").await, acting(&keys, "ada").await);
    let id = ada.issue(NewKey::named("laptop")).await.unwrap().info().id;

    // What they have switched off themselves they switch on.
    assert!(!ada.disable(id).await.unwrap().held);
    assert!(!ada.enable(id).await.unwrap().held);

    // An admin does it, also where it is off already.
    let _ = ada.disable(id).await.unwrap();
    assert!(root.disable(id).await.unwrap().held);
    let refused = ada.enable(id).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forbidden);
    // Nothing else that a member does lifts it.
    assert!(ada.disable(id).await.unwrap().held);
    let renamed = ada.update(id, KeyUpdate::new().name("mine")).await.unwrap();
    assert!(renamed.held);
    let rotated = ada.rotate(id).await.unwrap();
    assert!(rotated.info().held);
    assert_eq!(rotated.info().status.as_str(), "disabled");
    assert!(ada.enable(id).await.is_err());
    assert!(ada.get(id).await.unwrap().held);

    // An admin lifts it for good.
    let on = root.enable(id).await.unwrap();
    assert_eq!((on.status.as_str(), on.held), ("active", false));
    let _ = ada.disable(id).await.unwrap();
    let _ = ada.enable(id).await.unwrap();
    // And what is held may still be withdrawn and deleted by its owner.
    let _ = root.disable(id).await.unwrap();
    assert_eq!(
        ada.revoke(id, None).await.unwrap().status.as_str(),
        "revoked"
    );
    assert!(ada.delete(id).await.unwrap());
}
