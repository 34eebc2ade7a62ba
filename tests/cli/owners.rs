//! `owner`: what owners may do.

use serde_json::{Value, json};

use crate::office::{HOME, Office, admitted, ask, refused, text};

#[test]
fn an_owner_is_made_and_then_changed_in_what_is_named() {
    let office = Office::new();
    let steps: [(&str, Value); 11] = [
        (
            "--server files",
            json!({ "role": "member", "active": true, "servers": ["files"], "scopes": [], "access": "full" }),
        ),
        (
            "--server mail --server web",
            json!({ "servers": ["mail", "web"] }),
        ),
        ("--scope files:*", json!({ "scopes": ["files:*"] })),
        ("--read-only", json!({ "access": "read-only" })),
        ("--access full", json!({ "access": "full" })),
        ("--all-servers", json!({ "servers": "all" })),
        ("--no-servers", json!({ "servers": [] })),
        ("--no-scopes", json!({ "scopes": [] })),
        ("--role admin", json!({ "role": "admin" })),
        ("--access read-only", json!({ "access": "read-only" })),
        (
            "--role member --server a --scope b:c",
            json!({ "role": "member", "servers": ["a"], "scopes": ["b:c"] }),
        ),
    ];
    let mut before = json!({ "id": "ada" });
    for (options, expected) in steps {
        let after = office.json(&format!("owner set ada {options}"));
        for (field, value) in before.as_object().unwrap() {
            if field != "revision" {
                let expected = expected.get(field).unwrap_or(value);
                assert_eq!(&after[field], expected, "{options}: {field}");
            }
        }
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&after[field], value, "{options}: {field}");
        }
        assert_eq!(office.json("owner show ada"), after);
        before = after;
    }
    // What is so already is not written again.
    let again = office.json("owner set ada --role member");
    assert_eq!(again, before);
    let trail = office.text("--json audit --key owner:ada");
    assert_eq!(trail.lines().count(), 11);
}

#[test]
fn an_admin_is_made_with_everything_and_a_member_with_nothing() {
    let office = Office::new();
    let root = office.json("owner set root --role admin");
    assert_eq!(
        (&root["servers"], &root["scopes"], &root["access"]),
        (&json!("all"), &json!(["*"]), &json!("full"))
    );
    let ada = office.json("owner set ada");
    assert_eq!(
        (&ada["role"], &ada["servers"], &ada["scopes"]),
        (&json!("member"), &json!([]), &json!([]))
    );
    let narrow = office.json("owner set helper --role admin --server files --read-only");
    assert_eq!(
        (&narrow["role"], &narrow["servers"], &narrow["access"]),
        (&json!("admin"), &json!(["files"]), &json!("read-only"))
    );
}

#[test]
fn owners_are_listed_for_people_and_for_programs() {
    let office = Office::new();
    let empty = office.run("owner list");
    assert_eq!((empty.code, empty.out.as_str()), (0, ""));
    assert_eq!(
        office.json("owner list"),
        json!({ "owners": [], "next": null })
    );
    for id in ["carol", "ada", "bob"] {
        office.json(&format!("owner set {id} --server files"));
    }
    office.json("owner suspend bob");
    let table = office.text("owner list");
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("OWNER"), "{table}");
    assert!(
        lines[1].starts_with("ada") && lines[1].contains("member"),
        "{table}"
    );
    assert!(lines[2].contains("suspended"), "{table}");
    assert_eq!(office.text("owner show bob").lines().nth(1), Some(lines[2]));

    let ids = |page: &Value| -> Vec<String> {
        let owners = page["owners"].as_array().unwrap();
        owners.iter().map(|owner| text(&owner["id"])).collect()
    };
    let first = office.json("owner list --limit 2");
    assert_eq!(ids(&first), ["ada", "bob"]);
    assert_eq!(first["next"], "bob");
    let rest = office.json("owner list --limit 2 --after bob");
    assert_eq!(ids(&rest), ["carol"]);
    assert_eq!(rest["next"], Value::Null);
    assert_eq!(office.json("owner list --limit 3")["next"], Value::Null);
}

