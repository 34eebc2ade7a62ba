//! Two secrets for a while.

use serde_json::{Value, json};

use crate::office::{HOME, Office, admitted, ask, refused, text};

#[test]
fn a_rotation_with_grace_tells_the_old_secret_and_its_end() {
    let office = Office::new();
    let made = office.create("--name k");
    let id = text(&made["id"]);
    let rotated = office.json(&format!("rotate {id} --grace 24h"));
    assert_eq!(rotated["previous"]["handle"], made["handle"]);
    assert!(rotated["previous"]["ends_at"].is_string(), "{rotated}");
    let old = text(&made["handle"]);
    let shown = office.text(&format!("show {old}"));
    assert!(shown.contains(&format!("{old}, ends 2")), "{shown}");

    let ended = office.json(&format!("end-grace {id}"));
    assert_eq!(ended.get("previous"), None);
    assert_eq!(ended["handle"], rotated["handle"]);
    assert_eq!(office.json(&format!("end-grace {id}")), ended);
    assert_eq!(
        office.error(1, &format!("end-grace {old}"))["code"],
        "not_found"
    );

    let waiting = office.json(&format!("rotate {id} --grace-from-first-use 1h"));
    assert_eq!(waiting["previous"]["ends_at"], Value::Null);
    assert_eq!(waiting["previous"]["handle"], rotated["handle"]);
    let shown = office.text(&format!("show {id}"));
    assert!(
        shown.contains("when the new secret is first used"),
        "{shown}"
    );
    let leak = office.json(&format!("rotate {id}"));
    assert_eq!(leak.get("previous"), None);
}

#[test]
fn a_grace_that_makes_no_sense_changes_nothing() {
    let office = Office::new();
    let made = office.create("--name k");
    let id = text(&made["id"]);
    for option in ["--grace 0h", "--grace 367d", "--grace soon"] {
        let error = office.error(2, &format!("rotate {id} {option}"));
        assert_eq!(
            (&error["code"], &error["field"]),
            (&json!("invalid_input"), &json!("grace")),
            "{option}"
        );
    }
    let shown = office.json(&format!("show {id}"));
    assert_eq!(shown["handle"], made["handle"]);
}

#[tokio::test]
async fn both_secrets_work_during_the_grace_and_then_the_new_one_alone() {
    let office = Office::new();
    let made = office.create("--name k --all-servers");
    let id = text(&made["id"]);
    let keys = office.keys().await;
    let rotated = office.json(&format!("rotate {id} --grace 24h"));
    keys.catch_up().await.unwrap();
    for key in [&made["key"], &rotated["key"]] {
        assert_eq!(ask(keys.layer(), &text(key), HOME).await, admitted());
    }
    office.json(&format!("end-grace {id}"));
    keys.catch_up().await.unwrap();
    assert_eq!(
        ask(keys.layer(), &text(&rotated["key"]), HOME).await,
        admitted()
    );
    let old = ask(keys.layer(), &text(&made["key"]), HOME).await;
    assert_eq!(old, refused(401, "invalid_api_key"));
}
