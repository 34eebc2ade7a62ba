//! `update`, `enable`, `disable`, `revoke` and `delete`.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::office::{Office, text};

#[test]
fn update_sets_what_is_named_and_leaves_the_rest() {
    let office = Office::new();
    let mut before = office.create("--name k --description d --owner ada --server files --scope a:b --allow-ip 10.0.0.0/8 --deny-ip 10.0.0.1 --rate 60/min --expires-in 30d --metadata a=1 --metadata b=2");
    let handle = text(&before["handle"]);
    let steps: [(&str, Value); 23] = [
        ("--name k2", json!({ "name": "k2" })),
        ("--description e", json!({ "description": "e" })),
        ("--no-description", json!({ "description": null })),
        ("--owner bob", json!({ "owner": "bob" })),
        ("--no-owner", json!({ "owner": null })),
        (
            "--server mail --server web",
            json!({ "servers": ["mail", "web"] }),
        ),
        ("--all-servers", json!({ "servers": "all" })),
        ("--no-servers", json!({ "servers": [] })),
        ("--scope c:d", json!({ "scopes": ["c:d"] })),
        ("--no-scopes", json!({ "scopes": [] })),
        (
            "--allow-ip 192.0.2.0/24",
            json!({ "networks": { "allow": ["192.0.2.0/24"], "deny": ["10.0.0.1"] } }),
        ),
        (
            "--no-ip-rules --deny-ip 192.0.2.9",
            json!({ "networks": { "allow": [], "deny": ["192.0.2.9"] } }),
        ),
        (
            "--no-ip-rules",
            json!({ "networks": { "allow": [], "deny": [] } }),
        ),
        (
            "--rate b=5/s",
            json!({ "limits": [{ "name": "b", "count": 5, "per": "second" }] }),
        ),
        ("--no-rates", json!({ "limits": [] })),
        ("--plan free", json!({ "plan": "free" })),
        ("--no-plan", json!({ "plan": null })),
        (
            "--quota 10/day --quota b=5/month",
            json!({ "quotas": [
                { "name": "quota", "amount": 10, "per": "day" },
                { "name": "b", "amount": 5, "per": "month" },
            ] }),
        ),
        ("--no-quotas", json!({ "quotas": [] })),
        ("--signing required", json!({ "signing": "required" })),
        ("--signing by-layer", json!({ "signing": "by-layer" })),
        ("--no-expiry", json!({ "expires_at": null })),
        (
            "--metadata c=3 --metadata b=9 --unset-metadata a",
            json!({ "metadata": { "b": "9", "c": "3" } }),
        ),
    ];
    before.as_object_mut().unwrap().remove("key").unwrap();
    for (args, expected) in steps {
        let args = format!("update {handle} {args}");
        let after = office.json(&args);
        for (field, value) in before.as_object().unwrap() {
            if matches!(field.as_str(), "updated_at" | "revision" | "server_count") {
                continue;
            }
            let expected = expected.get(field).unwrap_or(value);
            assert_eq!(&after[field], expected, "{args:?}: {field}");
        }
        assert!(
            after["revision"].as_u64() > before["revision"].as_u64(),
            "{args:?}"
        );
        assert!(after.get("key").is_none());
        before = after;
    }
    let sentence = office.text(&format!("update {handle} --expires-in 1d"));
    assert!(sentence.contains(&handle), "{sentence}");
    assert!(office.json(&format!("show {handle}"))["expires_at"].is_string());
}

#[test]
fn update_of_a_revision_that_is_gone_is_a_conflict_and_changes_nothing() {
    let office = Office::new();
    let made = office.create("--name k");
    let handle = text(&made["handle"]);
    let revision = made["revision"].to_string();
    let update = format!("update {handle} --if-revision {revision}");
    office.json(&format!("{update} --name k2"));
    for more in ["", "--metadata a=b"] {
        let error = office.error(1, &format!("{update} --name k3 {more}"));
        assert_eq!(error["code"], "conflict");
    }
    assert_eq!(office.json(&format!("show {handle}"))["name"], "k2");
}

#[test]
fn two_who_set_different_facts_at_once_lose_none() {
    let office = Office::new();
    let handle = text(&office.create("--name k")["handle"]);
    let children: Vec<_> = (0..4)
        .map(|number| {
            let fact = format!("f{number}=x");
            let mut command = office.command(&format!("update {handle} --metadata {fact}"));
            command.stdout(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let facts = office.json(&format!("show {handle}"))["metadata"].clone();
    assert_eq!(facts, json!({ "f0": "x", "f1": "x", "f2": "x", "f3": "x" }));
}

#[test]
fn an_update_that_names_nothing_is_a_mistake() {
    let office = Office::new();
    let handle = text(&office.create("--name k")["handle"]);
    assert_eq!(
        office.error(2, &format!("update {handle}"))["code"],
        "usage"
    );
    assert_eq!(
        office.error(2, &format!("update {handle} --if-revision 1"))["code"],
        "usage"
    );
}

#[test]
fn disable_and_enable_are_said_in_both_forms() {
    let office = Office::new();
    let handle = text(&office.create("--name k")["handle"]);
    assert_eq!(
        office.json(&format!("disable {handle}"))["status"],
        "disabled"
    );
    assert_eq!(office.json(&format!("enable {handle}"))["status"], "active");
    assert!(
        office
            .text(&format!("disable {handle}"))
            .contains("is disabled")
    );
    assert!(
        office
            .text(&format!("disable {handle}"))
            .contains("is disabled")
    );
    assert!(
        office
            .text(&format!("enable {handle}"))
            .contains("is enabled")
    );
}

#[test]
fn revoke_keeps_the_record_and_the_first_reason() {
    let office = Office::new();
    let handle = text(&office.create("--name k")["handle"]);
    let revoked = office.json(&format!("revoke {handle} --reason 'left the team'"));
    assert_eq!(revoked["status"], "revoked");
    assert_eq!(revoked["revoked_reason"], "left the team");
    assert!(
        office
            .text(&format!("revoke {handle} --reason again"))
            .contains("revoked")
    );
    let shown = office.text(&format!("show {handle}"));
    assert!(
        shown.contains("left the team") && !shown.contains("again"),
        "{shown}"
    );
    for command in ["enable", "disable", "rotate"] {
        assert_eq!(
            office.error(1, &format!("{command} {handle}"))["code"],
            "conflict",
            "{command}"
        );
    }
    let renamed = format!("update {handle} --name x");
    assert_eq!(office.error(1, &renamed)["code"], "conflict");
    let noted = format!("update {handle} --metadata x=y");
    assert_eq!(office.error(1, &noted)["code"], "conflict");
}

#[test]
fn delete_wants_a_yes_and_then_leaves_nothing() {
    let office = Office::new();
    let handle = text(&office.create("--name k")["handle"]);
    let error = office.error(2, &format!("delete {handle}"));
    assert_eq!(error["code"], "usage");
    assert!(text(&error["message"]).contains("--yes"));
    assert_eq!(office.json(&format!("show {handle}"))["status"], "active");
    let gone = office.json(&format!("delete {handle} --yes"));
    assert_eq!(gone["deleted"], true);
    assert_eq!(
        office.error(1, &format!("show {handle}"))["code"],
        "not_found"
    );
    let other = text(&office.create("--name other")["handle"]);
    assert!(
        office
            .text(&format!("delete --yes {other}"))
            .contains("is deleted")
    );
    assert!(office.names("--all").is_empty());
}

#[test]
fn a_key_may_be_read_only_and_be_made_a_full_one() {
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
