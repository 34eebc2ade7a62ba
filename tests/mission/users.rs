//! O: keys of users.

use http::Method;
use mcp_api_keys::KeyFormat;
use serde_json::{Value, json};

use crate::office::{leaks, text, time};
use crate::site::{Host, Site, admitted, office_page, refused};

#[tokio::test]
async fn o1_a_key_belongs_to_one_user() {
    let site = Site::with(&["files"]).await;
    let made = site.create("--name laptop --owner ada --all-servers");
    site.create("--name other --owner bob --all-servers");
    assert_eq!(made.0["owner"], "ada");
    assert_eq!(site.office.names("--owner ada"), ["laptop"]);
    let answer = site.get("/files/mcp", &made.key()).await.json();
    assert_eq!(answer["headers"]["x-mcp-key-owner"], "ada");
    let identity = site.get("/me", &made.key()).await.json();
    assert_eq!(identity["owner"], "ada");
    let two = site
        .office
        .error(2, "create --name k --owner ada --owner bob");
    assert_eq!(two["code"], "usage");
}

#[tokio::test]
async fn o2_a_key_opens_chosen_servers_or_all_including_those_the_user_gains_later() {
    let site = Site::with(&["files", "mail"]).await;
    site.office.json("owner set ada --server files --scope *");
    let chosen = site.create("--name chosen --owner ada --server files");
    let all = site.create("--name all --owner ada --all-servers");
    let elsewhere = refused(403, "server_not_allowed");
    for made in [&chosen, &all] {
        assert_eq!(site.ask("files", &made.key()).await, admitted());
        assert_eq!(site.ask("mail", &made.key()).await, elsewhere);
    }
    // The user gains a server while the keys are in use.
    site.office
        .json("owner set ada --server files --server mail");
    site.soon("mail", &all.key(), (200, "")).await;
    assert_eq!(site.ask("files", &all.key()).await, admitted());
    assert_eq!(site.ask("mail", &chosen.key()).await, elsewhere);
}

#[tokio::test]
async fn o3_the_expiry_is_optional_and_without_one_the_key_is_valid_until_deleted() {
    let site = Site::with(&["files"]).await;
    let endless = site.create("--name endless --owner ada --all-servers");
    assert_eq!(endless.0["expires_at"], Value::Null);
    let later = site.create("--name later --owner ada --all-servers --expires-in 1h");
    let dated = site.create("--name dated --owner ada --all-servers --expires-in 1s");
    assert!(dated.0["expires_at"].is_string());
    assert_eq!(site.ask("files", &later.key()).await, admitted());
    site.soon("files", &dated.key(), (401, "expired_api_key"))
        .await;
    assert_eq!(site.ask("files", &endless.key()).await, admitted());
    site.office.json(&format!("delete {} --yes", endless.id()));
    site.soon("files", &endless.key(), (401, "invalid_api_key"))
        .await;
}

#[tokio::test]
async fn o4_a_key_opens_the_mcp_endpoints_and_one_that_tells_who_it_is_and_no_other() {
    let site = Site::with(&["files"]).await;
    let made = site.create("--name k --owner ada --server files --scope *");
    let key = made.key();
    assert_eq!(site.get("/files/mcp", &key).await.status, 200);
    assert_eq!(site.get("/files/mcp/messages", &key).await.status, 200);
    let identity = site.get("/me", &key).await;
    assert_eq!(identity.status, 200);
    assert_eq!(
        (&identity.json()["id"], &identity.json()["owner"]),
        (&made.0["id"], &json!("ada"))
    );
    assert!(!leaks(&key, identity.text.as_bytes()));
    for path in [
        "/",
        "/files",
        "/files/api",
        "/files/mcpx",
        "/mcp",
        "/api/me",
        "/api/keys",
        "/keys",
        "/admin",
        "/me/keys",
    ] {
        let answer = site.get(path, &key).await;
        assert_eq!(answer.refusal(), (404, "not_found".to_owned()), "{path}");
    }
    let nobody = site.get("/me", "").await;
    assert_eq!(nobody.status, 401);
}

