//! R: access levels, and connections.

use http::Method;
use serde_json::{Value, json};

use crate::office::text;
use crate::site::{Host, Site, admitted, notes, office_page, refused};

#[tokio::test]
async fn r1_only_account_admins_create_and_revoke() {
    let site = Site::with(&["files"]).await;
    let office = &site.office;
    let root = text(&office.json("bootstrap root")["key"]);
    office.json("owner set ada --server files --scope *");
    let ada = site.create("--name 'of ada' --owner ada --server files --scope *");
    let admins_only = |builder: mcp_api_keys::ApiKeysBuilder| builder.only_admins_change_keys(true);
    let host = Host::of(office, admins_only, office_page).await;

    // A member looks at their keys and changes nothing.
    let forbidden = refused(403, "forbidden");
    assert_eq!(host.ask(Method::GET, "/keys", &ada.key()).await, admitted());
    let wanted = json!({ "name": "k", "owner": "ada", "servers": ["files"] });
    let answer = host
        .send(Method::POST, "/keys", &ada.key(), wanted.clone())
        .await;
    assert_eq!(answer.refusal(), forbidden);
    let revoke = format!("/keys/{}/revoke", ada.id());
    assert_eq!(host.ask(Method::POST, &revoke, &ada.key()).await, forbidden);
    let delete = format!("/keys/{}", ada.id());
    assert_eq!(
        host.ask(Method::DELETE, &delete, &ada.key()).await,
        forbidden
    );
    assert_eq!(site.ask("files", &ada.key()).await, admitted());

    // An admin does both.
    let answer = host.send(Method::POST, "/keys", &root, wanted).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let made = answer.json();
    assert_eq!(site.ask("files", &text(&made["key"])).await, admitted());
    assert_eq!(host.ask(Method::POST, &revoke, &root).await, admitted());
    site.soon("files", &ada.key(), (401, "invalid_api_key"))
        .await;

    // Who is no admin any more does neither.
    office.json("owner set root --role member");
    host.catch_up().await;
    let revoke = format!("/keys/{}/revoke", text(&made["id"]));
    assert_ne!(host.ask(Method::POST, &revoke, &root).await.0, 200);
}

#[tokio::test]
async fn r2_a_read_only_key_queries_and_reads_and_a_full_one_creates_and_updates() {
    let site = Site::with(&["files"]).await;
    let reader = site.create("--name reader --server notes --scope * --read-only");
    let writer = site.create("--name writer --server notes --scope *");
    assert_eq!(
        (&reader.0["access"], &writer.0["access"]),
        (&json!("read-only"), &json!("full"))
    );
    let host = Host::of(&site.office, |builder| builder, notes).await;
    let read = async |key: &str| host.ask(Method::GET, "/notes", key).await;
    let write = async |key: &str| host.ask(Method::POST, "/notes", key).await;
    assert_eq!(read(&reader.key()).await, admitted());
    assert_eq!(write(&reader.key()).await, refused(403, "read_only_key"));
    assert_eq!(read(&writer.key()).await, admitted());
    assert_eq!(write(&writer.key()).await, admitted());
    // The level can be changed, and holds for the next request.
    site.office
        .json(&format!("update {} --access full", reader.id()));
    site.office
        .json(&format!("update {} --access read-only", writer.id()));
    host.catch_up().await;
    assert_eq!(write(&reader.key()).await, admitted());
    assert_eq!(write(&writer.key()).await, refused(403, "read_only_key"));
}

#[tokio::test]
async fn r3_revocation_takes_effect_at_once() {
    let site = Site::with(&["files"]).await;
    let made = site.create("--name k --server files --server notes");
    let host = Host::of(&site.office, |builder| builder, notes).await;
    assert_eq!(site.ask("files", &made.key()).await, admitted());
    assert_eq!(
        host.ask(Method::GET, "/notes", &made.key()).await,
        admitted()
    );
    site.office
        .json(&format!("revoke {} --reason leaked", made.id()));
    site.soon("files", &made.key(), (401, "invalid_api_key"))
        .await;
    host.catch_up().await;
    let revoked = refused(401, "invalid_api_key");
    assert_eq!(host.ask(Method::GET, "/notes", &made.key()).await, revoked);

    // In the process that revokes, the very next request is refused.
    let made = site.create("--name k2 --server notes");
    assert_eq!(
        host.ask(Method::GET, "/notes", &made.key()).await,
        admitted()
    );
    let id = made.id().parse().unwrap();
    host.keys.manager().revoke(id, None).await.unwrap();
    assert_eq!(host.ask(Method::GET, "/notes", &made.key()).await, revoked);
}