#[tokio::test]
async fn a_suspended_owners_keys_do_not_work_until_they_are_resumed() {
    let office = Office::new();
    office.json("owner set ada --all-servers --scope *");
    let made = office.create("--name k --owner ada --all-servers");
    let id = text(&made["id"]);
    let keys = office.keys().await;
    let key = text(&made["key"]);
    assert_eq!(ask(keys.layer(), &key, HOME).await, admitted());

    assert_eq!(office.json("owner suspend ada")["active"], false);
    keys.catch_up().await.unwrap();
    assert_eq!(
        ask(keys.layer(), &key, HOME).await,
        refused(401, "disabled_api_key")
    );
    assert_eq!(office.json(&format!("show {id}"))["owner_active"], false);
    let shown = office.text(&format!("show {id}"));
    assert!(shown.contains("suspended: the key is refused"), "{shown}");
    assert!(
        office
            .text("owner suspend ada")
            .contains("ada is suspended")
    );

    assert!(office.text("owner resume ada").contains("ada is resumed"));
    keys.catch_up().await.unwrap();
    assert_eq!(ask(keys.layer(), &key, HOME).await, admitted());
    assert_eq!(office.json(&format!("show {id}"))["owner_active"], true);
}

#[test]
fn an_owner_with_a_key_cannot_be_removed_and_one_without_can() {
    let office = Office::new();
    office.json("owner set ada --server files");
    let made = office.create("--name k --owner ada");
    let error = office.error(1, "owner remove ada");
    assert_eq!(error["code"], "conflict");
    office.json(&format!("revoke {}", text(&made["id"])));
    let gone = office.json("owner remove ada");
    assert_eq!(gone, json!({ "id": "ada", "removed": true }));
    for command in ["show", "suspend", "resume", "remove"] {
        let error = office.error(1, &format!("owner {command} ada"));
        assert_eq!(error["code"], "not_found", "{command}");
    }
    office.json("owner set ada");
    assert_eq!(office.text("owner remove ada"), "ada is removed.\n");
}

#[test]
fn the_trail_of_an_owner_tells_who_changed_what() {
    let office = Office::new();
    office.json("owner set ada --server files --actor eve");
    office.json("owner set ada --server mail --read-only");
    office.json("owner suspend ada");
    office.json("owner remove ada");
    let table = office.text("audit --key owner:ada");
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 5, "{table}");
    for (line, action, changed) in [
        (lines[4], "defined", "-"),
        (lines[3], "defined", "access, servers"),
        (lines[2], "defined", "active"),
        (lines[1], "deleted", "-"),
    ] {
        assert!(line.contains(action), "{line}");
        assert!(
            line.contains("  -  ") && line.contains("owner:ada"),
            "{line}"
        );
        assert!(line.ends_with(&format!("  {changed}")), "{line}");
    }
    assert!(lines[4].contains("eve") && lines[3].contains("cli:ada"));
    let newest: Value = serde_json::from_str(
        office
            .text("--json audit --key owner:ada --limit 1")
            .trim_end(),
    )
    .unwrap();
    assert_eq!(
        (&newest["key"], &newest["subject"], &newest["action"]),
        (&Value::Null, &json!("owner:ada"), &json!("deleted"))
    );
    assert_eq!(newest["before"]["servers"], json!(["mail"]));
}

#[test]
fn what_is_wrong_with_an_owner_is_named() {
    let office = Office::new();
    for (options, field) in [
        ("ada --role king", "role"),
        ("ada --server a/b", "servers"),
        ("ada --scope a::b", "scopes"),
        ("ada --access some", "access"),
        ("''", "id"),
    ] {
        let error = office.error(2, &format!("owner set {options}"));
        assert_eq!(error["field"], field, "{options}: {error}");
    }
    assert_eq!(
        office.json("owner list"),
        json!({ "owners": [], "next": null })
    );
}
