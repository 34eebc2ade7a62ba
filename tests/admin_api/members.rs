//! O10, R1: nobody reaches further than they are.

use mcp_api_keys::NewKey;
use mcp_api_keys::key::Owner;
use serde_json::json;

use crate::support::issue;
use crate::world::{Api, clear, id};

async fn with_members() -> Api {
    let api = Api::new().await;
    let manager = api.keys.manager();
    for name in ["ada", "bob"] {
        let owner = Owner::member(name.parse().unwrap())
            .server("files".parse().unwrap())
            .scope("*".parse().unwrap());
        manager.put_owner(owner).await.unwrap();
    }
    manager
        .put_owner(Owner::admin("root".parse().unwrap()))
        .await
        .unwrap();
    api
}

const OFFICE: [&str; 4] = ["keys:*", "owners:*", "plans:*", "audit:read"];

#[tokio::test]
async fn a_member_sees_and_changes_their_own_keys_alone() {
    let api = with_members().await;
    // With every scope there is, the reach of an admin included.
    let ada = api.key_of("ada", &OFFICE).await;
    let bobs = issue(&api.keys, NewKey::named("bob's").owner("bob")).await;
    let bobs = id(&api.read(&bobs, "/me").await);
    assert_eq!(api.read(&ada, "/me").await["admin"], false);

    let list = api.read(&ada, "/keys?all=true").await;
    let owners: Vec<_> = list["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| &key["owner"])
        .collect();
    assert_eq!(owners, [&json!("ada")]);
    assert_eq!(api.read(&ada, "/keys?owner=bob").await["keys"], json!([]));
    for (method, path) in [
        ("GET", format!("/keys/{bobs}")),
        ("PATCH", format!("/keys/{bobs}")),
        ("DELETE", format!("/keys/{bobs}")),
        ("POST", format!("/keys/{bobs}/rotate")),
        ("POST", format!("/keys/{bobs}/revoke")),
        ("POST", format!("/keys/{bobs}/disable")),
        ("POST", format!("/connections/{bobs}/disconnect")),
        ("GET", format!("/audit?subject={bobs}")),
        ("GET", "/owners/bob".to_owned()),
        ("PUT", "/owners/bob".to_owned()),
        ("PUT", "/owners/eve".to_owned()),
    ] {
        let mut asking = api.ask(method, &path).key(&ada);
        match method {
            "PATCH" => asking = asking.json(&json!({ "name": "mine" })),
            "PUT" => asking = asking.json(&json!({ "role": "admin" })),
            _ => {}
        }
        let answer = asking.send().await;
        assert_eq!(
            answer.refusal(),
            (404, "not_found".to_owned()),
            "{method} {path}"
        );
    }
    for (method, path, body) in [
        ("GET", "/audit", json!(null)),
        ("GET", "/owners", json!(null)),
        ("PUT", "/owners/ada", json!({ "role": "admin" })),
        ("POST", "/owners/bob/suspend", json!(null)),
        ("DELETE", "/owners/bob", json!(null)),
        ("PUT", "/plans/free", json!({})),
        ("DELETE", "/plans/free", json!(null)),
        ("POST", "/keys", json!({ "name": "x", "owner": "bob" })),
        ("POST", "/keys", json!({ "name": "x", "servers": ["mail"] })),
        (
            "POST",
            "/keys",
            json!({ "name": "x", "scopes": ["files:read"] }),
        ),
    ] {
        let mut asking = api.ask(method, path).key(&ada);
        if !body.is_null() {
            asking = asking.json(&body);
        }
        let answer = asking.send().await;
        assert_eq!(
            answer.refusal(),
            (403, "not_allowed".to_owned()),
            "{method} {path}: {answer:?}"
        );
    }
    let hash = "sha256:a2ee9e1d381864b2da8b63a22f778178d5caaf8951143b16278825fa14990eec";
    let import = json!({ "keys": [{ "name": "x", "handle": "ATgKlpEa", "hash": hash }] });
    let imported = api.post(&ada, "/keys/import", &import).await.json();
    assert_eq!(imported["results"][0]["error"]["code"], "not_allowed");
    let sweep = json!({ "filter": { "created_before": "2100-01-01T00:00:00Z" } });
    let swept = api.post(&ada, "/keys/revoke", &sweep).await.json();
    assert_eq!(
        swept["revoked"].as_array().unwrap().len(),
        1,
        "their own: {swept}"
    );
}

#[tokio::test]
async fn an_admin_reaches_all_keys_only_by_a_key_that_says_so() {
    let api = with_members().await;
    let bobs = issue(&api.keys, NewKey::named("bob's").owner("bob")).await;
    let bobs = id(&api.read(&bobs, "/me").await);
    let plain = api.key_of("root", &["keys:read"]).await;
    assert_eq!(api.get(&plain, &format!("/keys/{bobs}")).await.status, 404);
    assert_eq!(
        api.read(&plain, "/keys").await["keys"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let office = api.key_of("root", &["keys:admin", "keys:read"]).await;
    assert_eq!(
        api.read(&office, &format!("/keys/{bobs}")).await["owner"],
        "bob"
    );
    assert_eq!(api.read(&office, "/me").await["admin"], true);
    // What makes them an admin is their role of the moment.
    let member = json!({ "role": "member", "servers": "all", "scopes": ["*"] });
    let root = api.root().await;
    let demoted = api
        .ask("PUT", "/owners/root")
        .key(&root)
        .json(&member)
        .send()
        .await;
    assert_eq!(demoted.status, 200, "{demoted:?}");
    assert_eq!(api.get(&office, &format!("/keys/{bobs}")).await.status, 404);
}

#[tokio::test]
async fn nobody_gives_more_than_the_key_they_act_by_has() {
    let api = Api::new().await;
    let office = NewKey::named("office").server("files");
    let office = ["keys:*", "owners:*", "files:read"]
        .iter()
        .fold(office, |key, scope| key.scope(scope).unwrap());
    let office = issue(&api.keys, office).await;
    let within = json!({ "name": "x", "servers": ["files"], "scopes": ["files:read"] });
    let key = api.create(&office, &within).await;
    for (body, field) in [
        (json!({ "servers": "all" }), "servers"),
        (json!({ "servers": ["files", "mail"] }), "servers"),
        (json!({ "scopes": ["*"] }), "scopes"),
        (json!({ "scopes": ["files:*"] }), "scopes"),
        (json!({ "scopes": ["plans:write"] }), "scopes"),
    ] {
        let path = format!("/keys/{}", id(&key));
        let changed = api
            .ask("PATCH", &path)
            .key(&office)
            .json(&body)
            .send()
            .await;
        assert_eq!(changed.refusal(), (403, "not_allowed".to_owned()), "{body}");
        assert_eq!(changed.json()["error"]["field"], field);
        let mut create = body.clone();
        create["name"] = json!("y");
        let created = api.post(&office, "/keys", &create).await;
        assert_eq!(created.json()["error"]["field"], field, "{body}");
        let mut owner = body.clone();
        owner["role"] = json!("admin");
        owner["servers"] = body.get("servers").cloned().unwrap_or(json!([]));
        owner["scopes"] = body.get("scopes").cloned().unwrap_or(json!([]));
        let defined = api
            .ask("PUT", "/owners/eve")
            .key(&office)
            .json(&owner)
            .send()
            .await;
        assert_eq!(defined.json()["error"]["field"], field, "{owner}");
    }
    // Whoever made a key with less does not get round it by that key.
    let lesser = json!({ "name": "lesser", "scopes": ["keys:write", "keys:admin"] });
    let lesser = clear(&api.create(&office, &lesser).await);
    let more = json!({ "name": "more", "scopes": ["keys:read"] });
    assert_eq!(api.post(&lesser, "/keys", &more).await.refusal().0, 403);
    // What an owner had from others they may keep.
    let wide = json!({ "role": "member", "servers": "all", "scopes": ["*"] });
    let root = api.root().await;
    let defined = api
        .ask("PUT", "/owners/eve")
        .key(&root)
        .json(&wide)
        .send()
        .await;
    assert_eq!(defined.status, 201, "{defined:?}");
    for act in ["suspend", "resume"] {
        let answer = api
            .ask("POST", &format!("/owners/eve/{act}"))
            .key(&office)
            .send()
            .await;
        assert_eq!(answer.status, 200, "{act}: {answer:?}");
    }
}

#[tokio::test]
async fn a_suspended_owner_is_nobody() {
    let api = with_members().await;
    let ada = api.key_of("ada", &OFFICE).await;
    assert_eq!(api.get(&ada, "/keys").await.status, 200);
    let root = api.root().await;
    let suspended = api
        .ask("POST", "/owners/ada/suspend")
        .key(&root)
        .send()
        .await;
    assert_eq!(suspended.json()["active"], false);
    assert_eq!(
        api.get(&ada, "/keys").await.refusal(),
        (401, "disabled_api_key".to_owned())
    );
}

#[tokio::test]
async fn what_an_admin_has_switched_off_no_member_switches_on() {
    let api = with_members().await;
    let root = api.root().await;
    let ada = api.key_of("ada", &OFFICE).await;
    let other = NewKey::named("ada's").owner("ada");
    let other = id(&api.read(&issue(&api.keys, other).await, "/me").await);
    let act = async |key: &str, act: &str| {
        let path = format!("/keys/{other}/{act}");
        api.ask("POST", &path).key(key).send().await
    };
    assert_eq!(act(&ada, "disable").await.json()["held"], false);
    assert_eq!(act(&ada, "enable").await.status, 200);
    assert_eq!(act(&root, "disable").await.json()["held"], true);
    let refused = act(&ada, "enable").await;
    assert_eq!(refused.refusal(), (403, "not_allowed".to_owned()));
    assert!(refused.text.contains("an admin"), "{refused:?}");
    let shown = api.read(&ada, &format!("/keys/{other}")).await;
    assert_eq!(
        (&shown["status"], &shown["held"]),
        (&json!("disabled"), &json!(true))
    );
    assert_eq!(act(&root, "enable").await.json()["held"], false);
}
