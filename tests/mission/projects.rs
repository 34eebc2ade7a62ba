//! G: keys of projects.

use std::fs;

use serde_json::{Value, json};

use crate::office::{leaks, text};
use crate::site::{Site, admitted, refused};

#[tokio::test]
async fn g1_a_key_has_id_status_name_masked_token_and_project_count() {
    let site = Site::with(&["sales"]).await;
    let made = site.create("--name etl --server sales --server stock");
    let show = || site.office.json(&format!("show {}", made.id()));
    let shown = show();
    assert_eq!(shown["id"], made.0["id"]);
    assert_eq!(
        (&shown["status"], &shown["name"]),
        (&json!("active"), &json!("etl"))
    );
    let handle = text(&shown["handle"]);
    assert_eq!(text(&shown["masked"]), format!("mcp_sk_{handle}…"));
    assert!(made.key().starts_with(&format!("mcp_sk_{handle}")));
    assert_eq!(shown["server_count"], 2);
    let seen = site.office.text(&format!("show {}", made.id()));
    assert!(seen.contains("sales, stock (2)"), "{seen}");

    // The one who is called knows the key by its id and name, too.
    let answer = site.get("/sales/mcp", &made.key()).await.json();
    assert_eq!(answer["headers"]["x-mcp-key-id"], made.0["id"]);
    assert_eq!(answer["headers"]["x-mcp-key-name"], "etl");

    site.office.json(&format!("disable {}", made.id()));
    assert_eq!(show()["status"], "disabled");
    site.office
        .json(&format!("update {} --server sales", made.id()));
    assert_eq!(show()["server_count"], 1);
}

#[tokio::test]
async fn g2_create_with_a_name_and_an_initial_status_the_token_is_generated() {
    let site = Site::with(&["sales"]).await;
    let on = site.create("--name on --server sales");
    let off = site.create("--name off --server sales --inactive");
    assert_eq!(
        (&on.0["name"], &on.0["status"]),
        (&json!("on"), &json!("active"))
    );
    assert_eq!(
        (&off.0["name"], &off.0["status"]),
        (&json!("off"), &json!("disabled"))
    );
    assert_ne!(on.key(), off.key());
    assert_eq!(on.key().len(), 45);
    assert_eq!(site.ask("sales", &on.key()).await, admitted());
    let disabled = refused(401, "disabled_api_key");
    assert_eq!(site.ask("sales", &off.key()).await, disabled);
    site.office.json(&format!("enable {}", off.id()));
    site.soon("sales", &off.key(), (200, "")).await;
}

#[tokio::test]
async fn g3_only_the_assigned_projects_accept_the_key() {
    let site = Site::with(&["sales", "stock", "payroll"]).await;
    let two = site.create("--name two --server sales --server stock");
    let none = site.create("--name none");
    let elsewhere = refused(403, "server_not_allowed");
    assert_eq!(site.ask("sales", &two.key()).await, admitted());
    assert_eq!(site.ask("stock", &two.key()).await, admitted());
    assert_eq!(site.ask("payroll", &two.key()).await, elsewhere);
    assert_eq!(site.ask("sales", &none.key()).await, elsewhere);
}

#[tokio::test]
async fn g4_renewing_gives_the_same_key_a_new_token_and_refuses_the_previous_at_once() {
    let site = Site::with(&["sales"]).await;
    let made = site.create("--name k --server sales");
    assert_eq!(site.ask("sales", &made.key()).await, admitted());
    let renewed = site.office.json(&format!("rotate {}", made.id()));
    assert_eq!(
        (&renewed["id"], &renewed["name"], &renewed["servers"]),
        (&made.0["id"], &made.0["name"], &made.0["servers"])
    );
    site.soon("sales", &made.key(), (401, "invalid_api_key"))
        .await;
    let new = text(&renewed["key"]);
    assert_eq!(site.ask("sales", &new).await, admitted());
    assert_ne!(new, made.key());
}

#[tokio::test]
async fn g5_the_name_and_the_assigned_projects_can_be_edited() {
    let site = Site::with(&["sales", "stock"]).await;
    let made = site.create("--name before --server sales");
    assert_eq!(site.ask("sales", &made.key()).await, admitted());
    let edited = format!("update {} --name after --server stock", made.id());
    let edited = site.office.json(&edited);
    assert_eq!(
        (&edited["name"], &edited["servers"]),
        (&json!("after"), &json!(["stock"]))
    );
    site.soon("stock", &made.key(), (200, "")).await;
    let elsewhere = refused(403, "server_not_allowed");
    assert_eq!(site.ask("sales", &made.key()).await, elsewhere);
    let answer = site.get("/stock/mcp", &made.key()).await.json();
    assert_eq!(answer["headers"]["x-mcp-key-name"], "after");
}

