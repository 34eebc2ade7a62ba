//! From the request to the listener, the list and the log.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Request, StatusCode};
use mcp_api_keys::Clock as _;
use mcp_api_keys::alert::{AlertLedger as _, AlertRequest, AlertRule, AlertSettings, AlertState};
use mcp_api_keys::client_ip::PeerAddr;
use mcp_api_keys::event::{EventData, EventStream, Heard};
use mcp_api_keys::key::{Owner, Plan};
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::{
    ApiKeys, Argon2Params, ErrorKind, Grace, IssuedKey, NewKey, Principal, RateLimit, SystemClock,
};
use tower::ServiceExt as _;

async fn keys_in(store: &MemoryStore) -> ApiKeys {
    let settings = AlertSettings::default().errors(50, 20);
    ApiKeys::builder(store.clone())
        .argon2(Argon2Params::new(64, 1, 1).unwrap())
        .usage(store.clone())
        .alert_ledger(store.clone())
        .alerts(settings)
        .build()
        .await
        .unwrap()
}

async fn ask(keys: &ApiKeys, key: &IssuedKey, from: &str) -> StatusCode {
    let app = Router::new()
        .route("/", get(|| async { "hello" }))
        .layer(keys.layer().server("files"));
    let mut request = Request::get("/")
        .header(
            "authorization",
            format!("Bearer {}", key.key().expose_secret()),
        )
        .body(Body::empty())
        .unwrap();
    let peer = format!("{from}:4711").parse().unwrap();
    request.extensions_mut().insert(PeerAddr(peer));
    app.oneshot(request).await.unwrap().status()
}

