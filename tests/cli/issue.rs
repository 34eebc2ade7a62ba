//! `create`, and how keys are named afterwards.

use serde_json::{Value, json};

use crate::office::{Office, Run, leaks, text};

#[test]
fn create_shows_the_key_on_a_line_of_its_own_after_saying_so() {
    let office = Office::new();
    let shown = office.text("create --name ci-bot --server files");
    let lines: Vec<_> = shown.lines().collect();
    assert!(lines[0].contains("shown this once"), "{shown}");
    let key = lines.iter().find(|line| line.starts_with("mcp_sk_"));
    assert_eq!(key.unwrap().len(), 45, "{shown}");
    for part in ["ci-bot", "files", "active", "never", "key_"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn create_answers_programs_with_everything_that_was_set() {
    let office = Office::new();
    let made = office.create("--name ci-bot --description 'builds things' --owner ada --server mail --server files --scope files:read --scope models:* --allow-ip 203.0.113.0/24 --allow-ip 2001:db8::1 --deny-ip 203.0.113.66 --rate 60/min:10 --rate day=5000/day --plan free --quota 1000/day --quota tokens=9/month --signed-only --client claude --expires-at 2099-01-31T00:00:00Z --metadata environment=production --metadata formula=a=b --inactive");
    let expected = json!({
        "name": "ci-bot",
        "description": "builds things",
        "owner": "ada",
        "status": "disabled",
        "servers": ["files", "mail"],
        "scopes": ["files:read", "models:*"],
        "networks": { "allow": ["203.0.113.0/24", "2001:db8::1"], "deny": ["203.0.113.66"] },
        "limits": [
            { "name": "default", "count": 60, "per": "minute", "burst": 10 },
            { "name": "day", "count": 5000, "per": "day" },
        ],
        "plan": "free",
        "quotas": [
            { "name": "quota", "amount": 1000, "per": "day" },
            { "name": "tokens", "amount": 9, "per": "month" },
        ],
        "signing": "required",
        "connection": { "client": "claude" },
        "server_count": 2,
        "metadata": { "environment": "production", "formula": "a=b" },
        "expires_at": "2099-01-31T00:00:00Z",
        "last_used_at": null,
        "revision": 1,
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&made[field], value, "{field}");
    }
    let key = text(&made["key"]);
    let handle = text(&made["handle"]);
    assert!(key.starts_with(&format!("mcp_sk_{handle}")));
    assert_eq!(text(&made["masked"]), format!("mcp_sk_{handle}…"));
    assert!(text(&made["id"]).starts_with("key_"));
    assert_eq!(made["created_at"], made["updated_at"]);

    let mut shown = office.json(&format!("show {handle}"));
    assert!(shown.get("key").is_none(), "{shown}");
    shown["key"] = made["key"].clone();
    for standing in ["owner_active", "rights", "quota_status"] {
        assert!(shown.as_object_mut().unwrap().remove(standing).is_some());
    }
    assert_eq!(shown, made);
}

#[test]
fn a_key_is_found_by_id_by_handle_and_as_it_is_shown() {
    let office = Office::new();
    let made = office.create("--name k");
    let masked = text(&made["masked"]);
    for name in [
        text(&made["id"]),
        text(&made["handle"]),
        masked.clone(),
        masked.trim_end_matches('…').to_owned(),
        masked.replace('…', "..."),
    ] {
        assert_eq!(
            office.json(&format!("show {name}"))["id"],
            made["id"],
            "{name}"
        );
    }
    assert!(office.text(&format!("show {masked}")).contains("active"));
}

#[test]
fn a_whole_key_on_the_command_line_is_understood_with_a_warning_and_never_repeated() {
    let office = Office::new();
    for writing in [
        "--format default",
        "--format plain --prefix mgw_",
        "--format segmented --prefix ok1 --owner ada-l",
    ] {
        let args = format!("--name k {writing}");
        let made = office.create(&args);
        let key = text(&made["key"]);
        let run = office.run(&format!("show {key}"));
        assert_eq!(run.code, 0, "{run:?}");
        assert!(run.out.contains(&text(&made["id"])), "{run:?}");
        assert!(
            run.err.contains("keys do not belong on command lines"),
            "{run:?}"
        );
        let tail = &key[key.len() - 20..];
        assert!(
            !run.out.contains(tail) && !run.err.contains(tail),
            "{run:?}"
        );

        let run = office.run(&format!("--json show {key}"));
        let warning: Value = serde_json::from_str(&run.err).unwrap();
        assert_eq!(warning["warning"]["code"], "key_on_command_line");
        assert!(!run.err.contains(tail));
    }
}

#[test]
fn a_key_pasted_into_the_wrong_place_is_not_repeated_by_the_error() {
    let office = Office::new();
    let key = text(&office.create("--name k")["key"]);
    for args in [
        &format!("show x {key}"),
        &key,
        &format!("create --name x --scope {key} --allow-ip {key}"),
        &format!("list --after {key}"),
        &format!("list --status {key}"),
        &format!("--store {key} list"),
        &format!("show {key}x"),
    ] {
        for json in [false, true] {
            let mut command = office.command(args);
            if json {
                command.arg("--json");
            }
            let run = Run::of(&command.output().unwrap());
            assert_ne!(run.code, 0, "{args:?}");
            assert!(!leaks(&key, run.err.as_bytes()), "{run:?}");
            assert_eq!(run.out, "");
        }
    }
}
