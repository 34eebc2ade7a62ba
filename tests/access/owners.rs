//! O2, O9: a key never reaches further than its owner, from the next request on.

use mcp_api_keys::RejectionKind;
use std::time::Duration;

use mcp_api_keys::key::{Access, KeyInfo, Owner, ScopeSet, Servers};
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::testing::{Call, Fault};
use mcp_api_keys::{ApiKeys, ErrorKind, KeyUpdate, NewKey};

use crate::world::{
    Crowd, DAY, Database, SECOND, any_server, builder, everything, faulty, in_database, issue,
    member, node, of, outcome, present, until,
};

async fn change(keys: &ApiKeys, name: &str, change: impl FnOnce(Owner) -> Owner) {
    let known = keys.manager().owner(&name.parse().unwrap()).await.unwrap();
    let changed = change(known.unwrap());
    keys.manager().put_owner(changed).await.unwrap();
}

/// O2: the owner's servers, scopes and access bound the key at each request.
#[tokio::test]
async fn o2_a_key_does_what_its_owner_may_do_at_the_time() {
    let keys = in_database().await;
    let ada = Owner::member("ada".parse().unwrap())
        .server("files".parse().unwrap())
        .scope("files:*".parse().unwrap());
    keys.manager().put_owner(ada).await.unwrap();
    let (key, id) = issue(&keys, of("ada")).await;
    let files = keys.layer().server("files").gate().clone();
    let mail = keys.layer().server("mail").gate().clone();
    let writes = keys
        .layer()
        .server("files")
        .require_full_access()
        .gate()
        .clone();
    let reads_mail = keys
        .layer()
        .server("mail")
        .require_scope("mail:read")
        .unwrap()
        .gate()
        .clone();

    let context = present(&files, &key).await.unwrap();
    // What a handler is told is what the key may do, and not what it was issued for.
    assert_eq!(context.servers(), &Servers::only(["files"]).unwrap());
    assert_eq!(context.scopes(), &ScopeSet::parse(["files:*"]).unwrap());
    let shown: KeyInfo = keys.manager().rights(id).await.unwrap();
    assert_eq!(shown.servers, *context.servers());
    assert_eq!(
        keys.manager().get(id).await.unwrap().servers,
        Servers::All,
        "the record itself stays"
    );
    assert_eq!(outcome(&mail, &key).await, Err(RejectionKind::ServerDenied));

    // O9: a key for all servers opens those that its owner gains later.
    change(&keys, "ada", |ada| ada.server("mail".parse().unwrap())).await;
    assert_eq!(outcome(&mail, &key).await, Ok(()));
    assert_eq!(
        outcome(&reads_mail, &key).await,
        Err(RejectionKind::ScopeMissing)
    );
    change(&keys, "ada", |ada| ada.scope("mail:*".parse().unwrap())).await;
    assert_eq!(outcome(&reads_mail, &key).await, Ok(()));

    assert_eq!(outcome(&writes, &key).await, Ok(()));
    change(&keys, "ada", Owner::read_only).await;
    assert_eq!(outcome(&writes, &key).await, Err(RejectionKind::ReadOnly));
    assert_eq!(outcome(&files, &key).await, Ok(()));

    change(&keys, "ada", |mut ada| {
        ada.servers = Servers::only(["mail"]).unwrap();
        ada
    })
    .await;
    assert_eq!(
        outcome(&files, &key).await,
        Err(RejectionKind::ServerDenied)
    );
}

/// A key that names its servers gains nothing, whatever its owner does.
#[tokio::test]
async fn o9_only_a_key_for_all_servers_gains_servers() {
    let keys = in_database().await;
    keys.manager().put_owner(member("ada")).await.unwrap();
    let new = NewKey::named("k").owner("ada").server("files");
    let (key, _) = issue(&keys, new.read_only()).await;
    let mail = keys.layer().server("mail").gate().clone();
    change(&keys, "ada", |known| {
        let mut admin = Owner::admin(known.id);
        admin.revision = known.revision;
        admin
    })
    .await;
    assert_eq!(outcome(&mail, &key).await, Err(RejectionKind::ServerDenied));
    let context = present(&any_server(&keys), &key).await.unwrap();
    assert_eq!(context.access(), Access::ReadOnly);
    assert!(context.scopes().is_empty());
}

#[tokio::test]
async fn o2_keys_of_a_suspended_owner_are_refused_and_come_back_with_them() {
    let keys = in_database().await;
    let gate = any_server(&keys);
    let ada = keys.manager().put_owner(member("ada")).await.unwrap();
    let (key, id) = issue(&keys, of("ada")).await;
    assert_eq!(outcome(&gate, &key).await, Ok(()));

    keys.manager().suspend_owner(&ada.id).await.unwrap();
    let refused = present(&gate, &key).await.unwrap_err();
    assert_eq!(refused.kind(), RejectionKind::OwnerBarred);
    assert_eq!(refused.code(), "disabled_api_key");
    // Issued, changed or rotated meanwhile, a key is refused as well.
    let (other, _) = issue(&keys, of("ada")).await;
    assert_eq!(outcome(&gate, &other).await, Err(refused.kind()));
    let update = KeyUpdate::new().name("renamed");
    keys.manager().update(id, update).await.unwrap();
    assert_eq!(outcome(&gate, &key).await, Err(refused.kind()));
    // Twice suspended is suspended.
    keys.manager().suspend_owner(&ada.id).await.unwrap();

    let back = keys.manager().resume_owner(&ada.id).await.unwrap();
    assert!(back.active);
    for key in [&key, &other] {
        assert_eq!(outcome(&gate, key).await, Ok(()));
    }
}

