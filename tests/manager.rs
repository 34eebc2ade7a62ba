//! The life of a key through the manager, on each store, and what bad input is told.

#![cfg(all(feature = "sqlite", feature = "testing"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "support/backends.rs"]
mod backends;

use std::time::Duration;

use mcp_api_keys::key::{
    Access, KeyFormat, KeyId, KeyStatus, Metadata, NetworkRules, ScopeSet, Servers,
};
use mcp_api_keys::store::{KeyFilter, KeyStore, MemoryStore, PageRequest};
use mcp_api_keys::testing::ManualClock;
use mcp_api_keys::{
    ApiKeys, Argon2Params, Error, ErrorKind, KeyUpdate, NewKey, RateLimit, Timestamp,
};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

async fn keys_in(store: impl KeyStore) -> (ApiKeys, ManualClock) {
    let clock = ManualClock::at(NOW);
    let keys = ApiKeys::builder(store)
        .argon2(Argon2Params::new(8, 1, 1).unwrap())
        .clock(clock.clone())
        .build()
        .await
        .unwrap();
    (keys, clock)
}

fn full_key() -> NewKey {
    NewKey::named("ci-bot")
        .description("builds and deploys")
        .owner("ada")
        .server("files")
        .server("mail")
        .scope("files:*")
        .unwrap()
        .allow_from("203.0.113.0/24".parse().unwrap())
        .deny_from("203.0.113.9".parse().unwrap())
        .rate(RateLimit::per_minute(60))
        .rate(RateLimit::per_day(1_000).named("daily"))
        .metadata("environment", "production")
        .metadata("contact", "ada@example.test")
        .expires_in(Duration::from_secs(86_400))
}

#[tokio::test]
async fn a_key_is_read_back_as_it_was_issued() {
    for (name, store) in backends::each_store().await {
        let (keys, _) = keys_in(store).await;
        let issued = keys.manager().issue(full_key()).await.unwrap();
        let read = keys.manager().get(issued.info().id).await.unwrap();
        assert_eq!(&read, issued.info(), "{name}");
        assert_eq!(
            read,
            keys.manager()
                .get_by_handle(read.handle.as_str())
                .await
                .unwrap()
        );
        assert_eq!(read.servers, Servers::only(["files", "mail"]).unwrap());
        assert_eq!(read.server_count(), Some(2));
        assert_eq!(
            read.expires_at,
            Some(NOW.saturating_add(Duration::from_secs(86_400)))
        );
        assert_eq!(read.status, KeyStatus::Active);
        assert_eq!(read.masked, format!("mcp_sk_{}…", read.handle));
        assert!(
            issued
                .key()
                .expose_secret()
                .starts_with(&format!("mcp_sk_{}", read.handle))
        );
    }
}

#[tokio::test]
async fn what_may_be_shown_holds_no_secret_and_no_hash() {
    let store = MemoryStore::new();
    let (keys, _) = keys_in(store.clone()).await;
    let issued = keys.manager().issue(full_key()).await.unwrap();
    let shown = serde_json::to_string(issued.info()).unwrap();
    let record = store.get(issued.info().id).await.unwrap().unwrap();
    let stored = serde_json::to_string(&record).unwrap();
    assert!(stored.contains("$argon2id$"));
    assert!(!shown.contains("argon2") && !shown.contains("hash") && !shown.contains("tag"));
    let secret = &issued.key().expose_secret()[15..39];
    for part in secret.as_bytes().windows(8) {
        let part = std::str::from_utf8(part).unwrap();
        assert!(!stored.contains(part) && !shown.contains(part));
        assert!(!format!("{issued:?} {record:?} {keys:?}").contains(part));
    }
    let json: serde_json::Value = serde_json::from_str(&shown).unwrap();
    for field in [
        "id",
        "handle",
        "name",
        "owner",
        "status",
        "servers",
        "scopes",
        "created_at",
        "expires_at",
    ] {
        assert!(json.get(field).is_some(), "{field}");
    }
    assert_eq!(json["status"], "active");
    assert_eq!(json["created_at"], NOW.to_string());
}

#[tokio::test]
async fn a_change_sets_what_it_names_and_nothing_else() {
    for (name, store) in backends::each_store().await {
        let (keys, clock) = keys_in(store).await;
        let before = keys
            .manager()
            .issue(full_key())
            .await
            .unwrap()
            .info()
            .clone();
        clock.advance(Duration::from_secs(5));
        let update = KeyUpdate::new()
            .name("renamed")
            .servers(Servers::All)
            .limits(Vec::new())
            .expires_at(None);
        let after = keys.manager().update(before.id, update).await.unwrap();
        let mut expected = before.clone();
        expected.name = "renamed".to_owned();
        expected.servers = Servers::All;
        expected.limits = Vec::new();
        expected.expires_at = None;
        expected.updated_at = NOW.saturating_add(Duration::from_secs(5));
        expected.revision = after.revision;
        assert_eq!(after, expected, "{name}");
        assert!(after.revision > before.revision);
        assert_eq!(keys.manager().get(before.id).await.unwrap(), after);
    }
}

