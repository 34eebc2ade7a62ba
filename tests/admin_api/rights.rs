//! Which scope each route asks for, read from the document.

use std::collections::BTreeSet;

use mcp_api_keys::NewKey;
use mcp_api_keys::admin::AdminApi;
use mcp_api_keys::key::Servers;
use serde_json::{Value, json};

use crate::support::{Answer, issue};
use crate::world::{Api, BASE};

/// Every operation of the document: its method, its path and the scope that it asks for.
pub(crate) fn operations() -> Vec<(String, String, Option<String>)> {
    let document: Value = serde_json::from_str(&AdminApi::document(BASE)).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let scope = operation["x-required-scope"].as_str().map(str::to_owned);
            operations.push((method.to_uppercase(), path.clone(), scope));
        }
    }
    assert!(operations.len() > 30, "{operations:?}");
    operations
}

/// Asks for something that is not there, with a body that can be read.
pub(crate) async fn ask(api: &Api, key: Option<&str>, method: &str, path: &str) -> Answer {
    let path = path
        .replace("{id}", "key_00VZwwy0Fq9zX3Uvt4pS0L")
        .replace("{handle}", "ATgKlpEa")
        .replace("{rule}", "idle")
        .replace("{name}", "nothing");
    let body = match (method, path.as_str()) {
        ("POST", "/keys") => json!({ "name": "new" }),
        ("POST", "/keys/revoke") => json!({ "filter": { "owner": "nobody" } }),
        ("POST", "/keys/import") => json!({ "keys": [] }),
        ("PUT", path) if path.starts_with("/owners") => json!({ "role": "member" }),
        ("GET" | "DELETE", _) => Value::Null,
        _ => json!({}),
    };
    let mut asking = api.ask(method, &path);
    if !body.is_null() {
        asking = asking.json(&body);
    }
    match key {
        Some(key) => asking.key(key).send().await,
        None => asking.send().await,
    }
}

#[tokio::test]
async fn nothing_but_the_document_is_open() {
    let api = Api::new().await;
    for (method, path, _) in operations() {
        let answer = ask(&api, None, &method, &path).await;
        if path == "/openapi.json" {
            assert_eq!(answer.status, 200);
            continue;
        }
        assert_eq!(
            answer.refusal(),
            (401, "missing_api_key".to_owned()),
            "{method} {path}"
        );
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        let wrong = ask(&api, Some("mcp_sk_wrong"), &method, &path).await;
        assert_eq!(
            wrong.refusal(),
            (401, "invalid_api_key".to_owned()),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn each_act_asks_for_its_scope_and_no_other() {
    let api = Api::new().await;
    let all = operations();
    let scopes: BTreeSet<String> = all
        .iter()
        .filter_map(|(_, _, scope)| scope.clone())
        .collect();
    assert_eq!(scopes.len(), 10, "{scopes:?}");
    for (method, path, scope) in all {
        let Some(scope) = scope else {
            continue;
        };
        let with = api.key_with(&["keys:admin", &scope]).await;
        let answer = ask(&api, Some(&with), &method, &path).await;
        assert!(
            ![401, 403, 500].contains(&answer.status.as_u16()),
            "{method} {path}: {answer:?}"
        );
        let others: Vec<&str> = scopes
            .iter()
            .map(String::as_str)
            .filter(|other| *other != scope)
            .collect();
        let without = api.key_with(&[&others[..], &["keys:admin"]].concat()).await;
        let answer = ask(&api, Some(&without), &method, &path).await;
        assert_eq!(
            answer.refusal(),
            (403, "insufficient_scope".to_owned()),
            "{method} {path}"
        );
        assert_eq!(answer.json()["error"]["required_scope"], scope);
        assert!(answer.header("www-authenticate").contains(&scope));
    }
}

#[tokio::test]
async fn a_star_for_one_server_is_nothing_here() {
    let api = Api::new().await;
    let star = |servers: Servers| {
        let key = NewKey::named("star").scope("*").unwrap();
        match servers {
            Servers::All => key.all_servers(),
            Servers::Only(names) => names
                .iter()
                .fold(key, |key, name| key.server(name.as_str())),
        }
    };
    let some = issue(&api.keys, star(Servers::only(["files"]).unwrap())).await;
    let all = issue(&api.keys, star(Servers::All)).await;
    for (method, path, scope) in operations() {
        if scope.is_none() {
            continue;
        }
        let answer = ask(&api, Some(&some), &method, &path).await;
        assert_eq!(
            answer.refusal(),
            (403, "insufficient_scope".to_owned()),
            "{method} {path}"
        );
        let answer = ask(&api, Some(&all), &method, &path).await;
        assert_ne!(answer.status, 403, "{method} {path}");
    }
    let default = api
        .keys
        .manager()
        .ensure_default_key("mail")
        .await
        .unwrap()
        .unwrap();
    let answer = api.get(default.key().expose_secret(), "/keys").await;
    assert_eq!(
        answer.refusal().0,
        403,
        "the default key of a server is none of the office"
    );
}

#[tokio::test]
async fn a_read_only_key_reads() {
    let api = Api::new().await;
    let reader = NewKey::named("reader")
        .all_servers()
        .scope("*")
        .unwrap()
        .read_only();
    let reader = issue(&api.keys, reader).await;
    for (method, path, scope) in operations() {
        if path == "/openapi.json" || path == "/me/revoke" {
            continue;
        }
        let answer = ask(&api, Some(&reader), &method, &path).await;
        let changes = method != "GET";
        assert_eq!(
            answer.status == 403,
            changes,
            "{method} {path} {scope:?}: {answer:?}"
        );
        if changes {
            assert_eq!(answer.refusal().1, "read_only_key");
        }
    }
}

#[tokio::test]
async fn a_key_of_nobody_needs_the_reach_of_an_admin() {
    let api = Api::new().await;
    let nobody = api
        .key_with(&["keys:read", "keys:write", "audit:read"])
        .await;
    for path in ["/keys", "/audit", "/safety"] {
        let answer = api.get(&nobody, path).await;
        assert_eq!(
            answer.json()["error"]["required_scope"],
            "keys:admin",
            "{path}"
        );
    }
    assert_eq!(api.read(&nobody, "/me").await["admin"], false);
}