#[tokio::test]
async fn an_owner_with_keys_cannot_be_removed() {
    let keys = in_database().await;
    let manager = keys.manager();
    let ada = manager.put_owner(member("ada")).await.unwrap();
    let (key, id) = issue(&keys, of("ada")).await;
    manager.disable(id).await.unwrap();
    let refused = manager.remove_owner(&ada.id).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    manager.enable(id).await.unwrap();
    assert_eq!(outcome(&any_server(&keys), &key).await, Ok(()));
    manager.revoke(id, None).await.unwrap();
    manager.remove_owner(&ada.id).await.unwrap();
    assert_eq!(manager.owner(&ada.id).await.unwrap(), None);
    let gone = manager.remove_owner(&ada.id).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    let gone = manager.suspend_owner(&ada.id).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
}

/// Who read an owner before somebody else changed them does not undo that.
#[tokio::test]
async fn an_owner_is_replaced_only_as_they_were_read() {
    let keys = in_database().await;
    let read = keys.manager().put_owner(member("ada")).await.unwrap();
    keys.manager().suspend_owner(&read.id).await.unwrap();
    for stale in [read.clone(), member("ada")] {
        let refused = keys.manager().put_owner(stale).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict);
    }
    let known = keys.manager().owner(&read.id).await.unwrap().unwrap();
    assert!(!known.active);
}

/// P1 for owners: sixty-four tasks present a key while its owner loses what it needs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_that_begins_after_an_owner_changed_is_beyond_the_new_right() {
    let keys = builder(MemoryStore::new()).build().await.unwrap();
    let gate = keys
        .layer()
        .server("files")
        .require_scope("files:read")
        .unwrap()
        .require_full_access()
        .gate()
        .clone();
    let crowd = Crowd::of(64, &gate);
    let rounds = 600;
    for round in 0..rounds {
        let name = format!("owner-{round}");
        let owner = keys.manager().put_owner(member(&name)).await.unwrap();
        let (key, _) = issue(&keys, of(&name)).await;
        // A third each: well in use, just in use, and perhaps not even verified yet.
        let uses = [100, 1, 0][round % 3];
        let withdraw = async {
            let manager = keys.manager();
            let mut changed = owner.clone();
            match (round / 3) % 4 {
                0 => return drop(manager.suspend_owner(&owner.id).await.unwrap()),
                1 => changed.servers = Servers::only(["mail"]).unwrap(),
                2 => changed.scopes = ScopeSet::parse(["mail:*"]).unwrap(),
                _ => changed.access = Access::ReadOnly,
            }
            manager.put_owner(changed).await.unwrap();
        };
        crowd.present(&key, uses, withdraw).await;
    }
    let (admitted, late, unavailable) = crowd.leave().await;
    println!("{rounds} owners changed, {admitted} requests admitted, {late} of them late");
    assert!(admitted > rounds as u64);
    assert_eq!((late, unavailable), (0, 0));
}

/// The race by hand: what the owner may do has been read, the answer is held back, they are
/// suspended.
#[tokio::test]
async fn a_verification_that_read_the_owner_before_a_change_does_not_admit_by_it() {
    for held_back in [Call::FindByHandle, Call::Document] {
        let (keys, faults, _) = faulty().await;
        let gate = any_server(&keys);
        let ada = keys.manager().put_owner(member("ada")).await.unwrap();
        let (key, _) = issue(&keys, of("ada")).await;
        faults.nth_call_of(held_back, 1, Fault::Withhold);
        let first = tokio::spawn({
            let (gate, key) = (gate.clone(), key.clone());
            async move { outcome(&gate, &key).await }
        });
        faults.until_held(1).await;
        keys.manager().suspend_owner(&ada.id).await.unwrap();
        faults.release();
        let barred = Err(RejectionKind::OwnerBarred);
        assert_eq!(first.await.unwrap(), barred, "{held_back:?}");
        assert_eq!(outcome(&gate, &key).await, barred, "{held_back:?}");
    }
}

/// The answer to a suspension is lost: the caller sees an error, and the keys are refused all the
/// same.
#[tokio::test]
async fn a_suspension_whose_answer_was_lost_holds_at_once() {
    let (keys, faults, _) = faulty().await;
    let gate = any_server(&keys);
    let ada = keys.manager().put_owner(member("ada")).await.unwrap();
    let (key, _) = issue(&keys, of("ada")).await;
    assert_eq!(outcome(&gate, &key).await, Ok(()));
    faults.nth_call_of(Call::PutDocument, 1, Fault::Lose);
    keys.manager().suspend_owner(&ada.id).await.unwrap_err();
    assert_eq!(outcome(&gate, &key).await, Err(RejectionKind::OwnerBarred));
}