#[tokio::test]
async fn switching_withdrawing_and_deleting() {
    for (name, store) in backends::each_store().await {
        let (keys, clock) = keys_in(store).await;
        let manager = keys.manager();
        let id = manager
            .issue(NewKey::named("k").inactive())
            .await
            .unwrap()
            .info()
            .id;
        assert_eq!(
            manager.get(id).await.unwrap().status,
            KeyStatus::Disabled,
            "{name}"
        );
        assert_eq!(manager.enable(id).await.unwrap().status, KeyStatus::Active);
        assert_eq!(
            manager.disable(id).await.unwrap().status,
            KeyStatus::Disabled
        );
        let revoked = manager.revoke(id, Some("lost")).await.unwrap().status;
        let expected = KeyStatus::Revoked {
            at: NOW,
            reason: Some("lost".to_owned()),
        };
        assert_eq!(revoked, expected);
        // Again, later, with another reason: the first stays.
        clock.advance(Duration::from_secs(60));
        assert_eq!(
            manager.revoke(id, Some("again")).await.unwrap().status,
            expected
        );
        for error in [
            manager.enable(id).await.unwrap_err(),
            manager.disable(id).await.unwrap_err(),
            manager.rotate(id).await.unwrap_err(),
            manager
                .update(id, KeyUpdate::new().name("x"))
                .await
                .unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Conflict);
        }
        assert!(manager.delete(id).await.unwrap());
        assert!(!manager.delete(id).await.unwrap());
        for error in [
            manager.get(id).await.unwrap_err(),
            manager.revoke(id, None).await.unwrap_err(),
            manager.rotate(id).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::NotFound);
        }
    }
}

#[tokio::test]
async fn rotation_keeps_the_key_and_replaces_the_secret() {
    for (name, store) in backends::each_store().await {
        let (keys, clock) = keys_in(store).await;
        let before = keys.manager().issue(full_key()).await.unwrap();
        let rotated = keys.manager().rotate(before.info().id).await.unwrap();
        assert_eq!(rotated.info().id, before.info().id, "{name}");
        assert_ne!(rotated.info().handle, before.info().handle);
        assert_eq!(rotated.info().expires_at, before.info().expires_at);
        assert_eq!(rotated.info().scopes, before.info().scopes);
        assert_eq!(rotated.info().limits, before.info().limits);
        let old = keys
            .manager()
            .get_by_handle(before.info().handle.as_str())
            .await;
        assert_eq!(old.unwrap_err().kind(), ErrorKind::NotFound);
        clock.advance(Duration::from_secs(86_400));
        let expired = keys.manager().rotate(before.info().id).await.unwrap_err();
        assert_eq!(expired.kind(), ErrorKind::Conflict);
    }
}