/// The key behind the connection. The OAuth flow that makes one is not part of it.
#[tokio::test]
async fn r4_a_connection_is_capped_by_the_users_role_and_never_exceeds_its_creator() {
    let site = Site::with(&["files", "mail"]).await;
    let office = &site.office;
    office.json("owner set root --role admin");
    office.json("owner set ada --server notes --server files --scope *");
    let everything = "--all-servers --scope *";
    let members = site.create(&format!(
        "--name m --owner ada --client claude {everything}"
    ));
    let admins = site.create(&format!(
        "--name a --owner root --client claude {everything}"
    ));
    let chosen = format!("--name c --owner root --client cursor --read-only {everything}");
    let chosen = site.create(&chosen);
    let host = Host::of(
        office,
        |builder| builder,
        |keys| notes(keys).merge(office_page(keys)),
    )
    .await;
    let read_only = refused(403, "read_only_key");
    for (made, write) in [
        (&members, &read_only),
        (&admins, &admitted()),
        (&chosen, &read_only),
    ] {
        let key = made.key();
        assert_eq!(host.ask(Method::GET, "/notes", &key).await, admitted());
        assert_eq!(
            host.ask(Method::POST, "/notes", &key).await,
            *write,
            "{made:?}"
        );
    }
    // It opens what its owner may use, and not all servers because it says so.
    assert_eq!(site.ask("files", &members.key()).await, admitted());
    let elsewhere = refused(403, "server_not_allowed");
    assert_eq!(site.ask("mail", &members.key()).await, elsewhere);
    assert_eq!(site.ask("mail", &admins.key()).await, admitted());

    // Who makes one by means of a key makes none that reaches further than that key.
    let narrow = site.create("--name narrow --owner root --server files --scope *");
    let wanted = json!({ "name": "c", "owner": "root", "client": "claude", "servers": ["mail"] });
    let answer = host
        .send(Method::POST, "/keys", &narrow.key(), wanted)
        .await;
    assert_eq!(answer.refusal(), refused(403, "forbidden"));

    // The role counts as it is at present.
    office.json("owner set root --role member");
    host.catch_up().await;
    assert_eq!(
        host.ask(Method::POST, "/notes", &admins.key()).await,
        read_only
    );
    let error = office.error(2, "create --name nobodys --client claude");
    assert_eq!(error["field"], "owner");
}

#[tokio::test]
async fn r5_connections_are_listed_and_disconnecting_refuses_at_once() {
    let site = Site::with(&["files"]).await;
    let office = &site.office;
    office.json("owner set ada --server files --scope *");
    let claude = site.create("--name one --owner ada --client claude --all-servers");
    let cursor = site.create("--name two --owner ada --client cursor --all-servers");
    site.create("--name plain --owner ada --all-servers");
    let clients = || -> Vec<String> {
        let listed = office.json("connections");
        let listed = listed["connections"].as_array().unwrap().iter();
        listed
            .map(|one| text(&one["connection"]["client"]))
            .collect()
    };
    assert_eq!(clients(), ["claude", "cursor"]);
    assert_eq!(site.ask("files", &claude.key()).await, admitted());
    let gone = office.json(&format!("disconnect {}", claude.id()));
    assert_eq!(gone["status"], "revoked");
    site.soon("files", &claude.key(), (401, "invalid_api_key"))
        .await;
    assert_eq!(clients(), ["cursor"]);
    assert_eq!(site.ask("files", &cursor.key()).await, admitted());
    // For good.
    let error = office.error(1, &format!("enable {}", claude.id()));
    assert_eq!(error["code"], "conflict");
    let shown = office.json(&format!("show {}", claude.id()));
    assert_eq!(shown["revoked_reason"], "disconnected");
    assert_ne!(shown["revoked_at"], Value::Null);
}