/// While the owner cannot be read, a key that has to be judged anew waits: it is neither refused
/// for good nor let through.
#[tokio::test]
async fn an_owner_who_cannot_be_read_is_no_reason_to_refuse_or_to_admit() {
    let (keys, faults, _) = faulty().await;
    let gate = any_server(&keys);
    let ada = keys.manager().put_owner(member("ada")).await.unwrap();
    let (key, _) = issue(&keys, of("ada")).await;
    assert_eq!(outcome(&gate, &key).await, Ok(()));
    keys.manager().put_owner(ada.read_only()).await.unwrap();
    faults.every_call_of(Call::Document, Fault::Fail);
    let refused = present(&gate, &key).await.unwrap_err();
    assert_eq!(refused.kind(), RejectionKind::Unavailable);
    assert!(refused.retry_after().is_some());
    faults.clear();
    let context = present(&gate, &key).await.unwrap();
    assert_eq!(context.access(), Access::ReadOnly);
}

/// One who brings thousands of owners up to date disturbs nobody else's keys.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_other_owners_keep_no_key_from_being_verified() {
    let (keys, faults, _) = faulty().await;
    let gate = any_server(&keys);
    keys.manager().put_owner(member("ada")).await.unwrap();
    let mut fresh = Vec::new();
    for _ in 0..40 {
        fresh.push(issue(&keys, of("ada")).await.0);
        fresh.push(issue(&keys, everything("nobody's")).await.0);
    }
    // A database on another machine.
    for call in [Call::FindByHandle, Call::Get, Call::Document] {
        faults.every_call_of(call, Fault::Delay(3 * SECOND / 1_000));
    }
    let syncing = tokio::spawn({
        let keys = keys.clone();
        async move {
            for number in 0..100_000 {
                keys.owner_changed(&format!("owner-{number}").parse().unwrap());
                tokio::time::sleep(SECOND / 1_000).await;
            }
        }
    });
    for key in &fresh {
        assert_eq!(outcome(&gate, key).await, Ok(()));
    }
    assert!(!syncing.is_finished(), "nothing was going on");
    syncing.abort();
}

/// Another process on the same database sees a suspension within one polling interval.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_node_sees_a_change_of_an_owner_in_time() {
    let database = Database::new().await;
    let (here, there) = (node(&database).await, node(&database).await);
    let gate = any_server(&there);
    let mut owned = Vec::new();
    for number in 0..10 {
        let name = format!("owner-{number}");
        let owner = here.manager().put_owner(member(&name)).await.unwrap();
        let (key, _) = issue(&here, of(&name)).await;
        assert_eq!(outcome(&gate, &key).await, Ok(()));
        owned.push((owner, key));
    }
    let mut waits = Vec::new();
    for (owner, key) in owned {
        // Spread over the polling interval of the other node.
        tokio::time::sleep(SECOND / 5).await;
        here.manager().suspend_owner(&owner.id).await.unwrap();
        let gate = gate.clone();
        waits.push(tokio::spawn(async move {
            until(&gate, &key, Err(RejectionKind::OwnerBarred)).await
        }));
    }
    let mut longest = Duration::ZERO;
    for wait in waits {
        longest = longest.max(wait.await.unwrap());
    }
    println!("10 owners suspended beside the node, noticed within {longest:?}");
    assert!(longest <= SECOND * 5 / 2, "{longest:?}");
}

/// Without known owners, a name is a label; with them, it has to be somebody.
#[tokio::test]
async fn only_known_owners_have_keys_where_that_is_asked_for() {
    let store = MemoryStore::new();
    let lax = builder(store.clone()).build().await.unwrap();
    let (key, _) = issue(&lax, of("somebody")).await;
    assert_eq!(outcome(&any_server(&lax), &key).await, Ok(()));

    let strict = builder(store)
        .known_owners_only(true)
        .build()
        .await
        .unwrap();
    let gate = any_server(&strict);
    assert_eq!(outcome(&gate, &key).await, Err(RejectionKind::OwnerBarred));
    let refused = strict.manager().issue(of("nobody")).await.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.field()),
        (ErrorKind::InvalidInput, Some("owner"))
    );
    strict
        .manager()
        .put_owner(member("somebody"))
        .await
        .unwrap();
    assert_eq!(outcome(&gate, &key).await, Ok(()));
    // Nobody's key is bounded by nobody.
    let (nobodys, id) = issue(&strict, everything("ci").expires_in(DAY)).await;
    assert_eq!(outcome(&gate, &nobodys).await, Ok(()));
    let update = KeyUpdate::new().owner("nobody".parse().ok());
    let refused = strict.manager().update(id, update).await.unwrap_err();
    assert_eq!(refused.field(), Some("owner"));
}
