//! What goes wrong, and how it is told.

use std::fs;

use serde_json::{Value, json};

use crate::office::{Office, Run, bare, text};

#[test]
fn bad_input_names_the_option_and_the_field_and_stores_nothing() {
    let office = Office::new();
    let long_name = "n".repeat(201);
    let long_text = "d ".repeat(501);
    let big = format!("a={}", "x ".repeat(9_000));
    let cases: &[(&str, &str, &str)] = &[
        ("--name ''", "--name", "name"),
        (&format!("--name {long_name}"), "--name", "name"),
        ("--name a\u{7}b", "--name", "name"),
        (
            &format!("--name k --description '{long_text}'"),
            "--description",
            "description",
        ),
        ("--name k --owner ''", "--owner", "owner"),
        ("--name k --server a/b", "--server", "servers"),
        ("--name k --server *", "--server", "servers"),
        ("--name k --scope a::b", "--scope", "scopes"),
        ("--name k --scope a*", "--scope", "scopes"),
        ("--name k --allow-ip 10.0.0.1/8", "--allow-ip", "networks"),
        ("--name k --deny-ip localhost", "--deny-ip", "networks"),
        ("--name k --rate 60", "--rate", "limits"),
        ("--name k --rate 0/min", "--rate", "limits"),
        ("--name k --rate 60/min:0", "--rate", "limits"),
        ("--name k --rate A=60/min", "--rate", "limits"),
        ("--name k --rate 1/s --rate 2/s", "--rate", "limits"),
        ("--name k --plan platinum", "--plan", "plan"),
        ("--name k --plan 'a b'", "--plan", "plan"),
        ("--name k --quota 60", "--quota", "quotas"),
        ("--name k --quota 0/day", "--quota", "quotas"),
        ("--name k --quota 5/min", "--quota", "quotas"),
        ("--name k --quota A=5/day", "--quota", "quotas"),
        ("--name k --quota 1/day --quota 2/day", "--quota", "quotas"),
        ("--name k --client claude", "--owner", "owner"),
        ("--name k --owner ada --client ''", "--client", "client"),
        ("--name k --expires-in soon", "--expires-in", "expires_at"),
        ("--name k --expires-in 0d", "--expires-in", "expires_at"),
        (
            "--name k --expires-at 2020-01-01T00:00:00Z",
            "--expires-at",
            "expires_at",
        ),
        (
            "--name k --expires-at 2099-01-01",
            "--expires-at",
            "expires_at",
        ),
        ("--name k --metadata a", "--metadata", "metadata"),
        ("--name k --metadata =a", "--metadata", "metadata"),
        (
            "--name k --metadata a=1 --metadata a=2",
            "--metadata",
            "metadata",
        ),
        (
            &format!("--name k --metadata '{big}'"),
            "--metadata",
            "metadata",
        ),
        ("--name k --format odd", "--format", "format"),
        ("--name k --format segmented", "--owner", "owner"),
        (
            "--name k --format segmented --owner 'a b'",
            "--owner",
            "owner",
        ),
        ("--name k --prefix x", "--prefix", "prefix"),
        ("--name k --prefix 'a b'", "--prefix", "prefix"),
    ];
    for (args, option, field) in cases {
        let args = format!("create {args}");
        let error = office.error(2, &args);
        assert_eq!(error["field"], *field, "{args:?}: {error}");
        assert!(
            text(&error["message"]).contains(option),
            "{args:?}: {error}"
        );
        assert!(
            ["invalid_input", "usage"].contains(&error["code"].as_str().unwrap()),
            "{error}"
        );
        let said = office.run(&args);
        assert_eq!((said.code, said.out.as_str()), (2, ""));
        assert!(said.err.contains(option), "{said:?}");
    }
    assert!(office.names("--all").is_empty());
}

#[test]
fn bad_input_to_update_changes_nothing() {
    let office = Office::new();
    let handle = text(&office.create("--name k")["handle"]);
    let before = office.json(&format!("show {handle}"));
    let cases: &[(&str, &str)] = &[
        ("--name ''", "name"),
        ("--owner ''", "owner"),
        ("--server a/b", "servers"),
        ("--scope a:*:b", "scopes"),
        ("--allow-ip ::1/64", "networks"),
        ("--rate x=y=1/s", "limits"),
        ("--expires-at 2020-01-01T00:00:00Z", "expires_at"),
        ("--metadata nothing", "metadata"),
        ("--plan platinum", "plan"),
        ("--quota nothing", "quotas"),
        ("--signing maybe", "signing"),
        ("--if-revision x --name y", "if_revision"),
    ];
    for (args, field) in cases {
        let args = format!("update {handle} {args}");
        assert_eq!(office.error(2, &args)["field"], *field, "{args:?}");
    }
    let reason = "r ".repeat(300);
    let error = office.error(2, &format!("revoke {handle} --reason '{reason}'"));
    assert_eq!(error["field"], "reason");
    assert_eq!(office.json(&format!("show {handle}")), before);
}