#[tokio::test]
async fn o5_the_format_is_ok1_user_key_secret_as_bearer() {
    let site = Site::with(&["files"]).await;
    let office = &site.office;
    let host = Host::of(
        office,
        |builder| builder.accept_format(KeyFormat::segmented("ok1").unwrap()),
        office_page,
    )
    .await;
    let made = site.create("--name k --owner ada --all-servers --format segmented --prefix ok1");
    let key = made.key();
    let parts: Vec<_> = key.split('-').collect();
    let handle = text(&made.0["handle"]);
    assert_eq!(parts[..3], ["ok1", "ada", &handle]);
    assert_eq!((parts.len(), parts[3].len()), (4, 32));
    assert!(parts[3].bytes().all(|b| b.is_ascii_alphanumeric()));
    assert_eq!(host.ask(Method::GET, "/keys", &key).await, admitted());
    // Every part counts.
    let (first, last) = (&parts[3][..1], &parts[3][1..]);
    let other = if first == "a" { "b" } else { "a" };
    for wrong in [
        format!("ok1-bob-{handle}-{}", parts[3]),
        format!("ok2-ada-{handle}-{}", parts[3]),
        format!("ok1-ada-AAAAAAAA-{}", parts[3]),
        format!("ok1-ada-{handle}-{other}{last}"),
    ] {
        let answer = host.ask(Method::GET, "/keys", &wrong).await;
        assert_eq!(answer, refused(401, "invalid_api_key"), "{wrong}");
    }
}

#[tokio::test]
async fn o6_a_name_is_required_a_description_optional_and_the_key_is_shown_once() {
    let site = Site::with(&["files"]).await;
    let error = site
        .office
        .error(2, "create --owner ada --description 'no name'");
    assert!(text(&error["message"]).contains("--name"), "{error}");
    let plain = site.create("--name plain --owner ada --all-servers");
    assert_eq!(plain.0["description"], Value::Null);
    let shown = site
        .office
        .text("create --name k --description laptop --owner ada --all-servers");
    let key = shown
        .lines()
        .find(|line| line.starts_with("mcp_sk_"))
        .unwrap();
    assert_eq!(shown.matches(key).count(), 1, "{shown}");
    assert!(shown.contains("laptop"), "{shown}");
    assert_eq!(site.ask("files", key).await, admitted());
    let later = site.office.text("list") + &site.office.text("--json list");
    assert!(
        later.contains("laptop") && !leaks(key, later.as_bytes()),
        "{later}"
    );
}

#[tokio::test]
async fn o7_a_listing_has_name_description_servers_created_last_used_and_expires() {
    let site = Site::with(&["files"]).await;
    let made = site.create(
        "--name k --description laptop --owner ada --server files --expires-at 2099-01-01T00:00:00Z",
    );
    site.create("--name unused --owner ada --server files");
    assert_eq!(site.ask("files", &made.key()).await, admitted());
    // Uses are written down every few seconds, and when the gateway ends.
    let office = site.close().await;
    let keys = office.json("list --owner ada")["keys"].clone();
    assert_eq!(
        (
            &keys[0]["name"],
            &keys[0]["description"],
            &keys[0]["servers"]
        ),
        (&json!("k"), &json!("laptop"), &json!(["files"]))
    );
    assert_eq!(keys[0]["created_at"], made.0["created_at"]);
    assert_eq!(keys[0]["expires_at"], "2099-01-01T00:00:00Z");
    assert!(time(&keys[0]["last_used_at"]) >= time(&keys[0]["created_at"]));
    assert_eq!(
        (&keys[1]["last_used_at"], &keys[1]["expires_at"]),
        (&Value::Null, &Value::Null)
    );
    let table = office.text("list");
    for word in [
        "NAME",
        "SERVERS",
        "CREATED",
        "LAST USED",
        "EXPIRES",
        "2099-01-01T00:00:00Z",
    ] {
        assert!(table.contains(word), "{word}: {table}");
    }
    assert_eq!(
        table.lines().nth(1).unwrap().matches("never").count(),
        0,
        "{table}"
    );
    assert_eq!(
        table.lines().nth(2).unwrap().matches("never").count(),
        2,
        "{table}"
    );
}

#[tokio::test]
async fn o8_deleting_invalidates_at_once_and_without_recovery() {
    let site = Site::with(&["files"]).await;
    let made = site.create("--name k --owner ada --all-servers");
    assert_eq!(site.ask("files", &made.key()).await, admitted());
    site.office.json(&format!("delete {} --yes", made.id()));
    site.soon("files", &made.key(), (401, "invalid_api_key"))
        .await;
    for command in ["show", "enable", "rotate", "revoke"] {
        let error = site.office.error(1, &format!("{command} {}", made.id()));
        assert_eq!(error["code"], "not_found", "{command}");
    }
    // Another of the same name is another key.
    let again = site.create("--name k --owner ada --all-servers");
    assert_ne!((again.id(), again.key()), (made.id(), made.key()));
    assert_eq!(site.ask("files", &again.key()).await, admitted());
    assert_eq!(
        site.ask("files", &made.key()).await,
        refused(401, "invalid_api_key")
    );
}

