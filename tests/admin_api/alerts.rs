//! What looks wrong about keys, and what could not be told of it.

use std::time::Duration;

use mcp_api_keys::alert::{Alert, AlertLedger, AlertRule, AlertState};
use mcp_api_keys::key::{KeyId, Owner};
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::webhook::{Webhook, WebhookSecret};
use mcp_api_keys::{NewKey, Timestamp};
use serde_json::{Value, json};

use crate::support::{light, soon};
use crate::world::{Api, id};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_785_232_800_000 + seconds * 1_000)
}

/// The API over keys whose alerts are kept in the store that is returned.
async fn kept() -> (Api, MemoryStore) {
    let store = MemoryStore::new();
    let keys = light(store.clone()).failure_limit(None);
    let keys = keys.alert_ledger(store.clone()).build().await.unwrap();
    (Api::of(keys).await, store)
}

fn alert(key: &Value, rule: AlertRule, raised: i64) -> Alert {
    let key: KeyId = id(key).parse().unwrap();
    Alert::new(key, rule, at(raised), 95, 90)
}

fn rules(page: &Value) -> Vec<&str> {
    let alerts = page["alerts"].as_array().unwrap().iter();
    alerts
        .map(|alert| alert["rule"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn alerts_are_filtered_and_paged_with_the_open_ones_first() {
    let (api, store) = kept().await;
    let root = api.root().await;
    let one = api.create(&root, &json!({ "name": "one" })).await;
    let two = api.create(&root, &json!({ "name": "two" })).await;
    let mut over = alert(&one, AlertRule::Spike, 9);
    (over.state, over.resolved_at) = (AlertState::Resolved, Some(at(10)));
    let mut from = alert(&two, AlertRule::NewNetwork, 3);
    from.address = Some("192.0.2.7".parse().unwrap());
    let idle = alert(&one, AlertRule::Idle, 1);
    store.put(&[over, from, idle]).await.unwrap();

    let all = api.read(&root, "/alerts").await;
    assert_eq!(rules(&all), ["new_network", "idle", "spike"]);
    assert_eq!(all["next"], Value::Null);
    assert_eq!(
        all["alerts"][0],
        json!({
            "key": id(&two), "rule": "new_network", "state": "open",
            "message": "used from 192.0.2.7 for the first time",
            "raised_at": "2026-07-28T10:00:03Z", "seen_at": "2026-07-28T10:00:03Z",
            "resolved_at": null, "value": 95, "threshold": 90, "address": "192.0.2.7",
            "acknowledged": null,
        })
    );
    for (query, expected) in [
        ("state=open", &["new_network", "idle"][..]),
        ("state=resolved", &["spike"]),
        ("rule=idle", &["idle"]),
        (&format!("key={}", id(&one)), &["idle", "spike"]),
        (&format!("key={}&state=open", id(&one)), &["idle"]),
        ("rule=errors", &[]),
    ] {
        let found = api.read(&root, &format!("/alerts?{query}")).await;
        assert_eq!(rules(&found), expected, "{query}");
    }
    let mut path = "/alerts?limit=1".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = api.read(&root, &path).await;
        seen.extend(rules(&page).into_iter().map(str::to_owned));
        match page["next"].as_str() {
            Some(next) => path = format!("/alerts?limit=1&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["new_network", "idle", "spike"]);
    for query in [
        "state=closed",
        "rule=rules",
        "key=key_1",
        "after=open",
        "after=open.1.key_00VZwwy0Fq9zX3Uvt4pS0L.idle.more",
        "limit=0",
        "most=1",
    ] {
        let answer = api.get(&root, &format!("/alerts?{query}")).await;
        assert_eq!(answer.refusal().0, 400, "{query}");
    }
}

#[tokio::test]
async fn an_alert_is_acknowledged_once_for_all() {
    let (api, store) = kept().await;
    let root = api.root().await;
    let one = api.create(&root, &json!({ "name": "one" })).await;
    store.put(&[alert(&one, AlertRule::Idle, 1)]).await.unwrap();
    let path = format!("/alerts/{}/idle/acknowledge", id(&one));
    let answer = api.ask("POST", &path).key(&root).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let me = id(&api.read(&root, "/me").await);
    let seen_to = answer.json();
    assert_eq!(seen_to["acknowledged"]["by"], me);
    assert_eq!(seen_to["state"], "open", "it is seen to, not over");
    assert_eq!(api.read(&root, "/alerts").await["alerts"][0], seen_to);

    for path in [
        format!("/alerts/{}/spike/acknowledge", id(&one)),
        format!("/alerts/{}/nothing/acknowledge", id(&one)),
        "/alerts/key_00VZwwy0Fq9zX3Uvt4pS0L/idle/acknowledge".to_owned(),
        "/alerts/mcp_sk_ATgKlpEaBS64QGLizLFNWgSzNfDmYl2D0UvHLX/idle/acknowledge".to_owned(),
    ] {
        let answer = api.ask("POST", &path).key(&root).send().await;
        assert_eq!(answer.refusal(), (404, "not_found".to_owned()), "{path}");
        assert!(!answer.text.contains("BS64QGLi"));
    }
    // A key that only reads does not say that anybody has seen to anything.
    let reader = api.key_with(&["keys:admin", "alerts:read"]).await;
    let answer = api.ask("POST", &path).key(&reader).send().await;
    assert_eq!(answer.json()["error"]["required_scope"], "alerts:write");
}

#[tokio::test]
async fn members_are_told_of_their_own_keys_alone() {
    let (api, store) = kept().await;
    let root = api.root().await;
    for owner in ["ada", "bob"] {
        let owner = Owner::member(owner.parse().unwrap());
        let owner = owner.scope("*".parse().unwrap());
        api.keys.manager().put_owner(owner).await.unwrap();
    }
    let scopes = ["alerts:read", "alerts:write", "keys:admin"];
    let ada = api.key_of("ada", &scopes).await;
    let of = |owner: &str| json!({ "name": owner, "owner": owner });
    let adas = api.create(&root, &of("ada")).await;
    let bobs = api.create(&root, &of("bob")).await;
    let both = [
        alert(&adas, AlertRule::Idle, 1),
        alert(&bobs, AlertRule::Errors, 2),
    ];
    store.put(&both).await.unwrap();

    assert_eq!(rules(&api.read(&ada, "/alerts").await), ["idle"]);
    let foreign = format!("/alerts?key={}", id(&bobs));
    assert_eq!(api.get(&ada, &foreign).await.refusal().0, 404);
    let path = format!("/alerts/{}/errors/acknowledge", id(&bobs));
    let refused = api.ask("POST", &path).key(&ada).send().await.refusal();
    assert_eq!(refused, (404, "not_found".to_owned()));
    let path = format!("/alerts/{}/idle/acknowledge", id(&adas));
    let seen_to = api.ask("POST", &path).key(&ada).send().await.json();
    assert_eq!(seen_to["acknowledged"]["by"], "ada");
    assert_eq!(rules(&api.read(&root, "/alerts").await).len(), 2);
    let letters = api.get(&ada, "/webhooks/dead-letters").await;
    assert_eq!(letters.refusal(), (403, "not_allowed".to_owned()));
}

#[tokio::test]
async fn where_nothing_is_kept_there_are_no_alerts() {
    let api = Api::new().await;
    let root = api.root().await;
    let answer = api.get(&root, "/alerts").await;
    assert_eq!(answer.refusal(), (404, "not_found".to_owned()));
    let none = api.read(&root, "/webhooks/dead-letters").await;
    assert_eq!(
        none,
        json!({ "webhooks": [], "letters": [], "held": 0, "dropped": 0 })
    );
}

#[tokio::test]
async fn messages_that_were_given_up_are_listed_and_tell_no_url() {
    // Nobody listens there any more.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hooks-hidden", listener.local_addr().unwrap());
    drop(listener);
    let secret: WebhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
    let webhook = Webhook::new(&url, secret).unwrap();
    let webhook = webhook.attempts(2).pause(Duration::from_millis(1));
    let keys = light(MemoryStore::new()).webhook(webhook);
    let api = Api::of(keys.build().await.unwrap()).await;
    let root = api.root().await;
    for name in ["one", "two"] {
        let _ = api.keys.manager().issue(NewKey::named(name)).await.unwrap();
    }
    let letters = soon(async {
        loop {
            let answer = api.get(&root, "/webhooks/dead-letters?limit=2").await;
            assert!(!answer.text.contains("hooks-hidden"), "{answer:?}");
            assert!(!answer.text.contains("MfKQ9r8G"), "{answer:?}");
            let letters = answer.json();
            // The first one is about the key that asks.
            if letters["held"] == 3 {
                return letters;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let letters = letters.await;
    let shown = letters["letters"].as_array().unwrap();
    assert_eq!(shown.len(), 2);
    for letter in shown {
        assert_eq!(letter["event"]["type"], "key.created");
        assert_eq!(letter["attempts"], 2);
        assert!(letter["reason"].is_string());
    }
    assert_eq!(letters["webhooks"][0]["dead"], 3);
    assert_eq!(letters["webhooks"][0]["failed"], 6);
    assert_eq!(letters["webhooks"][0]["delivered"], 0);
}
