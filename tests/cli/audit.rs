//! The audit trail.

use serde_json::{Value, json};

use crate::office::{Office, Run, leaks, text};

#[test]
fn audit_finds_by_key_actor_and_time() {
    let office = Office::new();
    let first = office.create("--name first");
    let second = office.create("--name second --actor eve");
    let id = text(&second["id"]);
    office.json(&format!("delete {id} --yes --actor eve"));
    let count = |options: &str| {
        office
            .text(&format!("--json audit {options}"))
            .lines()
            .count()
    };
    assert_eq!(count(""), 3);
    assert_eq!(count("--limit 2"), 2);
    assert_eq!(count("--actor eve"), 2);
    assert_eq!(count(&format!("--key {id}")), 2);
    assert_eq!(count(&format!("--key {}", text(&first["handle"]))), 1);
    assert_eq!(count("--since 1h"), 3);
    assert_eq!(count("--until 1h"), 0);
    assert_eq!(count("--since 2099-01-01T00:00:00Z"), 0);
    assert_eq!(count("--until 2099-01-01T00:00:00Z"), 3);
    assert_eq!(office.error(2, "audit --since yesterday")["field"], "since");
    let none = office.run("audit --actor nobody");
    assert_eq!((none.code, none.out.as_str()), (0, ""), "{none:?}");
    assert!(none.err.contains("no such entries"), "{none:?}");
}

#[test]
fn the_actor_is_the_user_unless_somebody_else_is_named() {
    let office = Office::new();
    let newest = || office.json("audit --limit 1")["actor"].clone();
    let with = |line: &str, name: &str, value: &str| {
        let run = Run::of(&office.command(line).env(name, value).output().unwrap());
        assert_eq!(run.code, 0, "{run:?}");
    };
    office.create("--name k");
    assert_eq!(newest(), "cli:ada");
    with("create --name k", "MCP_KEYS_ACTOR", "deploy");
    assert_eq!(newest(), "deploy");
    with("create --name k --actor eve", "MCP_KEYS_ACTOR", "deploy");
    assert_eq!(newest(), "eve");
    with("create --name k", "MCP_KEYS_ACTOR", "");
    assert_eq!(newest(), "cli:ada");
    with("create --name k", "USER", "");
    assert_eq!(newest(), "cli");
}

#[test]
fn every_change_by_the_command_line_is_in_the_trail() {
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
