//! What a key may do at present and what it has used: `show`, `usage`, `list`, `safety`.

use mcp_api_keys::ApiKeys;
use mcp_api_keys::store::SqliteStore;
use serde_json::{Value, json};

use crate::office::{HOME, Office, admitted, ask, refused, text, time};

#[test]
fn show_tells_what_is_in_force_only_where_the_record_says_otherwise() {
    let office = Office::new();
    office.json("owner set ada --server files --server web --scope files:* --read-only");
    let free = text(&office.create("--name free --server files")["id"]);
    let bound = text(
        &office
            .create("--name bound --owner ada --all-servers --scope * --plan free --quota 7/day")["id"],
    );
    let shown = office.text(&format!("show {free}"));
    assert!(!shown.contains("In force"), "{shown}");
    let rights = office.json(&format!("show {free}"))["rights"].clone();
    assert_eq!(rights["servers"], json!(["files"]));

    let shown = office.text(&format!("show {bound}"));
    let (record, present) = shown.split_once("In force at present").unwrap();
    for part in [
        "servers      all",
        "scopes       *",
        "access       full",
        "quotas       7/day",
        "plan         free",
        "0 of 7/day",
    ] {
        assert!(record.contains(part), "{part}: {shown}");
    }
    for part in [
        "files, web (2)",
        "files:*",
        "read-only",
        "limits       10/min",
    ] {
        assert!(present.contains(part), "{part}: {shown}");
    }
    // The key's own quota is what is in force: there is nothing to say.
    assert!(!present.contains("quotas"), "{shown}");
    let json = office.json(&format!("show {bound}"));
    assert_eq!(
        (&json["servers"], &json["access"]),
        (&json!("all"), &json!("full"))
    );
    assert_eq!(json["owner_active"], true);
    assert_eq!(
        json["rights"],
        json!({
            "servers": ["files", "web"], "scopes": ["files:*"], "access": "read-only",
            "limits": [{ "name": "default", "count": 10, "per": "minute" }],
            "quotas": [{ "name": "quota", "amount": 7, "per": "day" }],
        })
    );
}

#[tokio::test]
async fn requests_are_told_by_the_hour_and_the_day() {
    let office = Office::new();
    let made = office.create("--name k --all-servers");
    let (id, key) = (text(&made["id"]), text(&made["key"]));
    let nothing = office.text(&format!("usage {id}"));
    assert!(nothing.contains("No requests were counted"), "{nothing}");
    let store = SqliteStore::connect(&office.url()).await.unwrap();
    let keys = ApiKeys::builder(store.clone()).usage(store);
    let keys = keys.build().await.unwrap();
    let layer = keys.layer().any_server();
    for _ in 0..3 {
        assert_eq!(ask(layer.clone(), &key, HOME).await, admitted());
    }
    ask(layer, "mcp_sk_none", HOME).await;
    keys.flush().await.unwrap();

    let usage = office.json(&format!("usage {id} --step day"));
    let series = usage["series"].as_array().unwrap();
    let requests = |point: &Value| point["requests"].as_u64().unwrap();
    assert_eq!(series.iter().map(requests).sum::<u64>(), 3, "{usage}");
    assert_eq!(
        (&usage["step"], &usage["by"]),
        (&json!("day"), &Value::Null)
    );
    assert_eq!(usage["last_use"]["operation"], "GET");
    let plot = office.text(&format!("usage {id}"));
    assert!(plot.contains("REQUESTS") && plot.contains('█'), "{plot}");
    assert!(plot.contains("last used: 2"), "{plot}");
    let all = office.json("usage --by outcome --from 2h");
    let series = all["series"].as_array().unwrap();
    assert_eq!(series.iter().map(requests).sum::<u64>(), 4, "{all}");
    assert!(
        series.iter().any(|point| point["label"] == "malformed"),
        "{all}"
    );
    assert!(office.text("usage --by outcome").contains("malformed"));
}