#[tokio::test]
async fn o9_access_is_the_intersection_with_the_users_current_permissions() {
    let site = Site::with(&["files", "mail"]).await;
    site.office
        .json("owner set ada --server files --server mail --scope *");
    let made = site.create("--name k --owner ada --server files --server mail");
    for server in ["files", "mail"] {
        assert_eq!(site.ask(server, &made.key()).await, admitted());
    }
    // The user loses a server while the key, which lists it, is in use.
    site.office.json("owner set ada --server files");
    site.soon("mail", &made.key(), (403, "server_not_allowed"))
        .await;
    assert_eq!(site.ask("files", &made.key()).await, admitted());
    let shown = site.office.json(&format!("show {}", made.id()));
    assert_eq!(shown["servers"], json!(["files", "mail"]));
    assert_eq!(shown["rights"]["servers"], json!(["files"]));
    // And what the key does not list, the user's gain does not give it.
    let narrow = site.create("--name narrow --owner ada --server mail");
    assert_eq!(
        site.ask("files", &narrow.key()).await,
        refused(403, "server_not_allowed")
    );
    site.office.json("owner set ada --server mail");
    site.soon("files", &made.key(), (403, "server_not_allowed"))
        .await;
    site.soon("mail", &made.key(), (200, "")).await;
    assert_eq!(site.ask("mail", &narrow.key()).await, admitted());
}

#[tokio::test]
async fn o10_admins_see_all_keys_and_can_delete_any_and_a_user_manages_only_their_own() {
    let site = Site::with(&["files"]).await;
    let office = &site.office;
    let root = office.json("bootstrap root");
    let root = text(&root["key"]);
    office.json("owner set ada --server files");
    office.json("owner set bob --server files");
    let ada = site.create("--name 'of ada' --owner ada --server files");
    let bob = site.create("--name 'of bob' --owner bob --server files");
    let host = Host::of(office, |builder| builder, office_page).await;
    let list = async |key: &str| -> Vec<(String, String)> {
        let answer = host.send(Method::GET, "/keys", key, Value::Null).await;
        let keys = answer.json();
        let keys = keys.as_array().unwrap().iter();
        keys.map(|key| (text(&key["name"]), text(&key["owner"])))
            .collect()
    };
    let pair = |name: &str, owner: &str| (name.to_owned(), owner.to_owned());
    assert_eq!(
        list(&root).await,
        [
            pair("first admin", "root"),
            pair("of ada", "ada"),
            pair("of bob", "bob")
        ]
    );
    assert_eq!(list(&ada.key()).await, [pair("of ada", "ada")]);

    // To a user, another's key does not exist.
    let bobs = format!("/keys/{}", bob.id());
    let answer = host.ask(Method::DELETE, &bobs, &ada.key()).await;
    assert_eq!(answer, refused(404, "notfound"));
    let meant_for_bob = json!({ "name": "k", "owner": "bob", "servers": [] });
    let answer = host
        .send(Method::POST, "/keys", &ada.key(), meant_for_bob)
        .await;
    assert_eq!(answer.status, 403);
    // Their own they make and delete.
    let own = json!({ "name": "second", "servers": ["files"] });
    let answer = host.send(Method::POST, "/keys", &ada.key(), own).await;
    let second = text(&answer.json()["key"]);
    assert_eq!(site.ask("files", &second).await, admitted());
    let path = format!("/keys/{}", text(&answer.json()["id"]));
    assert_eq!(
        host.ask(Method::DELETE, &path, &ada.key()).await,
        admitted()
    );
    site.soon("files", &second, (401, "invalid_api_key")).await;
    // An admin deletes any.
    assert_eq!(site.ask("files", &bob.key()).await, admitted());
    assert_eq!(host.ask(Method::DELETE, &bobs, &root).await, admitted());
    site.soon("files", &bob.key(), (401, "invalid_api_key"))
        .await;
    let table = office.text("list --all");
    assert!(
        table.contains("ada") && !table.contains("of bob"),
        "{table}"
    );
}