#[tokio::test]
async fn g6_deleting_is_permanent_and_every_integration_stops_at_once() {
    let site = Site::with(&["sales", "stock"]).await;
    let made = site.create("--name k --server sales --server stock");
    for integration in ["sales", "stock"] {
        assert_eq!(site.ask(integration, &made.key()).await, admitted());
    }
    let deleted = site.office.json(&format!("delete {} --yes", made.id()));
    assert_eq!(deleted["deleted"], true);
    for integration in ["sales", "stock"] {
        site.soon(integration, &made.key(), (401, "invalid_api_key"))
            .await;
    }
    for command in ["show", "enable", "rotate"] {
        let error = site.office.error(1, &format!("{command} {}", made.id()));
        assert_eq!(error["code"], "not_found", "{command}");
    }
    assert!(site.office.names("--all").is_empty());
}

#[tokio::test]
async fn g7_the_token_is_stored_securely_and_readable_only_at_creation_and_at_renewal() {
    let site = Site::with(&["sales"]).await;
    let made = site.create("--name k --server sales");
    let renewed = site
        .office
        .json(&format!("rotate {} --grace 1h", made.id()));
    let keys = [made.key(), text(&renewed["key"])];
    for key in &keys {
        site.soon("sales", key, (200, "")).await;
    }
    // Masked when shown, whatever shows it.
    let later = site.office.text("list --all")
        + &site.office.text(&format!("show {}", made.id()))
        + &site.office.text("--json list")
        + &site.office.text("--json audit")
        + &site.office.text(&format!("--json usage {}", made.id()))
        + &site.get("/sales/mcp", &keys[1]).await.text;
    assert!(later.contains(&text(&renewed["masked"])), "{later}");
    for key in &keys {
        assert!(!leaks(key, later.as_bytes()));
    }
    // Nor is it in any file, while the gateway runs and after it has ended.
    let office = site.close().await;
    let mut read = 0;
    for file in fs::read_dir(office.folder.path()).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        read += bytes.len();
        for key in &keys {
            assert!(!leaks(key, &bytes));
        }
    }
    assert!(read > 4_096, "only {read} bytes were looked at");
}

#[tokio::test]
async fn g8_disabling_or_deleting_revokes_at_once_and_every_act_is_auditable() {
    let site = Site::with(&["sales"]).await;
    let made = site.create("--name k --server sales --actor ada");
    let id = made.id();
    assert_eq!(site.ask("sales", &made.key()).await, admitted());
    site.office.json(&format!("disable {id} --actor bob"));
    site.soon("sales", &made.key(), (401, "disabled_api_key"))
        .await;
    site.office.json(&format!("enable {id} --actor bob"));
    site.soon("sales", &made.key(), (200, "")).await;
    site.office
        .json(&format!("update {id} --name k2 --actor eve"));
    let renewed = site.office.json(&format!("rotate {id} --actor eve"));
    let key = text(&renewed["key"]);
    site.soon("sales", &key, (200, "")).await;
    site.office.json(&format!("delete {id} --yes --actor ada"));
    site.soon("sales", &key, (401, "invalid_api_key")).await;

    let trail = site.office.text(&format!("--json audit --key {id}"));
    let mut trail: Vec<Value> = trail
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    trail.reverse();
    let acts: Vec<_> = trail
        .iter()
        .map(|entry| (text(&entry["actor"]), text(&entry["action"])))
        .collect();
    let expected = [
        ("ada", "issued"),
        ("bob", "disabled"),
        ("bob", "enabled"),
        ("eve", "updated"),
        ("eve", "rotated"),
        ("ada", "deleted"),
    ];
    let expected = expected.map(|(actor, action)| (actor.to_owned(), action.to_owned()));
    assert_eq!(acts, expected);
    assert_eq!(
        (&trail[3]["before"]["name"], &trail[3]["after"]["name"]),
        (&json!("k"), &json!("k2"))
    );
    assert!(trail.iter().all(|entry| entry["at"].is_string()));
}
