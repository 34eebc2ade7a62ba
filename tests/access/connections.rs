//! R4, R5: connections that programs renew, and how they end.

use std::sync::Arc;
use std::time::Duration;

use mcp_api_keys::audit::{AuditAction, AuditFilter};
use mcp_api_keys::key::{
    Access, ClientId, KeyId, KeyInfo, KeyStatus, Owner, Role, ScopeSet, Servers,
};
use mcp_api_keys::store::{AuditPage, KeyFilter, PageRequest};
use mcp_api_keys::testing::{Call, Fault};
use mcp_api_keys::{
    ApiKeys, ConnectionTokens, Error, ErrorKind, KeyManager, KeyUpdate, NewConnection, Principal,
    RefusedRenewal, RejectionKind, Renewal, Timestamp,
};

use crate::world::{
    DAY, Database, NOW, SECOND, any_server, faulty, in_database, in_memory, member, node, outcome,
    pass, present,
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

fn client() -> ClientId {
    "https://assistant.example/client".parse().unwrap()
}

/// A connection of ada for everything that she may do with it.
fn new() -> NewConnection {
    NewConnection::new("ada".parse().unwrap(), client())
        .client_name("Assistant")
        .servers(Servers::All)
        .scopes(ScopeSet::all())
        .resource("https://mcp.example/files")
}

async fn connect(manager: &KeyManager) -> ConnectionTokens {
    manager.connect(new()).await.unwrap()
}

async fn renew(manager: &KeyManager, token: &str) -> Result<Box<ConnectionTokens>, RefusedRenewal> {
    match manager.renew(&client(), token).await.unwrap() {
        Renewal::Tokens(tokens) => Ok(tokens),
        Renewal::Refused(refused) => Err(refused),
        other => panic!("{other:?}"),
    }
}

async fn refused(manager: &KeyManager, token: &str) -> Option<RefusedRenewal> {
    renew(manager, token).await.err()
}

fn secret(tokens: &ConnectionTokens) -> &str {
    tokens.key().expose_secret()
}

async fn reason(manager: &KeyManager, id: KeyId) -> Option<String> {
    match manager.get(id).await.unwrap().status {
        KeyStatus::Revoked { reason, .. } => reason,
        _ => None,
    }
}

fn is(error: &Error, kind: ErrorKind, field: Option<&str>) {
    assert_eq!((error.kind(), error.field()), (kind, field), "{error}");
}

#[tokio::test]
async fn a_connection_is_a_key_whose_secrets_end_and_are_renewed() {
    let (keys, clock) = in_memory().await;
    let manager = keys.manager();
    manager.put_owner(member("ada")).await.unwrap();
    let gate = any_server(&keys);
    let first = connect(manager).await;
    assert_eq!(first.expires_in(), HOUR);
    let info = first.info();
    let connection = info.connection.as_ref().unwrap();
    assert_eq!(connection.client, client());
    assert_eq!(connection.name.as_deref(), Some("Assistant"));
    assert_eq!(
        (info.name.as_str(), info.access),
        ("Assistant", Access::ReadOnly)
    );
    assert_eq!(info.expires_at, Some(NOW.saturating_add(30 * DAY)));
    let context = present(&gate, secret(&first)).await.unwrap();
    assert_eq!(context.servers(), &Servers::only(["files"]).unwrap());
    // A refresh token is no key.
    let kind = outcome(&gate, first.refresh_token()).await;
    assert_eq!(kind, Err(RejectionKind::Malformed));

    pass(&keys, &clock, 30 * MINUTE).await;
    let second = renew(manager, first.refresh_token()).await.unwrap();
    assert_eq!(second.info().id, info.id);
    assert_eq!(
        second.info().expires_at,
        Some(NOW.saturating_add(30 * DAY + 30 * MINUTE))
    );
    assert_ne!(second.refresh_token(), first.refresh_token());
    // What is under way goes on for a minute.
    for tokens in [&first, &*second] {
        assert_eq!(outcome(&gate, secret(tokens)).await, Ok(()));
    }
    pass(&keys, &clock, MINUTE - SECOND).await;
    assert_eq!(outcome(&gate, secret(&first)).await, Ok(()));
    pass(&keys, &clock, SECOND).await;
    let expired = Err(RejectionKind::TokenExpired);
    assert_eq!(outcome(&gate, secret(&first)).await, expired);
    assert_eq!(outcome(&gate, secret(&second)).await, Ok(()));
    pass(&keys, &clock, 59 * MINUTE).await;
    assert_eq!(outcome(&gate, secret(&second)).await, expired);
    // The secrets that have ended are dropped.
    let third = renew(manager, second.refresh_token()).await.unwrap();
    assert_eq!(third.info().previous, None);
    assert_eq!(outcome(&gate, secret(&third)).await, Ok(()));
}

#[tokio::test]
async fn a_program_that_renews_all_the_time_has_few_tokens() {
    let (keys, _) = in_memory().await;
    let manager = keys.manager();
    let gate = any_server(&keys);
    let mut all = vec![Box::new(connect(manager).await)];
    for _ in 0..6 {
        let next = renew(manager, all[all.len() - 1].refresh_token()).await;
        all.push(next.unwrap());
    }
    let mut good = 0;
    for tokens in &all {
        good += usize::from(outcome(&gate, secret(tokens)).await.is_ok());
    }
    assert_eq!(good, 4);
    assert_eq!(outcome(&gate, secret(&all[6])).await, Ok(()));
}

#[tokio::test]
async fn a_refresh_token_that_is_used_twice_ends_the_connection() {
    let (keys, clock) = in_memory().await;
    let manager = keys.manager();
    let gate = any_server(&keys);
    let first = connect(manager).await;
    let second = renew(manager, first.refresh_token()).await.unwrap();
    let third = renew(manager, second.refresh_token()).await.unwrap();
    pass(&keys, &clock, DAY).await;
    let fourth = renew(manager, third.refresh_token()).await.unwrap();
    // However long ago.
    let reused = refused(manager, first.refresh_token()).await;
    assert_eq!(reused, Some(RefusedRenewal::Reused));
    let revoked = Err(RejectionKind::Revoked);
    assert_eq!(outcome(&gate, secret(&fourth)).await, revoked);
    for tokens in [&first, &*second, &*third, &*fourth] {
        let ended = refused(manager, tokens.refresh_token()).await;
        assert_eq!(ended, Some(RefusedRenewal::Ended));
    }
    let id = first.info().id;
    assert_eq!(
        reason(manager, id).await.as_deref(),
        Some("refresh token reused")
    );
    let mut filter = AuditFilter::default();
    filter.subject = Some(id.into());
    let trail = manager.audit(&filter, AuditPage::newest(10)).await.unwrap();
    let acts: Vec<_> = trail.iter().rev().map(|entry| entry.action).collect();
    use AuditAction::{Connected, Renewed, Reused};
    assert_eq!(acts, [Connected, Renewed, Renewed, Renewed, Reused]);
    assert_eq!(trail[0].actor, "client:https://assistant.example/client");
}

#[tokio::test]
async fn nobody_ends_a_connection_by_guessing() {
    let (keys, _) = in_memory().await;
    let manager = keys.manager();
    let ours = connect(manager).await;
    let theirs = connect(manager).await;
    let token = ours.refresh_token();
    // The root of another connection, under this one's id.
    let forged = format!("{}{}", &token[..26], &theirs.refresh_token()[26..]);
    let plain = format!("{}_{}_{}", &token[..26], "0".repeat(43), "0".repeat(43));
    let nobodys = token.replacen(&token[4..26], &"0".repeat(22), 1);
    for text in [
        &forged,
        &plain,
        &nobodys,
        "",
        "mrt_",
        secret(&ours),
        &token[..113],
    ] {
        assert_eq!(
            refused(manager, text).await,
            Some(RefusedRenewal::Unknown),
            "{text}"
        );
        assert!(!manager.drop_token(&client(), text).await.unwrap() || text == secret(&ours));
    }
    // Another program gets nothing for it, and does no harm.
    let other = "cursor".parse().unwrap();
    let renewal = manager.renew(&other, token).await.unwrap();
    assert!(matches!(
        renewal,
        Renewal::Refused(RefusedRenewal::WrongClient)
    ));
    assert!(!manager.drop_token(&other, token).await.unwrap());
    // Nor does who asks for another resource.
    let client = client();
    let elsewhere = manager.renew_for(&client, token, "https://mcp.example/mail");
    let elsewhere = elsewhere.await.unwrap();
    assert!(matches!(
        elsewhere,
        Renewal::Refused(RefusedRenewal::WrongResource)
    ));
    let here = manager.renew_for(&client, token, "https://mcp.example/files");
    assert!(matches!(here.await.unwrap(), Renewal::Tokens(_)));
    assert_eq!(reason(manager, ours.info().id).await, None);
}

#[tokio::test]
async fn what_is_not_renewed_ends_by_itself_and_what_is_goes_on_to_its_end() {
    let (keys, clock) = in_memory().await;
    let manager = keys.manager();
    let abandoned = connect(manager).await;
    let end = NOW.saturating_add(75 * DAY);
    let kept = manager.connect(new().ends_at(end)).await.unwrap();
    let mut token = kept.refresh_token().to_owned();
    for _ in 0..3 {
        clock.advance(20 * DAY);
        let next = renew(manager, &token).await.unwrap();
        next.refresh_token().clone_into(&mut token);
    }
    let ended = refused(manager, abandoned.refresh_token()).await;
    assert_eq!(ended, Some(RefusedRenewal::Ended));
    // It ended by itself, and was not revoked.
    assert_eq!(reason(manager, abandoned.info().id).await, None);
    clock.advance(15 * DAY - 10 * SECOND);
    let last = renew(manager, &token).await.unwrap();
    assert_eq!(last.info().expires_at, Some(end));
    assert_eq!(last.expires_in(), 10 * SECOND);
    clock.advance(10 * SECOND);
    let ended = refused(manager, last.refresh_token()).await;
    assert_eq!(ended, Some(RefusedRenewal::Ended));
}

#[tokio::test]
async fn an_admin_may_set_an_end_that_no_renewal_moves() {
    let (keys, clock) = in_memory().await;
    let manager = keys.manager();
    let first = connect(manager).await;
    let end = NOW.saturating_add(2 * HOUR);
    let update = KeyUpdate::new().expires_at(Some(end));
    manager.update(first.info().id, update).await.unwrap();
    clock.advance(90 * MINUTE);
    let second = renew(manager, first.refresh_token()).await.unwrap();
    assert_eq!(second.info().expires_at, Some(end));
    assert_eq!(second.expires_in(), 30 * MINUTE);
}

/// How many of so many renewals at once, spread over these managers, were given tokens.
async fn race(managers: &[&KeyManager], token: &str, times: usize) -> usize {
    let start = Arc::new(tokio::sync::Barrier::new(times));
    let tasks: Vec<_> = (0..times)
        .map(|number| {
            let manager = managers[number % managers.len()].clone();
            let (start, token) = (Arc::clone(&start), token.to_owned());
            tokio::spawn(async move {
                start.wait().await;
                manager.renew(&client(), &token).await.unwrap()
            })
        })
        .collect();
    let (mut won, mut reused) = (0, 0);
    for task in tasks {
        match task.await.unwrap() {
            Renewal::Tokens(_) => won += 1,
            Renewal::Refused(RefusedRenewal::Reused) => reused += 1,
            Renewal::Refused(RefusedRenewal::Ended) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(reused > 0 || times == won);
    won
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_renewals_by_one_token_one_wins_and_the_other_ends_the_connection() {
    let database = Database::new().await;
    let (one, other) = (node(&database).await, node(&database).await);
    for times in [2, 2, 2, 8] {
        let first = connect(one.manager()).await;
        let token = first.refresh_token();
        assert_eq!(
            race(&[one.manager(), other.manager()], token, times).await,
            1
        );
        let ended = reason(one.manager(), first.info().id).await;
        assert_eq!(ended.as_deref(), Some("refresh token reused"));
    }
}

#[tokio::test]
async fn a_change_by_somebody_else_is_no_reuse() {
    let keys = in_database().await;
    let manager = keys.manager().clone();
    let first = connect(&manager).await;
    let id = first.info().id;
    let renaming = tokio::spawn({
        let manager = manager.clone();
        async move {
            for number in 0..5 {
                let name = KeyUpdate::new().name(format!("name {number}"));
                // Each may be outrun by the other, again and again.
                while let Err(error) = manager.update(id, name.clone()).await {
                    is(&error, ErrorKind::Conflict, None);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
    let mut token = first.refresh_token().to_owned();
    for _ in 0..10 {
        let next = renew(&manager, &token).await.unwrap();
        next.refresh_token().clone_into(&mut token);
    }
    renaming.await.unwrap();
    assert_eq!(manager.get(id).await.unwrap().name, "name 4");
}

#[tokio::test]
async fn what_is_withdrawn_is_refused_at_once_and_not_renewed() {
    let keys = in_database().await;
    let manager = keys.manager();
    let ada = manager.put_owner(member("ada")).await.unwrap();
    let gate = any_server(&keys);

    // Switched off and on again, as is its owner.
    let first = connect(manager).await;
    manager.disable(first.info().id).await.unwrap();
    let disabled = Err(RejectionKind::Disabled);
    assert_eq!(outcome(&gate, secret(&first)).await, disabled);
    let ended = Some(RefusedRenewal::Ended);
    assert_eq!(refused(manager, first.refresh_token()).await, ended);
    manager.enable(first.info().id).await.unwrap();
    manager.suspend_owner(&ada.id).await.unwrap();
    let barred = Err(RejectionKind::OwnerBarred);
    assert_eq!(outcome(&gate, secret(&first)).await, barred);
    assert_eq!(refused(manager, first.refresh_token()).await, ended);
    is(
        &manager.connect(new()).await.unwrap_err(),
        ErrorKind::Forbidden,
        None,
    );
    manager.resume_owner(&ada.id).await.unwrap();
    let second = renew(manager, first.refresh_token()).await.unwrap();

    // Disconnected for good: the family of its refresh tokens too.
    manager.disconnect(second.info().id).await.unwrap();
    for tokens in [&first, &*second] {
        let kind = outcome(&gate, secret(tokens)).await;
        assert_eq!(kind, Err(RejectionKind::Revoked));
        assert_eq!(refused(manager, tokens.refresh_token()).await, ended);
    }
    let id = second.info().id;
    assert_eq!(reason(manager, id).await.as_deref(), Some("disconnected"));
    // Deleted: nothing is known of it.
    let gone = connect(manager).await;
    manager.delete(gone.info().id).await.unwrap();
    let unknown = Some(RefusedRenewal::Unknown);
    assert_eq!(refused(manager, gone.refresh_token()).await, unknown);
    // An owner whom a connection belongs to is not removed; one who is gone has none.
    let last = connect(manager).await;
    is(
        &manager.remove_owner(&ada.id).await.unwrap_err(),
        ErrorKind::Conflict,
        None,
    );
    manager.disconnect(last.info().id).await.unwrap();
    manager.remove_owner(&ada.id).await.unwrap();
    assert_eq!(refused(manager, last.refresh_token()).await, ended);
}

#[tokio::test]
async fn the_owners_role_and_rights_count_at_the_next_request() {
    let keys = in_database().await;
    let manager = keys.manager();
    let ada = Owner::admin("ada".parse().unwrap());
    let mut ada = manager.put_owner(ada).await.unwrap();
    let gate = any_server(&keys);
    let tokens = manager.connect(new().full_access()).await.unwrap();
    let chosen = connect(manager).await;
    let rights = async |tokens: &ConnectionTokens| {
        let context = present(&gate, secret(tokens)).await.unwrap();
        (context.access(), context.servers().clone())
    };
    assert_eq!(rights(&tokens).await, (Access::Full, Servers::All));
    assert_eq!(rights(&chosen).await, (Access::ReadOnly, Servers::All));
    ada.role = Role::Member;
    ada.servers = Servers::only(["mail"]).unwrap();
    let mut ada = manager.put_owner(ada).await.unwrap();
    let mail = Servers::only(["mail"]).unwrap();
    assert_eq!(rights(&tokens).await, (Access::ReadOnly, mail.clone()));
    let renewed = renew(manager, tokens.refresh_token()).await.unwrap();
    assert_eq!(rights(&renewed).await, (Access::ReadOnly, mail));
    // What was not chosen is not given later either.
    ada.role = Role::Admin;
    manager.put_owner(ada).await.unwrap();
    assert_eq!(rights(&renewed).await.0, Access::Full);
    assert_eq!(rights(&chosen).await.0, Access::ReadOnly);
}

#[tokio::test]
async fn full_access_is_for_admins_to_choose() {
    let keys = in_database().await;
    let manager = keys.manager();
    let full = || new().full_access();
    // Who is not known is no admin.
    let refused = manager.connect(full()).await.unwrap_err();
    is(&refused, ErrorKind::Forbidden, Some("access"));
    manager.put_owner(member("ada")).await.unwrap();
    let ada = Principal::member("ada".parse().unwrap());
    let ada = manager.acting_as(ada);
    for manager in [manager, &ada] {
        let refused = manager.connect(full()).await.unwrap_err();
        is(&refused, ErrorKind::Forbidden, Some("access"));
    }
    let tokens = connect(&ada).await;
    // Nor is there another way to it.
    let update = KeyUpdate::new().access(Access::Full);
    let refused = ada.update(tokens.info().id, update).await.unwrap_err();
    is(&refused, ErrorKind::Forbidden, Some("access"));
    let root = Owner::admin("root".parse().unwrap()).read_only();
    manager.put_owner(root).await.unwrap();
    let roots = NewConnection::new("root".parse().unwrap(), client());
    let refused = manager.connect(roots.full_access()).await.unwrap_err();
    is(&refused, ErrorKind::Forbidden, Some("access"));
    let everything = manager
        .list(&KeyFilter::all(), PageRequest::default())
        .await;
    assert_eq!(everything.unwrap().keys.len(), 1);
}

#[tokio::test]
async fn members_see_and_end_their_own_connections_only() {
    let keys = in_database().await;
    let manager = keys.manager();
    let of = |name: &str| manager.acting_as(Principal::member(name.parse().unwrap()));
    let (ada, bob) = (of("ada"), of("bob"));
    let tokens = connect(&ada).await;
    let id = tokens.info().id;
    let plain = mcp_api_keys::NewKey::named("plain");
    let _ = bob.issue(plain).await.unwrap();
    let theirs = async |manager: &KeyManager| -> Vec<KeyId> {
        let filter = KeyFilter::default();
        let page = manager.connections(&filter, PageRequest::default()).await;
        page.unwrap().keys.iter().map(|key| key.id).collect()
    };
    assert_eq!(theirs(&ada).await, [id]);
    assert_eq!(theirs(manager).await, [id]);
    assert!(theirs(&bob).await.is_empty());
    let mut of_ada = KeyFilter::default();
    of_ada.owner = Some("ada".parse().unwrap());
    let page = bob.connections(&of_ada, PageRequest::default()).await;
    assert!(page.unwrap().keys.is_empty());
    for error in [
        bob.get(id).await.unwrap_err(),
        bob.disconnect(id).await.unwrap_err(),
        bob.revoke(id, None).await.unwrap_err(),
        bob.update(id, KeyUpdate::new().name("mine"))
            .await
            .unwrap_err(),
    ] {
        is(&error, ErrorKind::NotFound, None);
    }
    is(
        &bob.connect(new()).await.unwrap_err(),
        ErrorKind::Forbidden,
        Some("owner"),
    );
    ada.disconnect(id).await.unwrap();
    assert!(theirs(&ada).await.is_empty());
}

#[tokio::test]
async fn members_connect_and_disconnect_where_only_admins_change_keys() {
    let builder = crate::world::builder(crate::backends::in_database().await);
    let keys = builder.only_admins_change_keys(true).build().await.unwrap();
    let ada = Principal::member("ada".parse().unwrap());
    let ada = keys.manager().acting_as(ada);
    let tokens = connect(&ada).await;
    let id = tokens.info().id;
    let refused = ada.update(id, KeyUpdate::new().name("n")).await;
    is(&refused.unwrap_err(), ErrorKind::Forbidden, None);
    ada.disconnect(id).await.unwrap();
    assert_eq!(reason(&ada, id).await.as_deref(), Some("disconnected"));
}

#[tokio::test]
async fn a_connection_stays_whose_it_is_and_has_no_secret_without_an_end() {
    let keys = in_database().await;
    let manager = keys.manager();
    let tokens = connect(manager).await;
    let id = tokens.info().id;
    for owner in [None, "bob".parse().ok()] {
        let update = KeyUpdate::new().owner(owner);
        let refused = manager.update(id, update).await.unwrap_err();
        is(&refused, ErrorKind::InvalidInput, Some("owner"));
    }
    let same = KeyUpdate::new().owner("ada".parse().ok()).name("renamed");
    manager.update(id, same).await.unwrap();
    is(
        &manager.rotate(id).await.unwrap_err(),
        ErrorKind::Conflict,
        None,
    );
}

#[tokio::test]
async fn a_program_gives_its_tokens_back() {
    let keys = in_database().await;
    let manager = keys.manager();
    let gate = any_server(&keys);
    let first = connect(manager).await;
    let drop = async |token: &str| manager.drop_token(&client(), token).await.unwrap();
    // An access token ends alone.
    let other: ClientId = "cursor".parse().unwrap();
    assert!(!manager.drop_token(&other, secret(&first)).await.unwrap());
    assert_eq!(outcome(&gate, secret(&first)).await, Ok(()));
    assert!(drop(secret(&first)).await);
    let expired = Err(RejectionKind::TokenExpired);
    assert_eq!(outcome(&gate, secret(&first)).await, expired);
    assert!(!drop(secret(&first)).await);
    let second = renew(manager, first.refresh_token()).await.unwrap();
    assert_eq!(outcome(&gate, secret(&second)).await, Ok(()));
    // A refresh token takes everything with it.
    assert!(drop(second.refresh_token()).await);
    let revoked = Err(RejectionKind::Revoked);
    assert_eq!(outcome(&gate, secret(&second)).await, revoked);
    assert!(!drop(second.refresh_token()).await);
    let ended = refused(manager, second.refresh_token()).await;
    assert_eq!(ended, Some(RefusedRenewal::Ended));
    // Keys that are no connections, or that nobody renews, are not given back this way.
    let key = crate::world::of("ada").connection(client().as_str());
    let (key, _) = crate::world::issue(&keys, key).await;
    assert!(!drop(&key).await);
    assert_eq!(outcome(&gate, &key).await, Ok(()));
    for text in ["", "x", &key[..key.len() - 1]] {
        assert!(!drop(text).await);
    }
}

#[tokio::test]
async fn bad_wishes_are_named_and_nothing_is_made() {
    let keys = in_database().await;
    let manager = keys.manager();
    let past = Timestamp::from_millis(1);
    for (new, field) in [
        (new().client_name("x".repeat(201)), "client_name"),
        (new().client_name("a\u{1b}[2J"), "client_name"),
        (new().name(""), "name"),
        (new().name("x".repeat(201)), "name"),
        (new().resource("x".repeat(2_001)), "resource"),
        (new().resource("a\nb"), "resource"),
        (new().lifetimes(Duration::ZERO, DAY), "lifetimes"),
        (new().lifetimes(25 * HOUR, 30 * DAY), "lifetimes"),
        (new().lifetimes(HOUR, MINUTE), "lifetimes"),
        (new().lifetimes(HOUR, 367 * DAY), "lifetimes"),
        (new().ends_at(past), "expires_at"),
    ] {
        let refused = manager.connect(new).await.unwrap_err();
        is(&refused, ErrorKind::InvalidInput, Some(field));
    }
    // A program without a name is called by its id, as far as there is room.
    let long = format!("https://assistant.example/{}", "x".repeat(400));
    for name in [None, Some(" ")] {
        let unnamed = NewConnection::new("ada".parse().unwrap(), long.parse().unwrap());
        let unnamed = name.map_or(unnamed.clone(), |name| unnamed.client_name(name));
        let tokens = manager.connect(unnamed).await.unwrap();
        assert_eq!(tokens.info().name, long[..200]);
    }
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_no_reason_to_end_a_connection() {
    let (keys, faults, _) = faulty().await;
    let manager = keys.manager();
    let first = connect(manager).await;
    faults.every(Fault::Fail);
    for error in [
        manager.connect(new()).await.unwrap_err(),
        manager
            .renew(&client(), first.refresh_token())
            .await
            .unwrap_err(),
        manager
            .drop_token(&client(), first.refresh_token())
            .await
            .unwrap_err(),
        manager
            .drop_token(&client(), secret(&first))
            .await
            .unwrap_err(),
    ] {
        is(&error, ErrorKind::Unavailable, None);
    }
    faults.clear();
    assert!(renew(manager, first.refresh_token()).await.is_ok());
}

/// Nobody can tell a program whose answer got lost from a thief.
#[tokio::test]
async fn a_renewal_whose_answer_got_lost_cannot_be_repeated() {
    let (keys, faults, _) = faulty().await;
    let manager = keys.manager();
    let first = connect(manager).await;
    faults.nth_call_of(Call::Replace, 1, Fault::Lose);
    let lost = manager.renew(&client(), first.refresh_token()).await;
    is(&lost.unwrap_err(), ErrorKind::Unavailable, None);
    let again = refused(manager, first.refresh_token()).await;
    assert_eq!(again, Some(RefusedRenewal::Reused));
    let kind = outcome(&any_server(&keys), secret(&first)).await;
    assert_eq!(kind, Err(RejectionKind::Revoked));
}

/// Every field that a list shows of a connection.
#[tokio::test]
async fn the_grant_is_not_shown() {
    let keys = in_database().await;
    let tokens = connect(keys.manager()).await;
    let info: &KeyInfo = tokens.info();
    let shown = serde_json::to_value(info).unwrap();
    assert!(shown.get("grant").is_none());
    let connection = serde_json::json!({
        "client": "https://assistant.example/client",
        "name": "Assistant",
    });
    assert_eq!(shown["connection"], connection);
    let debugged = format!("{tokens:?}");
    assert!(!debugged.contains(tokens.refresh_token()) && !debugged.contains(secret(&tokens)));
}

/// The alert about revoked and expired keys that are presented is for leaks. That an access token ends
/// is none.
#[tokio::test]
async fn a_token_that_ended_is_told_apart_from_a_key_that_was_withdrawn() {
    let (keys, clock): (ApiKeys, _) = in_memory().await;
    let gate = any_server(&keys);
    let tokens = connect(keys.manager()).await;
    assert_eq!(outcome(&gate, secret(&tokens)).await, Ok(()));
    pass(&keys, &clock, HOUR).await;
    let ended = present(&gate, secret(&tokens)).await.unwrap_err();
    assert_eq!(ended.kind(), RejectionKind::TokenExpired);
    assert_eq!(ended.code(), "expired_api_key");
    pass(&keys, &clock, 30 * DAY).await;
    // The connection is over as well.
    let over = present(&gate, secret(&tokens)).await.unwrap_err();
    assert_eq!(over.kind(), RejectionKind::TokenExpired);
    keys.manager().disconnect(tokens.info().id).await.unwrap();
    let gone = present(&gate, secret(&tokens)).await.unwrap_err();
    assert_eq!(gone.kind(), RejectionKind::Revoked);
}
