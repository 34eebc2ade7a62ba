//! The life of a key.

use serde_json::json;

use crate::world::{Api, clear, id};

#[tokio::test]
async fn a_key_is_made_read_changed_and_withdrawn() {
    let api = Api::new().await;
    let root = api.root().await;
    let body = json!({
        "name": "ci-bot", "description": "builds", "owner": "ada", "servers": ["files"],
        "scopes": ["files:read"], "access": "read-only", "plan": "free",
        "mcp": { "tools": { "allow": ["read_*"] } }, "signing": "required",
        "networks": { "allow": ["127.0.0.0/8"] },
        "limits": [{ "name": "burst", "count": 5, "per": "second" }],
        "quotas": [{ "amount": 100, "per": "day" }],
        "metadata": { "environment": "test" }, "expires_in": 86_400,
    });
    let answer = api.post(&root, "/keys", &body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store");
    let made = answer.json();
    let (id, key) = (id(&made), clear(&made));
    assert!(key.starts_with("mcp_sk_"), "{key}");
    assert_eq!(answer.header("location"), format!("keys/{id}"));
    assert_eq!(answer.header("etag"), format!("\"{}\"", made["revision"]));
    for name in [
        "name",
        "description",
        "owner",
        "servers",
        "scopes",
        "access",
        "plan",
        "mcp",
        "signing",
        "limits",
        "metadata",
    ] {
        assert_eq!(made[name], body[name], "{name}");
    }

    let path = format!("/keys/{id}");
    let read = api.get(&root, &path).await;
    assert!(!read.text.contains(&key[20..28]), "shown once");
    let read = read.json();
    assert_eq!(read["rights"]["servers"], json!(["files"]));
    assert_eq!(
        read["rights"]["limits"].as_array().unwrap().len(),
        2,
        "with the plan's"
    );
    assert_eq!(read["quota_status"][0]["used"], 0);
    let handle = made["handle"].as_str().unwrap();
    assert_eq!(
        api.read(&root, &format!("/keys/by-handle/{handle}")).await["id"],
        made["id"]
    );

    let change = json!({ "name": "ci-bot-2", "owner": null, "plan": null, "expires_at": null });
    let changed = api
        .ask("PATCH", &path)
        .key(&root)
        .json(&change)
        .send()
        .await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let changed = changed.json();
    assert_eq!(changed["name"], "ci-bot-2");
    assert_eq!(changed["owner"], json!(null));
    assert_eq!(changed["scopes"], body["scopes"], "what is not named stays");

    for (act, status) in [("disable", "disabled"), ("enable", "active")] {
        let answer = api
            .ask("POST", &format!("{path}/{act}"))
            .key(&root)
            .send()
            .await;
        assert_eq!(answer.json()["status"], status);
        assert_eq!(answer.status, 200);
    }
    let grace = json!({ "grace": 3_600 });
    let rotated = api
        .post(&root, &format!("{path}/rotate"), &grace)
        .await
        .json();
    assert_ne!(clear(&rotated), key);
    assert_eq!(rotated["id"], made["id"]);
    assert_eq!(rotated["previous"]["handle"], made["handle"]);
    let ended = api
        .ask("POST", &format!("{path}/end-grace"))
        .key(&root)
        .send()
        .await;
    assert!(ended.json().get("previous").is_none());

    let reason = json!({ "reason": "left the team" });
    let revoked = api
        .post(&root, &format!("{path}/revoke"), &reason)
        .await
        .json();
    assert_eq!(revoked["status"], "revoked");
    assert_eq!(revoked["revoked_reason"], "left the team");
    let again = api
        .ask("POST", &format!("{path}/enable"))
        .key(&root)
        .send()
        .await;
    assert_eq!(again.refusal(), (409, "conflict".to_owned()));

    let trail = api
        .read(&root, &format!("/audit?subject={id}&limit=3"))
        .await;
    let acts: Vec<_> = trail["entries"].as_array().unwrap().iter().collect();
    assert_eq!(acts[0]["action"], "revoked");
    assert_eq!(acts[0]["key"], made["id"]);
    let source = acts[0]["source"].as_str().unwrap();
    assert!(source.starts_with("127.0.0.1, key "), "{source}");
    let next = &trail["next"];
    let rest = api
        .read(&root, &format!("/audit?subject={id}&before={next}"))
        .await;
    let rest = rest["entries"].as_array().unwrap();
    assert_eq!(rest.last().unwrap()["action"], "issued");

    let deleted = api.ask("DELETE", &path).key(&root).send().await;
    assert_eq!(deleted.json(), json!({ "id": id, "deleted": true }));
    assert_eq!(api.get(&root, &path).await.refusal().0, 404);
    let again = api.ask("DELETE", &path).key(&root).send().await;
    assert_eq!(again.refusal(), (404, "not_found".to_owned()));
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let api = Api::new().await;
    let root = api.root().await;
    for number in 0..5 {
        let owner = if number % 2 == 0 { "ada" } else { "bob" };
        let body = json!({ "name": format!("key {number}"), "owner": owner, "servers": ["files"] });
        api.create(&root, &body).await;
    }
    let names = |page: &serde_json::Value| -> Vec<String> {
        let keys = page["keys"].as_array().unwrap();
        keys.iter()
            .map(|key| key["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let of_ada = api
        .read(&root, "/keys?owner=ada&server=files&name=KEY&status=active")
        .await;
    // Those of one millisecond are in no particular order.
    let mut of_ada = names(&of_ada);
    of_ada.sort_unstable();
    assert_eq!(of_ada, ["key 0", "key 2", "key 4"]);
    let mut path = "/keys?limit=2".to_owned();
    let mut all = Vec::new();
    loop {
        let page = api.read(&root, &path).await;
        all.extend(names(&page));
        match page["next"].as_str() {
            Some(next) => path = format!("/keys?limit=2&after={next}"),
            None => break,
        }
    }
    assert_eq!(all.len(), 6, "{all:?}");
    for (query, count) in [
        ("created_before=2000-01-01T00:00:00Z", 0),
        ("idle_since=2000-01-01T00:00:00Z", 0),
        ("expires_before=2100-01-01T00:00:00Z", 0),
        ("connections=true", 0),
        ("connections=false&all=true", 6),
        ("plan=free", 0),
        ("status=revoked", 0),
    ] {
        let page = api.read(&root, &format!("/keys?{query}")).await;
        assert_eq!(names(&page).len(), count, "{query}");
    }
}

#[tokio::test]
async fn many_keys_are_imported_and_withdrawn() {
    let api = Api::new().await;
    let root = api.root().await;
    let hash = "sha256:a2ee9e1d381864b2da8b63a22f778178d5caaf8951143b16278825fa14990eec";
    let body = json!({ "keys": [
        { "name": "old", "owner": "ada", "handle": "ATgKlpEa", "prefix": "mcp_sk_", "hash": hash },
        { "name": "bad", "handle": "ATgKlpEb", "hash": "mcp_sk_ATgKlpEaBS64QGLizLFNWgSzNfDmYl2D0UvHLX" },
        { "name": "again", "handle": "ATgKlpEa", "prefix": "mcp_sk_", "hash": hash },
        { "name": "odd", "nothing": 1 },
    ]});
    let answer = api.post(&root, "/keys/import", &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(
        !answer.text.contains("BS64QGLi"),
        "no secret comes back: {answer:?}"
    );
    let imported = answer.json();
    assert_eq!(
        (&imported["imported"], &imported["refused"]),
        (&json!(1), &json!(3))
    );
    let codes: Vec<_> = imported["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["error"]["code"].as_str().unwrap_or("ok"))
        .collect();
    assert_eq!(codes, ["ok", "invalid_input", "conflict", "invalid_input"]);
    assert_eq!(imported["results"][1]["error"]["field"], "hash");
    let key = "mcp_sk_ATgKlpEaBS64QGLizLFNWgSzNfDmYl2D0UvHLX";
    assert_eq!(api.read(key, "/me").await["name"], "old", "it works here");

    let all = json!({ "name": "wide", "owner": "ada", "servers": "all" });
    api.create(&root, &all).await;
    let some = json!({ "name": "narrow", "owner": "ada", "servers": ["files"] });
    api.create(&root, &some).await;
    let body = json!({ "filter": { "owner": "ada", "server": "files" }, "reason": "left" });
    let withdrawn = api.post(&root, "/keys/revoke", &body).await.json();
    assert_eq!(withdrawn["revoked"][0]["name"], "narrow");
    assert_eq!(withdrawn["spared"][0]["name"], "wide");
    assert_eq!(withdrawn["failed"], json!([]));
    let nothing = api
        .post(&root, "/keys/revoke", &json!({ "filter": {} }))
        .await;
    assert_eq!(nothing.refusal(), (422, "invalid_input".to_owned()));
}
