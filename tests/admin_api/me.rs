//! What a key may ask about itself.

use mcp_api_keys::NewKey;
use mcp_api_keys::key::Owner;
use serde_json::json;

use crate::support::issue;
use crate::world::{Api, clear};

#[tokio::test]
async fn any_key_is_told_who_it_is_and_nothing_more() {
    let api = Api::new().await;
    let key = issue(
        &api.keys,
        NewKey::named("plain").owner("ada").server("files"),
    )
    .await;
    let me = api.read(&key, "/me").await;
    assert_eq!(
        (&me["name"], &me["owner"]),
        (&json!("plain"), &json!("ada"))
    );
    assert_eq!((&me["may"], &me["admin"]), (&json!([]), &json!(false)));
    assert_eq!(
        api.get(&key, "/me/keys").await.refusal().1,
        "insufficient_scope"
    );
    let header = api.ask("GET", "/me").header("x-api-key", &key).send().await;
    assert_eq!(header.json()["carrier"], "header");
}

#[tokio::test]
async fn my_keys_are_my_owners() {
    let api = Api::new().await;
    let manager = api.keys.manager();
    manager
        .put_owner(Owner::admin("root".parse().unwrap()))
        .await
        .unwrap();
    let admin = api.key_of("root", &["keys:*"]).await;
    let _ = api.key_of("ada", &[]).await;
    let mine = api.read(&admin, "/me/keys").await;
    assert_eq!(mine["keys"].as_array().unwrap().len(), 1);
    assert_eq!(
        api.read(&admin, "/me/keys?owner=ada").await["keys"],
        json!([])
    );
    let nobody = api.key_with(&["keys:*"]).await;
    assert_eq!(api.read(&nobody, "/me/keys").await["keys"], json!([]));
}

#[tokio::test]
async fn a_key_rotates_itself_but_not_by_an_old_secret() {
    let api = Api::new().await;
    let manager = api.keys.manager();
    let files = Owner::member("ada".parse().unwrap()).server("files".parse().unwrap());
    manager.put_owner(files).await.unwrap();
    // It says more than its owner leaves of it.
    let old = issue(&api.keys, NewKey::named("mine").owner("ada").all_servers()).await;
    let rotated = api.post(&old, "/me/rotate", &json!({ "grace": 600 })).await;
    assert_eq!(rotated.status, 200, "{rotated:?}");
    let new = clear(&rotated.json());
    assert_eq!(api.get(&old, "/me").await.status, 200, "within its window");
    let again = api.ask("POST", "/me/rotate").key(&old).send().await;
    assert_eq!(again.refusal(), (403, "not_allowed".to_owned()));
    let newer = api.ask("POST", "/me/rotate").key(&new).send().await;
    let newer = clear(&newer.json());
    assert_eq!(
        api.get(&old, "/me").await.refusal(),
        (401, "invalid_api_key".to_owned())
    );
    assert_eq!(api.get(&newer, "/me").await.status, 200);
}

#[tokio::test]
async fn an_old_secret_does_not_rotate_its_key_by_another_way() {
    let api = Api::new().await;
    let old = api.root().await;
    let me = api.read(&old, "/me").await;
    let path = format!("/keys/{}/rotate", me["id"].as_str().unwrap());
    let new = api
        .post(&old, &path, &json!({ "grace_from_first_use": 600 }))
        .await;
    assert_eq!(new.status, 200, "{new:?}");
    assert_eq!(
        api.ask("POST", &path).key(&old).send().await.refusal().0,
        403
    );
}

#[tokio::test]
async fn whoever_holds_a_key_may_end_it() {
    let api = Api::new().await;
    let reader = issue(&api.keys, NewKey::named("reader").owner("ada").read_only()).await;
    let rotate = api.ask("POST", "/me/rotate").key(&reader).send().await;
    assert_eq!(rotate.refusal(), (403, "read_only_key".to_owned()));
    let revoked = api
        .post(&reader, "/me/revoke", &json!({ "reason": "leaked" }))
        .await;
    assert_eq!(revoked.json()["status"], "revoked");
    assert_eq!(
        api.get(&reader, "/me").await.refusal(),
        (401, "invalid_api_key".to_owned())
    );
}
