//! Who may do what to keys, and what the audit trail says of it.

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

use mcp_api_keys::audit::{AuditAction, AuditFilter};
use mcp_api_keys::client_ip::PeerAddr;
use mcp_api_keys::key::{Access, KeyId, NetworkRules, ScopeSet, Servers};
use mcp_api_keys::store::{AuditPage, KeyFilter, MemoryStore, PageRequest};
use mcp_api_keys::testing::{FaultyStore, ManualClock};
use mcp_api_keys::{
    ApiKeys, Argon2Params, Error, ErrorKind, Grace, KeyContext, KeyManager, KeyUpdate, NewKey,
    Principal, Timestamp,
};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

async fn keys() -> ApiKeys {
    ApiKeys::builder(backends::in_database().await)
        .argon2(Argon2Params::new(8, 1, 1).unwrap())
        .clock(ManualClock::at(NOW))
        .build()
        .await
        .unwrap()
}

fn member(keys: &ApiKeys, owner: &str) -> KeyManager {
    keys.manager()
        .acting_as(Principal::member(owner.parse().unwrap()))
}

/// The context of a request from this machine that was admitted with this key.
async fn context(keys: &ApiKeys, key: &str) -> KeyContext {
    let here = PeerAddr("127.0.0.1:4711".parse().unwrap());
    let request = http::Request::builder()
        .header("x-api-key", key)
        .extension(here);
    let (mut head, ()) = request.body(()).unwrap().into_parts();
    let layer = keys.layer().any_server();
    let _permit = layer.gate().admit(&mut head).await.unwrap();
    head.extensions.remove().unwrap()
}

fn forbidden(error: &Error, field: &str) {
    assert_eq!(
        (error.kind(), error.field()),
        (ErrorKind::Forbidden, Some(field)),
        "{error}"
    );
}

/// O10: admins see all keys with their owners and can delete any; a user manages only their own.
#[tokio::test]
async fn o10_a_member_manages_their_own_keys_and_an_admin_all() {
    let keys = keys().await;
    let (ada, bob) = (member(&keys, "ada"), member(&keys, "bob"));
    let own = ada.issue(NewKey::named("laptop")).await.unwrap().info().id;
    let others = bob.issue(NewKey::named("server")).await.unwrap().info().id;
    let nobodys = keys
        .manager()
        .issue(NewKey::named("ci"))
        .await
        .unwrap()
        .info()
        .id;

    let list = async |manager: &KeyManager, filter: &KeyFilter| -> Vec<KeyId> {
        let page = manager.list(filter, PageRequest::default()).await.unwrap();
        page.keys.iter().map(|key| key.id).collect()
    };
    let everything = KeyFilter::default();
    assert_eq!(list(&ada, &everything).await, [own]);
    assert_eq!(list(keys.manager(), &everything).await.len(), 3);
    let mut of_bob = KeyFilter::default();
    of_bob.owner = Some("bob".parse().unwrap());
    assert!(list(&ada, &of_bob).await.is_empty());

    for id in [others, nobodys] {
        let handle = keys.manager().get(id).await.unwrap().handle;
        for error in [
            ada.get(id).await.unwrap_err(),
            ada.get_by_handle(handle.as_str()).await.unwrap_err(),
            ada.update(id, KeyUpdate::new().name("mine"))
                .await
                .unwrap_err(),
            ada.enable(id).await.unwrap_err(),
            ada.disable(id).await.unwrap_err(),
            ada.rotate(id).await.unwrap_err(),
            ada.rotate_with(id, Grace::For(Duration::from_secs(1)))
                .await
                .unwrap_err(),
            ada.end_grace(id).await.unwrap_err(),
            ada.revoke(id, None).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::NotFound);
        }
        assert!(!ada.delete(id).await.unwrap());
        assert_eq!(
            keys.manager().get(id).await.unwrap().status.as_str(),
            "active"
        );
    }
    for new in [
        NewKey::named("k").owner("bob"),
        NewKey::named("k").owner("Ada"),
    ] {
        forbidden(&ada.issue(new).await.unwrap_err(), "owner");
    }
    let gift = KeyUpdate::new().owner(Some("bob".parse().unwrap()));
    forbidden(&ada.update(own, gift).await.unwrap_err(), "owner");
    let orphan = KeyUpdate::new().owner(None);
    forbidden(&ada.update(own, orphan).await.unwrap_err(), "owner");
    assert!(ada.revoke(own, None).await.is_ok());
    assert!(keys.manager().delete(others).await.unwrap());
}