#[test]
fn options_that_contradict_each_other_are_usage_errors() {
    let office = Office::new();
    for args in [
        "create",
        "create --name k --server a --all-servers",
        "create --name k --expires-in 1d --expires-at 2099-01-01T00:00:00Z",
        "create --name k --unknown",
        "update x --owner a --no-owner",
        "update x --no-servers --all-servers",
        "update x --expires-in 1d --no-expiry",
        "update x --plan free --no-plan",
        "update x --quota 1/day --no-quotas",
        "rotate x --grace 1h --grace-from-first-use 1h",
        "revoke",
        "revoke --reason gone --yes",
        "revoke x --owner ada",
        "revoke --owner ada",
        "owner",
        "owner set",
        "owner set ada --server a --all-servers",
        "owner set ada --access full --read-only",
        "plan",
        "plan set x --rate 1/s --no-rates",
        "default-key",
        "bootstrap",
        "list --limit",
        "nonsense",
        "show",
    ] {
        assert_eq!(office.error(2, args)["code"], "usage", "{args:?}");
    }
    assert_eq!(office.error(2, "list --limit 0")["field"], "limit");
    assert_eq!(office.error(2, "usage --step month")["field"], "step");
    assert_eq!(office.error(2, "usage --by key")["field"], "by");
    assert_eq!(office.error(2, "list --status expired")["field"], "status");
    assert_eq!(office.error(2, "list --after x")["field"], "after");
}

#[test]
fn an_unknown_key_is_told_with_code_1() {
    let office = Office::new();
    office.create("--name k");
    let absent = "key_00000000000000000000AB";
    for key in [
        absent,
        "ZZZZZZZZ",
        "mcp_sk_ZZZZZZZZ…",
        "key_x",
        "''",
        "'a b'",
        "é",
    ] {
        let error = office.error(1, &format!("show {key}"));
        assert_eq!(error["code"], "not_found", "{key}");
    }
    let commands: [&str; 6] = [
        &format!("update {absent} --name x"),
        &format!("enable {absent}"),
        &format!("disable {absent}"),
        &format!("rotate {absent}"),
        &format!("revoke {absent}"),
        &format!("delete {absent} --yes"),
    ];
    for args in commands {
        assert_eq!(office.error(1, args)["code"], "not_found", "{args:?}");
        let said = office.run(args);
        assert_eq!(said.err, "mcp-keys: there is no such key\n");
    }
}

#[test]
fn without_a_store_the_error_says_how_to_give_one() {
    for args in ["list", "create --name k", "show x", "serve"] {
        let run = Run::of(&bare(args).output().unwrap());
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{run:?}");
        assert!(
            run.err.contains("--store") && run.err.contains("MCP_KEYS_STORE"),
            "{run:?}"
        );
    }
    let mut empty = bare("list --json");
    let run = Run::of(&empty.env("MCP_KEYS_STORE", "").output().unwrap());
    let error: Value = serde_json::from_str(&run.err).unwrap();
    assert_eq!((run.code, &error["error"]["code"]), (2, &json!("usage")));
}

#[test]
fn a_store_that_cannot_be_opened_is_told_by_its_reason_and_without_its_password() {
    for url in [
        "mysql://ada:hunter2@db/keys",
        "postgres://ada:hunter2@[db/keys",
        "keys.db",
        "sqlite::memory:",
        "sqlite:",
    ] {
        let run = Run::of(&bare(&format!("--store {url} list")).output().unwrap());
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.err.contains("--store"), "{run:?}");
        assert!(!run.err.contains("hunter2"), "{run:?}");
    }
    let unanswered = "--store postgres://ada:hunter2@127.0.0.1:1/keys list";
    let run = Run::of(&bare(unanswered).output().unwrap());
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.err.contains("did not answer"), "{run:?}");
    assert!(!run.err.contains("hunter2"), "{run:?}");
    let office = Office::new();
    let nowhere = format!("sqlite://{}/no/keys.db", office.folder.path().display());
    let run = Run::of(&bare(&format!("--store {nowhere} list")).output().unwrap());
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.err.contains("folder"), "{run:?}");

    fs::write(
        office.folder.path().join("keys.db"),
        "this is no database, it is prose".repeat(99),
    )
    .unwrap();
    assert_eq!(office.error(1, "list")["code"], "corrupt");
}

#[test]
fn the_store_may_be_named_before_or_behind_the_command() {
    let office = Office::new();
    office.create("--name k");
    let url = office.url();
    for args in [
        &format!("--store {url} list"),
        &format!("list --store {url}"),
    ] {
        let run = Run::of(&bare(args).output().unwrap());
        assert!(run.out.contains('k') && run.code == 0, "{run:?}");
    }
}
