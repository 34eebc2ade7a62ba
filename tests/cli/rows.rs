//! The features that the crate unites, row by row.

use serde_json::{Value, json};

use crate::office::{HOME, Office, admitted, ask, leaks, refused, secret_of, text};

#[test]
fn g1_a_key_has_an_id_a_status_a_name_a_masked_token_and_its_projects() {
    let office = Office::new();
    let made = office.create("--name etl --server sales --server stock");
    let shown = office.json(&format!("show {}", text(&made["id"])));
    assert!(text(&shown["id"]).starts_with("key_"));
    assert_eq!(shown["status"], "active");
    assert_eq!(shown["name"], "etl");
    assert_eq!(text(&shown["masked"]).chars().count(), 16);
    assert_eq!(shown["servers"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn g2_a_key_is_created_with_a_name_and_an_initial_status() {
    let office = Office::new();
    let made = office.create("--name later --all-servers --inactive");
    assert_eq!(made["status"], "disabled");
    let keys = office.keys().await;
    let key = text(&made["key"]);
    let before = ask(keys.layer(), &key, HOME).await;
    assert_eq!(before, refused(401, "disabled_api_key"));
    office.json(&format!("enable {}", text(&made["id"])));
    keys.catch_up().await.unwrap();
    assert_eq!(ask(keys.layer(), &key, HOME).await, admitted());
}

#[tokio::test]
async fn g3_only_the_assigned_projects_accept_the_key() {
    let office = Office::new();
    let made = office.create("--name k --server sales --server stock");
    let keys = office.keys().await;
    for (project, expected) in [
        ("sales", admitted()),
        ("stock", admitted()),
        ("payroll", refused(403, "server_not_allowed")),
    ] {
        let layer = keys.layer().server(project);
        assert_eq!(
            ask(layer, &text(&made["key"]), HOME).await,
            expected,
            "{project}"
        );
    }
}

#[tokio::test]
async fn g4_renewing_refuses_the_old_token_at_once() {
    let office = Office::new();
    let made = office.create("--name k --all-servers");
    let keys = office.keys().await;
    let old = text(&made["key"]);
    assert_eq!(ask(keys.layer(), &old, HOME).await, admitted());

    let renewed = office.json(&format!("rotate {}", text(&made["id"])));
    assert_eq!(renewed["id"], made["id"]);
    let new = text(&renewed["key"]);
    assert_ne!(new, old);
    keys.catch_up().await.unwrap();
    assert_eq!(
        ask(keys.layer(), &old, HOME).await,
        refused(401, "invalid_api_key")
    );
    assert_eq!(ask(keys.layer(), &new, HOME).await, admitted());

    let shown = office.text(&format!("rotate {}", text(&made["id"])));
    assert!(shown.contains("shown this once"), "{shown}");
    assert!(
        shown
            .lines()
            .any(|line| line.starts_with("mcp_sk_") && line.len() == 45)
    );
}

#[tokio::test]
async fn g5_name_and_projects_can_be_edited() {
    let office = Office::new();
    let made = office.create("--name k --server sales");
    let keys = office.keys().await;
    let key = text(&made["key"]);
    let id = text(&made["id"]);
    assert_eq!(
        ask(keys.layer().server("sales"), &key, HOME).await,
        admitted()
    );
    let edited = office.json(&format!("update {id} --name k2 --server stock"));
    assert_eq!(
        (&edited["name"], &edited["servers"]),
        (&json!("k2"), &json!(["stock"]))
    );
    keys.catch_up().await.unwrap();
    assert_eq!(
        ask(keys.layer().server("stock"), &key, HOME).await,
        admitted()
    );
    let sales = ask(keys.layer().server("sales"), &key, HOME).await;
    assert_eq!(sales, refused(403, "server_not_allowed"));
}

#[tokio::test]
async fn g6_deleting_is_permanent_and_stops_every_integration() {
    let office = Office::new();
    let made = office.create("--name k --all-servers");
    let keys = office.keys().await;
    let key = text(&made["key"]);
    assert_eq!(ask(keys.layer(), &key, HOME).await, admitted());
    office.json(&format!("delete {} --yes", text(&made["id"])));
    keys.catch_up().await.unwrap();
    assert_eq!(
        ask(keys.layer(), &key, HOME).await,
        refused(401, "invalid_api_key")
    );
    assert!(office.names("--all").is_empty());
}

#[test]
fn g7_the_token_is_readable_only_at_creation_and_at_renewal() {
    let office = Office::new();
    let made = office.create("--name k");
    let renewed = office.json(&format!("rotate {}", text(&made["id"])));
    let later = office
        .json(&format!("show {}", text(&made["id"])))
        .to_string()
        + &office.text("list --all")
        + &office.text(&format!("show {}", text(&made["id"])));
    assert!(later.contains(&text(&renewed["masked"])));
    for key in [&made["key"], &renewed["key"]] {
        assert!(!leaks(&text(key), later.as_bytes()));
    }
}

#[tokio::test]
async fn c3_a_key_with_limited_scopes_does_only_these() {
    let office = Office::new();
    let made = office.create("--name k --all-servers --scope contexts:read --scope models:read");
    let keys = office.keys().await;
    for (scope, expected) in [
        ("contexts:read", admitted()),
        ("models:read", admitted()),
        ("contexts:write", refused(403, "insufficient_scope")),
        ("completions:create", refused(403, "insufficient_scope")),
    ] {
        let layer = keys.layer().require_scope(scope).unwrap();
        assert_eq!(
            ask(layer, &text(&made["key"]), HOME).await,
            expected,
            "{scope}"
        );
    }
}

#[tokio::test]
async fn c4_an_expired_key_is_refused_and_said_to_be_expired() {
    let office = Office::new();
    let made = office.create("--name k --all-servers --expires-in 2s");
    let keys = office.keys().await;
    let key = text(&made["key"]);
    assert_eq!(ask(keys.layer(), &key, HOME).await, admitted());
    tokio::time::sleep(std::time::Duration::from_millis(2_200)).await;
    assert_eq!(
        ask(keys.layer(), &key, HOME).await,
        refused(401, "expired_api_key")
    );
    assert!(office.text("list").contains("expired"));
    assert_eq!(
        office.error(1, &format!("rotate {}", text(&made["id"])))["code"],
        "conflict"
    );
    office.json(&format!("update {} --no-expiry", text(&made["id"])));
    keys.catch_up().await.unwrap();
    assert_eq!(ask(keys.layer(), &key, HOME).await, admitted());
}

#[tokio::test]
async fn c5_a_key_works_only_from_its_addresses() {
    let office = Office::new();
    let made =
        office.create("--name k --all-servers --allow-ip 198.51.100.7 --allow-ip 2001:db8::/32");
    let keys = office.keys().await;
    for (from, expected) in [
        ("198.51.100.7", admitted()),
        ("[2001:db8::9]", admitted()),
        ("[::ffff:198.51.100.7]", admitted()),
        ("198.51.100.8", refused(403, "ip_not_allowed")),
        ("[2001:db9::9]", refused(403, "ip_not_allowed")),
    ] {
        assert_eq!(
            ask(keys.layer(), &text(&made["key"]), from).await,
            expected,
            "{from}"
        );
    }
}

#[tokio::test]
async fn c8_revocation_is_immediate_and_permanent() {
    let office = Office::new();
    let made = office.create("--name k --all-servers");
    let keys = office.keys().await;
    let key = text(&made["key"]);
    assert_eq!(ask(keys.layer(), &key, HOME).await, admitted());
    office.json(&format!("revoke {}", text(&made["id"])));
    keys.catch_up().await.unwrap();
    assert_eq!(
        ask(keys.layer(), &key, HOME).await,
        refused(401, "invalid_api_key")
    );
    let error = office.error(1, &format!("enable {}", text(&made["id"])));
    assert_eq!(error["code"], "conflict");
}

#[test]
fn c12_a_key_may_be_read_only_and_be_made_a_full_one() {
    let office = Office::new();
    let made = office.create("--name k --all-servers --read-only");
    assert_eq!(made["access"], "read-only");
    assert_eq!(office.create("--name full")["access"], "full");
    let id = text(&made["id"]);
    assert!(office.text(&format!("show {id}")).contains("read-only"));
    let list = office.text("list");
    assert_eq!(list.matches("read-only").count(), 1, "{list}");
    let full = office.json(&format!("update {id} --access full"));
    assert_eq!(full["access"], "full");
    let back = office.json(&format!("update {id} --access read-only"));
    assert_eq!(back["access"], "read-only");
    let error = office.error(2, &format!("update {id} --access none"));
    assert_eq!(error["field"], "access");
}

#[tokio::test]
async fn r2_both_secrets_work_during_the_grace_and_then_the_new_one_alone() {
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

#[test]
fn g8_every_change_by_the_command_line_is_in_the_trail() {
    let office = Office::new();
    let made = office.create("--name k --server a");
    let id = text(&made["id"]);
    for line in [
        "update KEY --name k2 --server b",
        "disable KEY",
        "enable KEY",
        "rotate KEY --grace 1h",
        "end-grace KEY",
        "revoke KEY --reason done",
        "delete KEY --yes",
    ] {
        office.json(&line.replace("KEY", &id));
    }
    let exported = office.text("--json audit");
    let mut trail: Vec<Value> = exported
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    trail.reverse();
    let actions: Vec<_> = trail.iter().map(|entry| text(&entry["action"])).collect();
    let expected = [
        "issued",
        "updated",
        "disabled",
        "enabled",
        "rotated",
        "grace_ended",
        "revoked",
        "deleted",
    ];
    assert_eq!(actions, expected);
    for entry in &trail {
        assert_eq!(
            (&entry["actor"], &entry["key"]),
            (&json!("cli:ada"), &made["id"])
        );
    }
    assert_eq!(trail[1]["before"]["name"], "k");
    assert_eq!(trail[1]["after"]["name"], "k2");
    assert!(!leaks(&text(&made["key"]), exported.as_bytes()));

    let table = office.text("audit");
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("TIME"), "{table}");
    assert!(
        lines[1].contains("deleted") && lines[8].contains("issued"),
        "{table}"
    );
    assert!(lines[7].ends_with("name, servers"), "{table}");
    assert!(lines[4].ends_with("handle, previous"), "{table}");
    assert!(table.contains(&text(&made["handle"])), "{table}");
}

#[test]
fn c11_a_key_carries_free_form_facts() {
    let office = Office::new();
    let made = office.create("--name k --metadata environment=production --metadata service=billing --metadata owner=platform --metadata contact=ops@example.com");
    let expected = json!({
        "environment": "production", "service": "billing",
        "owner": "platform", "contact": "ops@example.com",
    });
    assert_eq!(made["metadata"], expected);
    let shown = office.text(&format!("show {}", text(&made["id"])));
    assert!(shown.contains("contact=ops@example.com"), "{shown}");
}

#[tokio::test]
async fn o3_a_key_without_an_expiry_is_valid_until_deleted() {
    let office = Office::new();
    let made = office.create("--name k --owner ada --all-servers");
    assert_eq!(made["expires_at"], Value::Null);
    let dated = office.create("--name d --owner ada --expires-in 30d");
    assert!(dated["expires_at"].is_string());
    let keys = office.keys().await;
    assert_eq!(
        ask(keys.layer(), &text(&made["key"]), HOME).await,
        admitted()
    );
}

#[test]
fn o6_a_name_is_required_and_a_description_optional() {
    let office = Office::new();
    let error = office.error(2, "create --description 'no name'");
    assert!(text(&error["message"]).contains("--name"), "{error}");
    assert_eq!(office.create("--name k")["description"], Value::Null);
    let made = office.create("--name k --description 'for the laptop'");
    assert_eq!(made["description"], "for the laptop");
}

#[test]
fn o7_a_listing_has_what_owners_ask_for() {
    let office = Office::new();
    office.create("--name k --description d --owner ada --server files");
    let key = office.json("list --owner ada")["keys"][0].clone();
    for (field, value) in [
        ("name", json!("k")),
        ("description", json!("d")),
        ("servers", json!(["files"])),
        ("last_used_at", Value::Null),
        ("expires_at", Value::Null),
    ] {
        assert_eq!(key.get(field), Some(&value), "{field}");
    }
    assert!(key["created_at"].is_string());
}

#[test]
fn m1_keys_may_be_mgw_and_32_characters() {
    let office = Office::new();
    let made = office.create("--name app --format plain --prefix mgw_");
    let key = text(&made["key"]);
    let random = key.strip_prefix("mgw_").unwrap();
    assert_eq!(random.len(), 32);
    assert!(random.bytes().all(|b| b.is_ascii_alphanumeric()));
    let patterns = office.json("formats --format plain --prefix mgw_");
    assert_eq!(
        patterns["formats"][0]["pattern"],
        r"\bmgw_[0-9A-Za-z]{32}\b"
    );
}

#[test]
fn m2_a_key_is_shown_exactly_once() {
    let office = Office::new();
    let shown = office.text("create --name k");
    let key = shown
        .lines()
        .find(|line| line.starts_with("mcp_sk_"))
        .unwrap();
    assert_eq!(shown.matches(key).count(), 1, "{shown}");
    assert_eq!(shown.matches(secret_of(key)).count(), 1, "{shown}");
    let later = office.text("list") + &office.json("list").to_string();
    assert!(!leaks(key, later.as_bytes()));
}