/// R4: a key never exceeds its creator's permissions, at creation, update or rotation.
#[tokio::test]
async fn a_key_never_reaches_further_than_the_one_that_makes_it() {
    let keys = keys().await;
    let parent = NewKey::named("parent")
        .server("files")
        .server("mail")
        .scope("files:*")
        .unwrap()
        .read_only()
        .allow_from("203.0.113.0/24".parse().unwrap())
        .expires_in(Duration::from_secs(3_600));
    let parent = keys
        .manager()
        .issue(parent.allow_from("127.0.0.1".parse().unwrap()))
        .await
        .unwrap();
    let child = || {
        NewKey::named("child")
            .server("files")
            .scope("files:read")
            .unwrap()
            .read_only()
            .allow_from("203.0.113.7".parse().unwrap())
            .expires_in(Duration::from_secs(60))
    };
    let context = context(&keys, parent.key().expose_secret()).await;
    let by_key = keys
        .manager()
        .acting_as(Principal::admin("delegate").by_key(&context));

    let made = by_key.issue(child()).await.unwrap().info().id;
    for (field, new) in [
        ("servers", child().server("billing")),
        ("servers", child().all_servers()),
        ("scopes", child().scope("*").unwrap()),
        ("scopes", child().scope("mail:read").unwrap()),
        (
            "networks",
            child().allow_from("198.51.100.0/24".parse().unwrap()),
        ),
        ("expires_at", child().expires_in(Duration::from_secs(7_200))),
    ] {
        forbidden(&by_key.issue(new).await.unwrap_err(), field);
    }
    let full = NewKey::named("full")
        .server("files")
        .allow_from("203.0.113.7".parse().unwrap());
    let full = full.expires_in(Duration::from_secs(60));
    forbidden(&by_key.issue(full).await.unwrap_err(), "access");
    for (field, update) in [
        ("servers", KeyUpdate::new().servers(Servers::All)),
        (
            "scopes",
            KeyUpdate::new().scopes(ScopeSet::parse(["*"]).unwrap()),
        ),
        ("access", KeyUpdate::new().access(Access::Full)),
        (
            "networks",
            KeyUpdate::new().networks(NetworkRules::default()),
        ),
        ("expires_at", KeyUpdate::new().expires_at(None)),
    ] {
        forbidden(&by_key.update(made, update).await.unwrap_err(), field);
    }
    // A wider key cannot be taken over by giving it a new secret, nor switched on.
    let wide = keys
        .manager()
        .issue(NewKey::named("wide").all_servers().inactive())
        .await
        .unwrap();
    assert_eq!(
        by_key.rotate(wide.info().id).await.unwrap_err().kind(),
        ErrorKind::Forbidden
    );
    assert_eq!(
        by_key.enable(wide.info().id).await.unwrap_err().kind(),
        ErrorKind::Forbidden
    );
    assert!(by_key.rotate(made).await.is_ok());
}