/// Waits for an event of this kind and gives it; others are skipped and noted.
async fn wait_for(events: &mut EventStream, kind: &str) -> EventData {
    let mut others = Vec::new();
    let waiting = async {
        loop {
            match events.next().await {
                Some(Heard::Event(event)) if event.data.kind() == kind => {
                    return event.data.clone();
                }
                other => others.push(other),
            }
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(15), waiting).await;
    found.unwrap_or_else(|_| panic!("no {kind}, but {others:?}"))
}

#[tokio::test]
async fn a_manager_s_acts_are_told_in_order_after_they_are_done() {
    let store = MemoryStore::new();
    let keys = keys_in(&store).await;
    let mut events = keys.events();
    let ada = keys.manager().acting_as(Principal::admin("ada"));
    let issued = ada.issue(NewKey::named("a")).await.unwrap();
    let id = issued.info().id;
    ada.disable(id).await.unwrap();
    ada.disable(id).await.unwrap();
    ada.enable(id).await.unwrap();
    let _ = ada.rotate(id).await.unwrap();
    ada.revoke(id, Some("left")).await.unwrap();
    ada.revoke(id, None).await.unwrap();
    ada.delete(id).await.unwrap();
    ada.delete(id).await.unwrap();
    assert!(ada.issue(NewKey::named("")).await.is_err());
    let mut heard = Vec::new();
    for _ in 0..6 {
        let Some(Heard::Event(event)) = events.next().await else {
            panic!("{heard:?}");
        };
        assert!(
            matches!(&event.data, EventData::Act { key, actor, .. } if *key == id && actor == "ada")
        );
        heard.push(event.data.kind());
    }
    assert_eq!(
        heard,
        [
            "key.created",
            "key.disabled",
            "key.enabled",
            "key.rotated",
            "key.revoked",
            "key.deleted"
        ]
    );
    // An act that changed nothing is none: nothing more is heard until the keys are gone.
    drop(ada);
    drop(keys);
    drop(store);
    assert!(matches!(
        tokio::time::timeout(Duration::from_secs(5), events.next()).await,
        Ok(None) | Err(_)
    ));
}

#[tokio::test]
async fn a_revoked_key_that_is_presented_is_told_and_listed() {
    let store = MemoryStore::new();
    let keys = keys_in(&store).await;
    let new = NewKey::named("laptop").server("files").owner("ada");
    let key = keys.manager().issue(new).await.unwrap();
    assert_eq!(ask(&keys, &key, "192.0.2.7").await, 200);
    keys.manager().revoke(key.info().id, None).await.unwrap();
    let mut events = keys.events();
    assert_eq!(ask(&keys, &key, "203.0.113.9").await, 401);

    let told = wait_for(&mut events, "key.revoked_presented").await;
    let address = Some("203.0.113.9".parse().unwrap());
    let id = key.info().id;
    assert_eq!(told, EventData::RevokedPresented { key: id, address });
    let EventData::AlertRaised(alert) = wait_for(&mut events, "alert.raised").await else {
        panic!("another event");
    };
    assert_eq!((alert.key, alert.rule), (id, AlertRule::RevokedUsed));
    assert_eq!(alert.address, address);

    let manager = keys.manager();
    let all = AlertRequest::latest(10);
    let mut listed = Vec::new();
    for _ in 0..100 {
        listed = manager.alerts(&all).await.unwrap();
        if !listed.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(listed, [alert.clone()]);
    assert_eq!(keys.open_alerts(), Some(1));

    // Members see what is theirs.
    let ada = manager.acting_as(Principal::member("ada".parse().unwrap()));
    let bob = manager.acting_as(Principal::member("bob".parse().unwrap()));
    assert_eq!(ada.alerts(&all).await.unwrap(), [alert]);
    assert_eq!(bob.alerts(&all).await.unwrap(), []);
    let of_key = all.clone().of_key(id);
    let error = bob.alerts(&of_key).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let error = bob.acknowledge_alert(id, AlertRule::RevokedUsed).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::NotFound);
    ada.acknowledge_alert(id, AlertRule::RevokedUsed)
        .await
        .unwrap();
    let seen_to = manager.alerts(&all).await.unwrap();
    assert_eq!(seen_to[0].acknowledged.as_ref().unwrap().by, "ada");
    assert_eq!(seen_to[0].state, AlertState::Open);
}

#[tokio::test]
async fn what_requests_meet_with_is_told_and_many_failures_raise_an_alert() {
    let store = MemoryStore::new();
    let keys = keys_in(&store).await;
    let manager = keys.manager();
    let other = NewKey::named("other").server("mail");
    let other = manager.issue(other).await.unwrap();
    let slow = NewKey::named("slow").server("files");
    let slow = manager
        .issue(slow.rate(RateLimit::per_day(1)))
        .await
        .unwrap();
    let soon = SystemClock::new()
        .now()
        .wall
        .saturating_add(Duration::from_millis(300));
    let short = NewKey::named("short").server("files").expires_at(soon);
    let short = manager.issue(short).await.unwrap();
    let mut events = keys.events();
    for _ in 0..25 {
        assert_eq!(ask(&keys, &other, "192.0.2.7").await, 403);
    }
    let EventData::Denied { key, reason, .. } = wait_for(&mut events, "key.denied").await else {
        panic!("another event");
    };
    assert_eq!((key, reason), (other.info().id, "server_denied"));
    let EventData::AlertRaised(alert) = wait_for(&mut events, "alert.raised").await else {
        panic!("another event");
    };
    assert_eq!(
        (alert.key, alert.rule, alert.value),
        (key, AlertRule::Errors, 100)
    );

    assert_eq!(ask(&keys, &slow, "192.0.2.7").await, 200);
    assert_eq!(ask(&keys, &slow, "192.0.2.7").await, 429);
    let told = wait_for(&mut events, "key.limited").await;
    let key = slow.info().id;
    assert_eq!(
        told,
        EventData::Limited {
            key,
            reason: "rate_limited"
        }
    );

    assert_eq!(ask(&keys, &short, "192.0.2.7").await, 401);
    let told = wait_for(&mut events, "key.expired_presented").await;
    assert_eq!(told.key(), Some(short.info().id));
}

#[tokio::test]
async fn a_restart_knows_the_networks_and_the_open_alerts() {
    let store = MemoryStore::new();
    let key = {
        let keys = keys_in(&store).await;
        let key = NewKey::named("laptop").server("files");
        let key = keys.manager().issue(key).await.unwrap();
        let mut events = keys.events();
        assert_eq!(ask(&keys, &key, "192.0.2.7").await, 200);
        tokio::time::sleep(Duration::from_millis(1_300)).await;
        assert_eq!(ask(&keys, &key, "203.0.113.9").await, 200);
        let raised = wait_for(&mut events, "alert.raised").await;
        assert!(
            matches!(raised, EventData::AlertRaised(alert) if alert.rule == AlertRule::NewNetwork)
        );
        for _ in 0..100 {
            let known = store.habits(10).await.unwrap();
            if known.iter().any(|known| known.networks.len() == 2) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        key
    };
    assert_eq!(store.habits(10).await.unwrap()[0].networks.len(), 2);
    let keys = keys_in(&store).await;
    assert_eq!(keys.open_alerts(), Some(1));
    let mut events = keys.events();
    assert_eq!(ask(&keys, &key, "192.0.2.7").await, 200);
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    assert_eq!(ask(&keys, &key, "203.0.113.9").await, 200);
    let more = tokio::time::timeout(Duration::from_secs(3), events.next()).await;
    assert!(more.is_err(), "{more:?}");
}

#[tokio::test]
async fn alerts_without_usage_or_ledger_are_a_mistake_that_is_named() {
    let store = MemoryStore::new();
    let builder = ApiKeys::builder(store.clone()).alerts(AlertSettings::default());
    let error = builder.usage(store.clone()).build().await.unwrap_err();
    assert_eq!(error.field(), Some("alerts"));
    let keys = ApiKeys::builder(store).build().await.unwrap();
    let error = keys
        .manager()
        .alerts(&AlertRequest::latest(1))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(!keys.manager().keeps_alerts());
}

#[tokio::test]
async fn definitions_and_the_start_of_a_grace_are_told() {
    let store = MemoryStore::new();
    let keys = keys_in(&store).await;
    let mut events = keys.events();
    let ada = keys.manager().acting_as(Principal::admin("ada"));
    let owner = Owner::member("bob".parse().unwrap());
    let owner = ada.put_owner(owner).await.unwrap();
    ada.suspend_owner(&owner.id).await.unwrap();
    ada.remove_owner(&owner.id).await.unwrap();
    let plan = Plan::new("gold".parse().unwrap());
    let plan = ada.put_plan(plan).await.unwrap();
    ada.remove_plan(&plan.name).await.unwrap();
    assert!(ada.remove_plan(&plan.name).await.is_err());
    let mut heard = Vec::new();
    for _ in 0..5 {
        let Some(Heard::Event(event)) = events.next().await else {
            panic!("{heard:?}");
        };
        assert!(matches!(&event.data, EventData::Defined { actor, .. } if actor == "ada"));
        let json = serde_json::to_value(&*event).unwrap();
        let subject = json["data"]["subject"].as_str().unwrap().to_owned();
        heard.push((event.data.kind(), subject));
    }
    let expected = [
        ("owner.defined", "owner:bob"),
        ("owner.defined", "owner:bob"),
        ("owner.deleted", "owner:bob"),
        ("plan.defined", "plan:gold"),
        ("plan.deleted", "plan:gold"),
    ];
    assert_eq!(
        heard,
        expected.map(|(kind, subject)| (kind, subject.to_owned()))
    );

    let key = ada.issue(NewKey::named("a").server("files")).await.unwrap();
    let grace = Grace::FromFirstUse(Duration::from_secs(60));
    let renewed = ada.rotate_with(key.info().id, grace).await.unwrap();
    assert_eq!(ask(&keys, &key, "192.0.2.7").await, 200);
    assert_eq!(ask(&keys, &renewed, "192.0.2.7").await, 200);
    let told = wait_for(&mut events, "key.grace_started").await;
    assert!(
        matches!(told, EventData::Act { key: id, ref actor, .. } if id == key.info().id && actor == "system")
    );
}
