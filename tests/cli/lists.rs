//! `list`: filters, tables and pages.

use serde_json::{Value, json};

use crate::office::{Office, text};

#[test]
fn list_shows_people_a_table_and_programs_a_page() {
    let office = Office::new();
    office.create("--name one --owner ada --all-servers --scope *");
    office.create("--name two --expires-in 30d --inactive");
    let table = office.text("list");
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    for word in [
        "KEY",
        "NAME",
        "OWNER",
        "STATUS",
        "SERVERS",
        "SCOPES",
        "CREATED",
        "LAST USED",
        "EXPIRES",
    ] {
        assert!(lines[0].contains(word), "{word}: {table}");
    }
    for word in ["one", "ada", "active", "all", "*", "never", "mcp_sk_"] {
        assert!(lines[1].contains(word), "{word}: {table}");
    }
    for word in ["two", "disabled", "none"] {
        assert!(lines[2].contains(word), "{word}: {table}");
    }
    let page = office.json("list");
    assert_eq!(page["keys"].as_array().unwrap().len(), 2);
    assert_eq!(page["next"], Value::Null);
    assert_eq!(page["keys"][0]["servers"], "all");
    assert_eq!(page["keys"][0]["last_used_at"], Value::Null);
}

#[test]
fn an_empty_list_is_no_failure() {
    let office = Office::new();
    assert_eq!(office.json("list"), json!({ "keys": [], "next": null }));
    let run = office.run("list");
    assert_eq!((run.code, run.out.as_str()), (0, ""));
}

#[test]
fn list_filters_by_everything_it_offers() {
    let office = Office::new();
    office.create("--name Build-Bot --owner ada --server files");
    office.create("--name mail-bot --owner bob --server mail --inactive");
    office.create("--name root --all-servers --expires-in 3d");
    let gone = office.create("--name gone --server files");
    office.json(&format!("revoke {}", text(&gone["id"])));

    assert_eq!(office.names(""), ["Build-Bot", "mail-bot", "root"]);
    assert_eq!(
        office.names("--all"),
        ["Build-Bot", "mail-bot", "root", "gone"]
    );
    assert_eq!(office.names("--owner ada"), ["Build-Bot"]);
    assert_eq!(office.names("--server files"), ["Build-Bot", "root"]);
    assert_eq!(office.names("--status active"), ["Build-Bot", "root"]);
    assert_eq!(office.names("--status disabled"), ["mail-bot"]);
    assert_eq!(office.names("--status revoked"), ["gone"]);
    assert_eq!(office.names("--name BOT"), ["Build-Bot", "mail-bot"]);
    assert_eq!(office.names("--expires-before 4d"), ["root"]);
    assert_eq!(
        office.names("--expires-before 2099-01-01T00:00:00Z"),
        ["root"]
    );
    assert!(office.names("--expires-before 1d").is_empty());
    assert!(office.names("--owner bob --server files").is_empty());
}

#[test]
fn pages_join_without_gaps_or_repetitions() {
    let office = Office::new();
    let mut all = Vec::new();
    for number in 0..5 {
        all.push(text(&office.create(&format!("--name k{number}"))["id"]));
    }
    all.sort();
    let mut seen = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let from = after.map_or_else(String::new, |after| format!("--after {after}"));
        let page = office.json(&format!("list --limit 2 {from}"));
        let keys = page["keys"].as_array().unwrap();
        assert!((1..=2).contains(&keys.len()));
        seen.extend(keys.iter().map(|key| text(&key["id"])));
        match page["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(seen, all);
    let run = office.run("list --limit 2");
    assert_eq!(run.out.lines().count(), 3);
    assert!(run.err.contains("--after key_"), "{run:?}");
}

#[test]
fn list_filters_by_plan_age_use_and_kind() {
    let office = Office::new();
    office.create("--name old --plan free");
    office.create("--name new --owner ada --client claude");
    let created = text(&office.json("list --name new")["keys"][0]["created_at"]);
    assert_eq!(office.names("--plan free"), ["old"]);
    assert!(office.names("--plan standard").is_empty());
    assert_eq!(office.names("--connections"), ["new"]);
    assert_eq!(
        office.names(&format!("--created-before {created}")),
        ["old"]
    );
    assert!(office.names("--created-before 1h").is_empty());
    assert!(office.names("--idle-for 1h").is_empty());
    // A key that was never used is idle since it was made.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    assert_eq!(office.names("--idle-for 1s"), ["old", "new"]);
    assert_eq!(office.error(2, "list --idle-for 0d")["field"], "idle_for");
    assert_eq!(office.error(2, "list --plan 'a b'")["field"], "plan");
}