/// G8: every management act is auditable.
#[tokio::test]
async fn g8_every_act_leaves_one_entry_that_says_who_what_and_from_where() {
    let keys = keys().await;
    let ada = Principal::admin("ada").from_source("203.0.113.7");
    let manager = keys.manager().acting_as(ada);
    let issued = manager
        .issue(NewKey::named("first").all_servers())
        .await
        .unwrap();
    let id = issued.info().id;
    manager
        .update(id, KeyUpdate::new().name("second"))
        .await
        .unwrap();
    manager.disable(id).await.unwrap();
    manager.enable(id).await.unwrap();
    let grace = Grace::FromFirstUse(Duration::from_secs(60));
    let rotated = manager.rotate_with(id, grace).await.unwrap();
    context(&keys, rotated.key().expose_secret()).await;
    manager.end_grace(id).await.unwrap();
    manager.revoke(id, Some("done")).await.unwrap();
    // Acts that change nothing, or are refused, leave nothing.
    manager.revoke(id, Some("again")).await.unwrap();
    manager.enable(id).await.unwrap_err();
    assert!(manager.delete(id).await.unwrap());
    assert!(!manager.delete(id).await.unwrap());

    let mut of_key = AuditFilter::default();
    of_key.subject = Some(id.into());
    let mut trail = manager
        .audit(&of_key, AuditPage::newest(100))
        .await
        .unwrap();
    trail.reverse();
    use AuditAction::*;
    let actions: Vec<_> = trail.iter().map(|entry| entry.action).collect();
    let expected = [
        Issued,
        Updated,
        Disabled,
        Enabled,
        Rotated,
        GraceStarted,
        GraceEnded,
        Revoked,
        Deleted,
    ];
    assert_eq!(actions, expected);
    for entry in &trail {
        let by_system = entry.action == GraceStarted;
        assert_eq!(entry.actor, if by_system { "system" } else { "ada" });
        assert_eq!(entry.source.is_none(), by_system);
        assert_eq!(entry.at, NOW);
    }
    let shown = |value: &Option<serde_json::Value>, field: &str| {
        value
            .as_ref()
            .map(|key| key[field].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(shown(&trail[0].before, "name"), None);
    assert_eq!(shown(&trail[0].after, "name").as_deref(), Some("first"));
    assert_eq!(shown(&trail[1].before, "name").as_deref(), Some("first"));
    assert_eq!(shown(&trail[1].after, "name").as_deref(), Some("second"));
    assert_eq!(shown(&trail[7].after, "status").as_deref(), Some("revoked"));
    assert_eq!(shown(&trail[8].after, "name"), None);

    let text = serde_json::to_string(&trail).unwrap();
    assert!(!text.contains("argon2") && !text.contains("hash"));
    for key in [&issued, &rotated] {
        for part in key.key().expose_secret().as_bytes()[15..].windows(8) {
            assert!(!text.contains(std::str::from_utf8(part).unwrap()));
        }
    }
}

#[tokio::test]
async fn a_member_reads_the_trail_of_their_own_keys_only() {
    let keys = keys().await;
    let ada = member(&keys, "ada");
    let own = ada.issue(NewKey::named("laptop")).await.unwrap().info().id;
    let others = keys
        .manager()
        .issue(NewKey::named("ci"))
        .await
        .unwrap()
        .info()
        .id;
    let read = async |key: Option<KeyId>| {
        let mut filter = AuditFilter::default();
        filter.subject = key.map(Into::into);
        let read = ada.audit(&filter, AuditPage::newest(10)).await;
        read.map(|entries| entries.len())
            .map_err(|error| error.kind())
    };
    assert_eq!(read(Some(own)).await, Ok(1));
    assert_eq!(read(Some(others)).await, Err(ErrorKind::NotFound));
    assert_eq!(read(None).await, Err(ErrorKind::Forbidden));
}

/// A verification writes nothing, to the trail as little as to the keys.
#[tokio::test]
async fn using_a_key_leaves_no_entry() {
    let store = FaultyStore::new(MemoryStore::new());
    let keys = ApiKeys::builder(store)
        .argon2(Argon2Params::new(8, 1, 1).unwrap())
        .build()
        .await
        .unwrap();
    let issued = keys.manager().issue(NewKey::named("k")).await.unwrap();
    for _ in 0..3 {
        context(&keys, issued.key().expose_secret()).await;
    }
    let trail = keys
        .manager()
        .audit(&AuditFilter::default(), AuditPage::newest(10))
        .await;
    assert_eq!(trail.unwrap().len(), 1);
}