#[tokio::test]
async fn two_admins_who_change_one_key_do_not_undo_each_other() {
    let (keys, _) = keys_in(backends::in_database().await).await;
    let manager = keys.manager();
    let seen = manager.issue(full_key()).await.unwrap().info().clone();
    let first = KeyUpdate::new().name("first").only_at(seen.revision);
    let second = KeyUpdate::new().name("second").only_at(seen.revision);
    manager.update(seen.id, first).await.unwrap();
    let late = manager.update(seen.id, second).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Conflict);
    assert_eq!(manager.get(seen.id).await.unwrap().name, "first");

    // Without asking for a revision, changes of different fields all survive.
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let (manager, id) = (manager.clone(), seen.id);
            tokio::spawn(async move {
                let update = match n % 3 {
                    0 => KeyUpdate::new().description(Some("described".to_owned())),
                    1 => KeyUpdate::new().scopes(ScopeSet::parse(["a:b"]).unwrap()),
                    _ => KeyUpdate::new().servers(Servers::All),
                };
                manager.update(id, update).await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let after = manager.get(seen.id).await.unwrap();
    assert_eq!(after.description.as_deref(), Some("described"));
    assert_eq!(after.scopes, ScopeSet::parse(["a:b"]).unwrap());
    assert_eq!(after.servers, Servers::All);
}

#[tokio::test]
async fn lists_are_paged_filtered_and_in_the_order_of_making() {
    for (name, store) in backends::each_store().await {
        let (keys, clock) = keys_in(store).await;
        let manager = keys.manager();
        let mut made = Vec::new();
        for n in 0..25 {
            let owner = if n % 2 == 0 { "ada" } else { "bob" };
            let new = NewKey::named(format!("key {n}"))
                .owner(owner)
                .server("files");
            made.push(manager.issue(new).await.unwrap().info().id);
            clock.advance(Duration::from_millis(1));
        }
        let mut listed = Vec::new();
        let mut page = PageRequest::first(10);
        loop {
            let answer = manager.list(&KeyFilter::default(), page).await.unwrap();
            assert!(answer.keys.len() <= 10);
            listed.extend(answer.keys.iter().map(|key| key.id));
            match answer.next {
                Some(next) => page = page.after(next),
                None => break,
            }
        }
        assert_eq!(listed, made, "{name}");
        drop(manager.revoke(made[0], None).await.unwrap());
        let count = async |filter: &KeyFilter| {
            manager
                .list(filter, PageRequest::first(1_000))
                .await
                .unwrap()
                .keys
                .len()
        };
        let mut filter = KeyFilter::default();
        filter.owner = Some("ada".parse().unwrap());
        assert_eq!(count(&filter).await, 12);
        filter.include_revoked = true;
        assert_eq!(count(&filter).await, 13);
        let mut filter = KeyFilter::default();
        filter.name_contains = Some("KEY 2".to_owned());
        assert_eq!(count(&filter).await, 6);
        filter.server = Some("mail".parse().unwrap());
        assert_eq!(count(&filter).await, 0);
    }
}

#[tokio::test]
async fn bad_input_is_named_by_field_and_nothing_is_stored() {
    let key = || NewKey::named("fine");
    let half = "x".repeat(8 * 1_024);
    let wrong: Vec<(&str, NewKey)> = vec![
        ("name", NewKey::named("")),
        ("name", NewKey::named("   ")),
        ("name", NewKey::named("x".repeat(201))),
        ("name", NewKey::named("bell\u{7}")),
        ("description", key().description("x".repeat(1_001))),
        ("owner", key().owner("")),
        ("owner", key().owner("x".repeat(129))),
        ("owner", key().owner("a\nb")),
        ("servers", key().server("")),
        ("servers", key().server("files/etc")),
        ("servers", key().server("*")),
        ("limits", key().rate(RateLimit::per_minute(0))),
        ("limits", key().rate(RateLimit::per_minute(1).burst(0))),
        (
            "limits",
            key().rate(RateLimit::per_minute(1).named("Bad Name")),
        ),
        (
            "limits",
            key()
                .rate(RateLimit::per_minute(1))
                .rate(RateLimit::per_hour(1)),
        ),
        (
            "metadata",
            key().metadata("a", &*half).metadata("b", &*half),
        ),
        ("metadata", key().metadata("", "x")),
        ("expires_at", key().expires_at(NOW)),
        ("expires_at", key().expires_at(Timestamp::from_millis(0))),
        ("expires_at", key().expires_in(Duration::ZERO)),
    ];
    for (name, store) in backends::each_store().await {
        let (keys, _) = keys_in(store).await;
        for (field, new) in &wrong {
            let error = keys.manager().issue(new.clone()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name}: {error}");
            assert_eq!(error.field(), Some(*field), "{error}");
            assert!(error.to_string().contains(field));
        }
        let all = keys
            .manager()
            .list(&KeyFilter::all(), PageRequest::default())
            .await
            .unwrap();
        assert!(all.keys.is_empty());
    }
    assert!(NewKey::named("k").scope("files:").is_err());
    assert!("10.0.0.1/8".parse::<mcp_api_keys::key::Network>().is_err());
    assert!(KeyFormat::new("a b").is_err());
    // The longest that is allowed is.
    let (keys, _) = keys_in(MemoryStore::new()).await;
    let longest = NewKey::named("é".repeat(200)).metadata("k", "x".repeat(16 * 1_024 - 1));
    assert!(keys.manager().issue(longest).await.is_ok());
}

#[tokio::test]
async fn a_bad_change_is_named_by_field_and_changes_nothing() {
    let (keys, clock) = keys_in(MemoryStore::new()).await;
    let issued = keys.manager().issue(full_key()).await.unwrap();
    let id = issued.info().id;
    let many = vec!["192.0.2.1".parse().unwrap(); 1_001];
    let metadata = Metadata::from([("k".to_owned(), "x".repeat(20_000))]);
    for (field, update) in [
        ("name", KeyUpdate::new().name("")),
        ("expires_at", KeyUpdate::new().expires_at(Some(NOW))),
        (
            "limits",
            KeyUpdate::new().limits(vec![RateLimit::per_second(0)]),
        ),
        ("metadata", KeyUpdate::new().metadata(metadata)),
        (
            "networks",
            KeyUpdate::new().networks(NetworkRules::new(many, Vec::new())),
        ),
    ] {
        let error: Error = keys.manager().update(id, update).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.field()),
            (ErrorKind::InvalidInput, Some(field))
        );
    }
    let reason = "x".repeat(501);
    let error = keys.manager().revoke(id, Some(&reason)).await.unwrap_err();
    assert_eq!(error.field(), Some("reason"));
    assert_eq!(&keys.manager().get(id).await.unwrap(), issued.info());
    // A key that has expired can still be renamed, and given more time.
    clock.advance(Duration::from_secs(90_000));
    let later = clock_time(&clock).saturating_add(Duration::from_secs(60));
    assert!(
        keys.manager()
            .update(id, KeyUpdate::new().name("late"))
            .await
            .is_ok()
    );
    let extended = keys
        .manager()
        .update(id, KeyUpdate::new().expires_at(Some(later)))
        .await;
    assert_eq!(extended.unwrap().expires_at, Some(later));
}

