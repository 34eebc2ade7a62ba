//! Owners, plans, connections.

use mcp_api_keys::NewConnection;
use serde_json::json;

use crate::world::{Api, clear, id};

#[tokio::test]
async fn an_owner_bounds_their_keys_from_the_next_request_on() {
    let api = Api::new().await;
    let root = api.root().await;
    let key = json!({ "name": "k", "owner": "ada", "servers": "all", "scopes": ["*"] });
    let key = api.create(&root, &key).await;
    let path = format!("/keys/{}", id(&key));
    let ada = json!({ "role": "member", "servers": ["files"], "scopes": ["keys:read"] });
    let defined = api
        .ask("PUT", "/owners/ada")
        .key(&root)
        .json(&ada)
        .send()
        .await;
    assert_eq!(defined.status, 201, "{defined:?}");
    assert_eq!(
        api.read(&root, &path).await["rights"]["servers"],
        json!(["files"])
    );
    assert_eq!(
        api.read(&clear(&key), "/me").await["may"],
        json!(["keys:read"])
    );
}

#[tokio::test]
async fn owners_are_listed_by_their_ids() {
    let api = Api::new().await;
    let root = api.root().await;
    for owner in ["Zoë", "a/b", "ada", "a b?"] {
        let path: String = owner.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let body = json!({ "role": "admin" });
        let path = format!("/owners/{path}");
        let defined = api.ask("PUT", &path).key(&root).json(&body).send().await;
        assert_eq!(defined.json()["id"], owner, "{defined:?}");
        assert_eq!(api.read(&root, &path).await["scopes"], json!(["*"]));
    }
    let page = api.read(&root, "/owners?limit=3").await;
    assert_eq!(page["owners"].as_array().unwrap().len(), 3);
    assert_eq!(page["next"], "a/b");
    let rest = api.read(&root, "/owners?limit=3&after=a/b").await;
    assert_eq!(
        (&rest["owners"][0]["id"], &rest["next"]),
        (&json!("ada"), &json!(null))
    );
    let own = json!({ "name": "k", "owner": "ada" });
    api.create(&root, &own).await;
    let in_use = api.ask("DELETE", "/owners/ada").key(&root).send().await;
    assert_eq!(in_use.refusal(), (409, "conflict".to_owned()));
}

#[tokio::test]
async fn plans_are_read_by_all_and_defined_by_admins() {
    let api = Api::new().await;
    let root = api.root().await;
    let member = api.key_of("ada", &["plans:*"]).await;
    let plans = api.read(&member, "/plans").await;
    let names: Vec<_> = plans["plans"]
        .as_array()
        .unwrap()
        .iter()
        .map(|plan| &plan["name"])
        .collect();
    assert_eq!(names, ["free", "professional", "standard"]);
    let body = json!({
        "limits": [{ "count": 5, "per": "second" }, { "name": "slow", "count": 9, "per": "hour" }],
        "quotas": [{ "amount": 7, "per": "month" }],
    });
    let answer = api
        .ask("PUT", "/plans/team")
        .key(&root)
        .json(&body)
        .send()
        .await;
    let plan = answer.json();
    assert_eq!(plan["limits"][1], body["limits"][1]);
    assert_eq!(plan["built_in"], false);
    let key = api
        .create(&root, &json!({ "name": "k", "plan": "team" }))
        .await;
    let quota = &api.read(&root, &format!("/keys/{}", id(&key))).await["quota_status"][0];
    assert_eq!(quota["quota"]["amount"], 7);
    let in_use = api.ask("DELETE", "/plans/team").key(&root).send().await;
    assert_eq!(in_use.refusal().0, 409);
    let twice = json!({ "limits": [{ "count": 5, "per": "day" }, { "count": 6, "per": "day" }] });
    let twice = api
        .ask("PUT", "/plans/team")
        .key(&root)
        .json(&twice)
        .send()
        .await;
    assert_eq!(twice.json()["error"]["field"], "limits");
    assert_eq!(api.get(&root, "/plans/nothing").await.refusal().0, 404);
    assert_eq!(api.get(&root, "/plans/NOTHING").await.refusal().0, 404);
}

#[tokio::test]
async fn connections_are_listed_and_ended() {
    let api = Api::new().await;
    let root = api.root().await;
    let body = json!({ "name": "assistant", "owner": "ada", "client": "app", "servers": "all" });
    let connection = api.create(&root, &body).await;
    let key = api
        .create(&root, &json!({ "name": "key", "owner": "ada" }))
        .await;
    let list = api.read(&root, "/connections?owner=ada").await;
    let listed = list["connections"].as_array().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["connection"]["client"], "app");
    assert_eq!(listed[0]["rights"]["servers"], "all");
    let path = |key: &serde_json::Value| format!("/connections/{}/disconnect", id(key));
    assert_eq!(
        api.ask("POST", &path(&key))
            .key(&root)
            .send()
            .await
            .refusal()
            .0,
        404
    );
    let ended = api
        .ask("POST", &path(&connection))
        .key(&root)
        .send()
        .await
        .json();
    assert_eq!(ended["revoked_reason"], "disconnected");
    assert_eq!(
        api.read(&root, "/connections").await["connections"],
        json!([])
    );

    // One that its program renews is shown with the program's name and its end.
    let new = NewConnection::new(
        "ada".parse().unwrap(),
        "https://app.example".parse().unwrap(),
    );
    let manager = api.keys.manager();
    let tokens = manager.connect(new.client_name("App")).await.unwrap();
    let list = api.read(&root, "/connections").await;
    let one = &list["connections"][0];
    let program = json!({ "client": "https://app.example", "name": "App" });
    assert_eq!(one["connection"], program);
    assert!(one["expires_at"].is_string() && one.get("grant").is_none());
    let path = format!("/keys/{}", tokens.info().id);
    let handed_over = api.ask("PATCH", &path).key(&root);
    let handed_over = handed_over.json(&json!({ "owner": "bob" })).send().await;
    assert_eq!(handed_over.status, 422);
    let trail = api.read(&root, "/audit?subject=client:https://app.example");
    assert_eq!(trail.await["entries"], json!([]));
    let path = format!("/audit?subject={}", tokens.info().id);
    let trail = api.read(&root, &path).await;
    assert_eq!(trail["entries"][0]["action"], "connected");
}
