//! `revoke` of all keys that are chosen.

use serde_json::{Value, json};

use crate::office::{Office, text};

fn names(keys: &Value) -> Vec<String> {
    let keys = keys.as_array().unwrap();
    keys.iter().map(|key| text(&key["name"])).collect()
}

#[test]
fn keys_are_revoked_by_owner_server_plan_and_age() {
    let office = Office::new();
    office.create("--name a1 --owner ada --server files");
    office.create("--name a2 --owner ada --server mail");
    office.create("--name b1 --owner bob --server files");
    office.create("--name b2 --owner bob --all-servers --plan free");
    office.create("--name c --plan free");

    let done = office.json("revoke --owner ada --reason left --yes");
    assert_eq!(names(&done["revoked"]), ["a1", "a2"]);
    assert_eq!(done["revoked"][0]["revoked_reason"], "left");
    assert_eq!((&done["spared"], &done["failed"]), (&json!([]), &json!([])));

    let done = office.json("revoke --server files -y");
    assert_eq!(names(&done["revoked"]), ["b1"]);
    assert_eq!(names(&done["spared"]), ["b2"]);
    assert_eq!(office.names(""), ["b2", "c"]);

    let done = office.json("revoke --plan free --owner bob --yes");
    assert_eq!(names(&done["revoked"]), ["b2"]);
    let done = office.json("revoke --plan free --created-before 1h --yes");
    assert_eq!(names(&done["revoked"]), Vec::<String>::new());
    let done = office.json("revoke --created-before 2099-01-01T00:00:00Z --yes");
    assert_eq!(names(&done["revoked"]), ["c"]);
    // Each is an act of its own.
    let trail = office.text("--json audit");
    assert_eq!(trail.matches("\"action\":\"revoked\"").count(), 5);

    office.create("--name d");
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let done = office.json("revoke --idle-for 1s --yes");
    assert_eq!(names(&done["revoked"]), ["d"]);
}

#[test]
fn people_get_a_table_and_a_sum() {
    let office = Office::new();
    let one = office.create("--name one --server files");
    office.create("--name all --all-servers --owner root");
    let run = office.run("revoke --server files --yes");
    assert_eq!(run.code, 0, "{run:?}");
    let lines: Vec<_> = run.out.lines().collect();
    assert!(lines[0].starts_with("OUTCOME"), "{run:?}");
    assert!(
        lines[1].starts_with("revoked") && lines[1].contains(&text(&one["id"])),
        "{run:?}"
    );
    assert!(
        lines[2].starts_with("spared") && lines[2].ends_with("it opens all servers"),
        "{run:?}"
    );
    assert_eq!(run.err, "1 revoked, 1 spared, 0 failed.\n");
    let none = office.run("revoke --owner nobody --yes");
    assert_eq!((none.code, none.out.as_str()), (0, ""), "{none:?}");
}

#[test]
fn nothing_is_revoked_without_a_yes_or_a_choice() {
    let office = Office::new();
    office.create("--name k --owner ada");
    for line in ["revoke --owner ada", "revoke --owner ada --json"] {
        let run = office.run(line);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{run:?}");
        assert!(run.err.contains("--yes"), "{run:?}");
    }
    for line in [
        "revoke --yes",
        "revoke k --owner ada --yes",
        "revoke --owner '' --yes",
    ] {
        assert_eq!(office.run(line).code, 2, "{line}");
    }
    let reason = "r ".repeat(300);
    let error = office.error(2, &format!("revoke --owner ada --yes --reason '{reason}'"));
    assert_eq!(error["field"], "reason");
    assert_eq!(office.names(""), ["k"]);
}

#[tokio::test]
async fn a_key_that_cannot_be_revoked_fails_alone() {
    let office = Office::new();
    office.create("--name good --owner ada");
    let stuck = office.create("--name stuck --owner ada");
    office.create("--name fine --owner ada");
    let id = text(&stuck["id"]);
    let path = office.folder.path().join("keys.db");
    let pool = sqlx::SqlitePool::connect(path.to_str().unwrap())
        .await
        .unwrap();
    let trigger = format!(
        "CREATE TRIGGER stuck BEFORE UPDATE ON api_keys WHEN old.id = '{id}'
         BEGIN SELECT RAISE(ABORT, 'this row is stuck'); END"
    );
    sqlx::query(sqlx::AssertSqlSafe(trigger))
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;

    let run = office.run("--json revoke --owner ada --yes");
    assert_eq!(run.code, 1, "{run:?}");
    let done: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(names(&done["revoked"]), ["good", "fine"]);
    assert_eq!(done["failed"][0]["id"], stuck["id"]);
    assert!(done["failed"][0]["error"]["code"].is_string(), "{run:?}");
    let run = office.run("revoke --owner ada --yes");
    assert_eq!(run.code, 1, "{run:?}");
    assert!(
        run.out.contains("failed") && run.out.contains(&id),
        "{run:?}"
    );
    assert_eq!(run.err, "0 revoked, 0 spared, 1 failed.\n");
    assert_eq!(office.names(""), ["stuck"]);
}
