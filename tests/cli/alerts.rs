//! `alerts`: the list, its filters, and who has seen to what.

use mcp_api_keys::Timestamp;
use mcp_api_keys::alert::{Alert, AlertLedger, AlertRule, AlertState};
use mcp_api_keys::key::KeyId;
use mcp_api_keys::store::{DeadLetter, LetterLedger, SqliteStore};
use serde_json::{Value, json};

use crate::office::{Office, text};

/// A store with two keys, and three alerts about them.
async fn office() -> (Office, [String; 2]) {
    let office = Office::new();
    let ids = ["one", "two"].map(|name| text(&office.create(&format!("--name {name}"))["id"]));
    let store = SqliteStore::connect(&office.url()).await.unwrap();
    let at = |seconds: i64| Timestamp::from_millis(1_785_232_800_000 + seconds * 1_000);
    let alert = |id: &String, rule, seconds| {
        let key: KeyId = id.parse().unwrap();
        Alert::new(key, rule, at(seconds), 95, 90)
    };
    let mut over = alert(&ids[0], AlertRule::Spike, 9);
    (over.state, over.resolved_at) = (AlertState::Resolved, Some(at(10)));
    let open = [
        alert(&ids[0], AlertRule::Idle, 1),
        alert(&ids[1], AlertRule::Errors, 2),
    ];
    store.put(&[over]).await.unwrap();
    store.put(&open).await.unwrap();
    store.close().await.unwrap();
    (office, ids)
}

fn rules(list: &Value) -> Vec<String> {
    let alerts = list["alerts"].as_array().unwrap().iter();
    alerts.map(|alert| text(&alert["rule"])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_are_listed_with_the_open_ones_first() {
    let (office, [one, _]) = office().await;
    assert_eq!(rules(&office.json("alerts")), ["errors", "idle", "spike"]);
    assert_eq!(rules(&office.json("alerts --open")), ["errors", "idle"]);
    assert_eq!(rules(&office.json("alerts --rule spike")), ["spike"]);
    let of_one = office.json(&format!("alerts --key {one}"));
    assert_eq!(rules(&of_one), ["idle", "spike"]);
    let table = office.text("alerts");
    for part in ["not used for 95 days", "resolved", "open", &one] {
        assert!(table.contains(part), "{part}: {table}");
    }
    let wrong = office.run("alerts --rule spikes");
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("new_network"), "{wrong:?}");
    let none = Office::new();
    none.create("--name a");
    let run = none.run("alerts");
    assert_eq!((run.code, run.out.as_str()), (0, ""));
    assert!(run.err.contains("There is no alert."), "{run:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_acknowledged_by_whoever_runs_it() {
    let (office, [one, _]) = office().await;
    let seen_to = office.json(&format!("alerts --acknowledge idle --key {one}"));
    assert_eq!(rules(&seen_to), ["idle"]);
    let by = |list: &Value| list["alerts"][0]["acknowledged"]["by"].clone();
    assert!(by(&seen_to).as_str().unwrap().contains("ada"), "{seen_to}");
    assert_eq!(by(&office.json("alerts --rule idle")), by(&seen_to));
    assert_eq!(by(&office.json("alerts --rule spike")), Value::Null);
    let none = office.error(1, &format!("alerts --acknowledge errors --key {one}"));
    assert_eq!(none["code"], "not_found", "{none}");
    // Without a key it is not known whose.
    assert_eq!(office.run("alerts --acknowledge idle").code, 2);
    let both = format!("alerts --open --acknowledge idle --key {one}");
    assert_eq!(office.run(&both).code, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_were_given_up_are_listed() {
    let (office, [one, _]) = office().await;
    let run = office.run("alerts --dead-letters");
    assert_eq!((run.code, run.out.as_str()), (0, ""));
    assert!(run.err.contains("No message was given up."), "{run:?}");
    let store = SqliteStore::connect(&office.url()).await.unwrap();
    let letter = |number: u32, event: Value| DeadLetter {
        id: format!("ltr_{number}"),
        event,
        attempts: number,
        reason: "status 503".to_owned(),
        at: Timestamp::from_millis(1_785_232_800_000),
    };
    let about_one = json!({ "type": "key.created", "data": { "key": &one } });
    let letters = [
        letter(6, about_one.clone()),
        letter(
            7,
            json!({ "type": "alert.held_back", "data": { "alerts": 3 } }),
        ),
    ];
    store.keep(&letters).await.unwrap();
    store.close().await.unwrap();

    let list = office.json("alerts --dead-letters");
    assert_eq!((&list["held"], &list["dropped"]), (&json!(2), &json!(0)));
    assert_eq!(list["letters"][0]["event"]["type"], "alert.held_back");
    assert_eq!(list["letters"][1]["event"], about_one);
    let table = office.text("alerts --dead-letters");
    for part in ["2026-07-28", "key.created", &one, "6", "status 503"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    assert_eq!(office.run("alerts --dead-letters --open").code, 2);
}

#[test]
fn the_help_says_where_dead_letters_are() {
    let office = Office::new();
    let help = office.run("alerts --help").out;
    assert!(help.contains("/webhooks/dead-letters"), "{help}");
}