fn clock_time(clock: &ManualClock) -> Timestamp {
    mcp_api_keys::Clock::now(clock).wall
}

#[tokio::test]
async fn formats_of_all_families_are_issued_and_accepted() {
    for format in [
        KeyFormat::default(),
        KeyFormat::new("mgw_").unwrap().without_checksum(),
        KeyFormat::segmented("ok1").unwrap(),
    ] {
        let keys = ApiKeys::builder(MemoryStore::new())
            .argon2(Argon2Params::new(8, 1, 1).unwrap())
            .format(format.clone())
            .build()
            .await
            .unwrap();
        let issued = keys
            .manager()
            .issue(NewKey::named("k").owner("u-42").all_servers())
            .await
            .unwrap();
        let text = issued.key().expose_secret();
        assert!(text.starts_with(format.prefix()));
        let request = http::Request::builder()
            .header("x-api-key", text)
            .body(())
            .unwrap();
        let (mut head, ()) = request.into_parts();
        let gate = keys.layer().gate().clone();
        let permit = gate.admit(&mut head).await.unwrap();
        assert_eq!(permit.carrier(), mcp_api_keys::Carrier::Header);
        assert!(head.headers.is_empty());
    }
    let segmented = ApiKeys::builder(MemoryStore::new())
        .format(KeyFormat::segmented("ok1").unwrap())
        .build()
        .await
        .unwrap();
    let error = segmented
        .manager()
        .issue(NewKey::named("k"))
        .await
        .unwrap_err();
    assert_eq!(error.field(), Some("owner"));
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused() {
    let zero = ApiKeys::builder(MemoryStore::new()).poll_interval(Duration::ZERO);
    assert_eq!(
        zero.build().await.unwrap_err().field(),
        Some("poll_interval")
    );
    let none = ApiKeys::builder(MemoryStore::new()).failure_limit(Some(RateLimit::per_minute(0)));
    assert_eq!(
        none.build().await.unwrap_err().field(),
        Some("failure_limit")
    );
    let unknown = ApiKeys::builder(MemoryStore::new()).build().await.unwrap();
    let error = unknown
        .manager()
        .get(KeyId::generate(NOW))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

/// R2: two access levels.
#[tokio::test]
async fn a_read_only_key_is_refused_where_full_access_is_asked_for() {
    let (keys, _) = keys_in(MemoryStore::new()).await;
    let reader = NewKey::named("reader")
        .all_servers()
        .scope("*")
        .unwrap()
        .read_only();
    let reader = keys.manager().issue(reader).await.unwrap();
    assert_eq!(reader.info().access, Access::ReadOnly);
    let refusal = async |layer: mcp_api_keys::ApiKeyLayer| {
        let key = reader.key().expose_secret();
        let request = http::Request::builder()
            .header("x-api-key", key)
            .body(())
            .unwrap();
        let (mut head, ()) = request.into_parts();
        layer
            .gate()
            .admit(&mut head)
            .await
            .err()
            .map(|rejection| rejection.code())
    };
    assert_eq!(refusal(keys.layer()).await, None);
    let writing = keys.layer().require_full_access();
    assert_eq!(refusal(writing.clone()).await, Some("read_only_key"));
    let update = KeyUpdate::new().access(Access::Full);
    keys.manager()
        .update(reader.info().id, update)
        .await
        .unwrap();
    assert_eq!(refusal(writing).await, None);
}