#[tokio::test]
async fn uses_and_what_is_left_of_quotas_are_told_by_show_usage_and_list() {
    let office = Office::new();
    let made = office.create("--name k --all-servers --quota 3/day");
    let unused = office.create("--name unused");
    let (id, old) = (text(&made["id"]), text(&made["key"]));
    let rotated = office.json(&format!("rotate {id} --grace 1h"));
    let new = text(&rotated["key"]);
    let keys = office.keys().await;
    for key in [&old, &new, &old] {
        assert_eq!(ask(keys.layer(), key, HOME).await, admitted());
    }
    let beyond = ask(keys.layer(), &new, HOME).await;
    assert_eq!(beyond, refused(429, "quota_exceeded"));
    keys.flush().await.unwrap();

    let shown = office.json(&format!("show {id}"));
    assert!(shown["last_used_at"].is_string(), "{shown}");
    assert_eq!(shown["last_used_at"], shown["previous"]["last_used_at"]);
    assert_eq!(shown["quota_status"][0]["used"], 3);
    let seen = office.text(&format!("show {id}"));
    assert!(seen.contains("used         3 of 3/day, until 2"), "{seen}");
    assert!(!seen.contains("last used never"), "{seen}");

    let usage = office.json(&format!("usage {id}"));
    assert_eq!(usage["last_used_at"], shown["last_used_at"]);
    let secrets = usage["secrets"].as_array().unwrap();
    let states: Vec<_> = secrets
        .iter()
        .map(|secret| (&secret["handle"], &secret["state"]))
        .collect();
    assert_eq!(
        states,
        [
            (&rotated["handle"], &json!("current")),
            (&made["handle"], &json!("previous"))
        ]
    );
    assert!(time(&secrets[0]["last_used_at"]) <= time(&secrets[1]["last_used_at"]));
    assert_eq!(usage["quota_status"][0]["used"], 3);
    let table = office.text(&format!("usage {id}"));
    assert!(
        table.contains("previous  2") && table.contains("3 of 3/day"),
        "{table}"
    );

    // A secret that is gone is still told of, without a handle.
    office.json(&format!("rotate {id}"));
    let usage = office.json(&format!("usage {id}"));
    let secrets = usage["secrets"].as_array().unwrap();
    assert_eq!(secrets.len(), 3, "{usage}");
    assert_eq!(secrets[0]["last_used_at"], Value::Null);
    assert_eq!(
        (&secrets[1]["state"], &secrets[1]["handle"]),
        (&json!("replaced"), &Value::Null)
    );

    let table = office.text("list");
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[1].ends_with("Z  never"), "{table}");
    assert!(
        lines[2].ends_with("never      never") || lines[2].matches("never").count() == 2,
        "{table}"
    );
    let usage = office.text(&format!("usage {}", text(&unused["id"])));
    assert!(usage.contains("never"), "{usage}");
    let error = office.error(1, "usage nothing");
    assert_eq!(error["code"], "not_found");
}

#[test]
fn safety_lists_keys_with_their_risks() {
    let office = Office::new();
    let careful = "--expires-in 30d --server files --plan free";
    office.create(&format!("--name careful {careful}"));
    office.create("--name loose --owner ada --all-servers --scope *");
    office.create("--name off --all-servers --scope * --inactive");
    office.create("--name eternal --server files --quota 5/day");
    let report = office.json("safety");
    let keys: Vec<_> = report["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| (text(&key["name"]), key["risks"].clone()))
        .collect();
    let everything = json!(["never_expires", "unrestricted", "unlimited"]);
    assert_eq!(
        keys,
        [
            ("loose".to_owned(), everything),
            ("eternal".to_owned(), json!(["never_expires"]))
        ]
    );
    let table = office.text("safety");
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].contains("RISKS"), "{table}");
    assert!(
        lines[1].contains("loose") && lines[1].contains("never_expires, unrestricted, unlimited"),
        "{table}"
    );
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let unused = office.json("safety --idle-for 1s");
    assert_eq!(unused["keys"][0]["risks"], json!(["unused"]));
    assert_eq!(
        office.error(2, "safety --idle-for never")["field"],
        "idle_for"
    );

    let tidy = Office::new();
    tidy.create(&format!("--name careful {careful}"));
    let run = tidy.run("safety");
    assert_eq!((run.code, run.out.as_str()), (0, ""), "{run:?}");
}
