//! `connections` and `disconnect`, `default-key` and `bootstrap`.

use std::process::Stdio;

use mcp_api_keys::key::{ScopeSet, Servers};
use mcp_api_keys::{NewConnection, RefusedRenewal, Renewal};
use serde_json::{Value, json};

use crate::office::{HOME, Office, Run, admitted, ask, refused, text};

#[tokio::test]
async fn connections_are_listed_with_what_they_may_do_and_disconnected() {
    let office = Office::new();
    office.json("owner set ada --all-servers --scope *");
    office.json("owner set root --role admin");
    let made = office.create("--name desktop --owner ada --client claude --all-servers --scope *");
    office.create("--name ide --owner root --client cursor --all-servers --scope *");
    let plain = office.create("--name plain --owner ada --all-servers");
    let listed = office.json("connections");
    let seen: Vec<_> = listed["connections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let client = text(&one["connection"]["client"]);
            (client, text(&one["owner"]), text(&one["rights"]["access"]))
        })
        .collect();
    let row = |words: [&str; 3]| {
        let [client, owner, access] = words.map(str::to_owned);
        (client, owner, access)
    };
    assert_eq!(
        seen,
        [
            row(["claude", "ada", "read-only"]),
            row(["cursor", "root", "full"])
        ]
    );
    let table = office.text("connections --owner ada");
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 2, "{table}");
    for word in ["CLIENT", "OWNER", "CREATED", "LAST USED"] {
        assert!(lines[0].contains(word), "{table}");
    }
    for word in ["claude", "ada", "desktop", "read-only", "never"] {
        assert!(lines[1].contains(word), "{table}");
    }
    let id = text(&made["id"]);
    assert!(
        office
            .text(&format!("show {id}"))
            .contains("client       claude")
    );

    let keys = office.keys().await;
    let key = text(&made["key"]);
    assert_eq!(ask(keys.layer(), &key, HOME).await, admitted());
    let gone = office.json(&format!("disconnect {id}"));
    assert_eq!(
        (&gone["status"], &gone["revoked_reason"]),
        (&json!("revoked"), &json!("disconnected"))
    );
    keys.catch_up().await.unwrap();
    assert_eq!(
        ask(keys.layer(), &key, HOME).await,
        refused(401, "invalid_api_key")
    );
    assert_eq!(
        office.json("connections --owner ada"),
        json!({ "connections": [] })
    );
    let none = office.run("connections --owner ada");
    assert_eq!((none.code, none.out.as_str()), (0, ""));

    // A key that is no connection is not touched.
    let plain = text(&plain["id"]);
    assert_eq!(
        office.error(1, &format!("disconnect {plain}"))["code"],
        "not_found"
    );
    assert_eq!(office.json(&format!("show {plain}"))["status"], "active");
}

/// One that a program renews: its name, what it may do, and when it ends.
#[tokio::test]
async fn a_connection_is_listed_with_its_program_and_its_end() {
    let office = Office::new();
    office.json("owner set ada --server files --scope files:*");
    let keys = office.keys().await;
    let client = "https://assistant.example/client";
    let new = NewConnection::new("ada".parse().unwrap(), client.parse().unwrap())
        .client_name("Assistant[2J")
        .servers(Servers::All)
        .scopes(ScopeSet::parse(["*"]).unwrap());
    let tokens = keys.manager().connect(new).await.unwrap();
    let listed = office.json("connections");
    let one = &listed["connections"][0];
    let connection = json!({ "client": client, "name": "Assistant[2J" });
    assert_eq!(one["connection"], connection);
    assert_eq!(one["rights"]["servers"], json!(["files"]));
    assert_eq!(one["rights"]["scopes"], json!(["files:*"]));
    assert_eq!(one["rights"]["access"], "read-only");
    assert_ne!(one["expires_at"], Value::Null);
    assert!(one.get("grant").is_none());
    let table = office.text("connections");
    let lines: Vec<_> = table.lines().collect();
    for word in ["SERVERS", "SCOPES", "EXPIRES"] {
        assert!(lines[0].contains(word), "{table}");
    }
    for word in ["Assistant[2J", client, "files", "files:*", "read-only"] {
        assert!(lines[1].contains(word), "{table}");
    }
    let id = tokens.info().id.to_string();
    let shown = office.text(&format!("show {id}"));
    assert!(
        shown.contains("https://assistant.example/client (Assistant[2J)"),
        "{shown}"
    );
    // Nobody gets a secret without an end out of it.
    assert_eq!(office.error(1, &format!("rotate {id}"))["code"], "conflict");
    office.json(&format!("disconnect {id}"));
    keys.catch_up().await.unwrap();
    let client = client.parse().unwrap();
    let renewal = keys.manager().renew(&client, tokens.refresh_token()).await;
    let renewal = renewal.unwrap();
    assert!(matches!(renewal, Renewal::Refused(RefusedRenewal::Ended)));
    let trail = office.text("audit");
    assert!(trail.contains("connected"), "{trail}");
}

#[test]
fn a_default_key_is_made_once_however_many_ask() {
    let office = Office::new();
    let children: Vec<_> = (0..4)
        .map(|_| {
            let mut command = office.command("--json default-key files");
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    let answers: Vec<Value> = children
        .into_iter()
        .map(|child| {
            let run = Run::of(&child.wait_with_output().unwrap());
            assert_eq!(run.code, 0, "{run:?}");
            serde_json::from_str(&run.out).unwrap()
        })
        .collect();
    let made: Vec<_> = answers
        .iter()
        .filter(|answer| answer["created"] == true)
        .collect();
    assert_eq!(made.len(), 1, "{answers:?}");
    assert!(text(&made[0]["key"]).starts_with("mcp_sk_"));
    assert_eq!(made[0]["servers"], json!(["files"]));
    assert_eq!(made[0]["scopes"], json!(["*"]));
    let others = answers
        .iter()
        .filter(|answer| **answer == json!({ "created": false }));
    assert_eq!(others.count(), 3, "{answers:?}");
    assert_eq!(office.names(""), ["default key of files"]);

    let said = office.text("default-key files");
    assert!(said.contains("has had its default key before"), "{said}");
    let plain = office.text("default-key mail --format plain --prefix mgw_");
    assert!(
        plain.lines().any(|line| line.starts_with("mgw_")),
        "{plain}"
    );
    assert_eq!(office.error(2, "default-key a/b")["field"], "server");

    // Revoked for good, or made anew after it was deleted.
    let id = text(&made[0]["id"]);
    office.json(&format!("revoke {id}"));
    assert_eq!(office.json("default-key files")["created"], false);
    office.json(&format!("delete {id} --yes"));
    assert_eq!(office.json("default-key files")["created"], true);
}

#[test]
fn the_first_admin_is_made_once() {
    let office = Office::new();
    let shown = office.text("bootstrap root");
    assert!(shown.contains("shown this once"), "{shown}");
    let root = office.json("owner show root");
    assert_eq!(
        (&root["role"], &root["servers"]),
        (&json!("admin"), &json!("all"))
    );
    assert_eq!(office.json("bootstrap root"), json!({ "created": false }));
    assert_eq!(office.json("bootstrap eve"), json!({ "created": false }));
    assert_eq!(office.error(1, "owner show eve")["code"], "not_found");
    assert!(office.text("bootstrap root").contains("made before"));

    // Somebody who is known to be less is not made more in passing.
    let other = Office::new();
    other.json("owner set ada");
    assert_eq!(other.error(1, "bootstrap ada")["code"], "conflict");
    assert_eq!(other.json("owner show ada")["role"], "member");
}
