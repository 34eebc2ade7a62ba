//! Pages of other sites, and what browsers are told.

use crate::world::Api;

#[tokio::test]
async fn pages_of_others_are_refused_whatever_they_carry() {
    let api = Api::new().await;
    let root = api.root().await;
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://evil.test"),
        ("origin", "null"),
        ("origin", "http://127.0.0.1:1"),
    ] {
        for path in ["/keys", "/me", "/openapi.json", "/nothing"] {
            let asking = api.ask("GET", path).key(&root).header(name, value);
            let answer = asking.send().await;
            assert_eq!(
                answer.refusal(),
                (403, "cross_origin".to_owned()),
                "{path} {value}"
            );
        }
        let create = api.ask("POST", "/keys").key(&root).header(name, value);
        let create = create
            .json(&serde_json::json!({ "name": "x" }))
            .send()
            .await;
        assert_eq!(create.refusal().0, 403);
    }
    assert_eq!(
        api.read(&root, "/keys").await["keys"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    for (name, value) in [
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-site", "none"),
        ("origin", "https://admin.test"),
    ] {
        let answer = api
            .ask("GET", "/me")
            .key(&root)
            .header(name, value)
            .send()
            .await;
        assert_eq!(answer.status, 200, "{value}");
    }
}

#[tokio::test]
async fn a_cookie_or_a_query_is_no_key() {
    let api = Api::new().await;
    let root = api.root().await;
    for name in [
        "key",
        "session",
        "__Host-session",
        "mcp_keys_session",
        "x-api-key",
    ] {
        let cookie = api
            .ask("GET", "/keys")
            .header("cookie", &format!("{name}={root}"));
        let answer = cookie.send().await;
        assert_eq!(
            answer.refusal(),
            (401, "missing_api_key".to_owned()),
            "{name}"
        );
    }
    let query = api
        .ask("GET", &format!("/keys?api_key={root}"))
        .send()
        .await;
    assert_eq!(query.refusal(), (401, "missing_api_key".to_owned()));
    let two = api
        .ask("GET", "/keys")
        .key(&root)
        .header("x-api-key", &root)
        .send()
        .await;
    assert_eq!(two.refusal(), (400, "ambiguous_credentials".to_owned()));
}

#[tokio::test]
async fn no_answer_is_kept_guessed_or_framed() {
    let api = Api::new().await;
    let root = api.root().await;
    for asking in [
        api.ask("GET", "/keys").key(&root),
        api.ask("GET", "/keys"),
        api.ask("GET", "/nothing").key(&root),
        api.ask("PUT", "/keys").key(&root),
        api.ask("GET", "/openapi.json"),
        api.ask("GET", "/keys")
            .header("origin", "https://evil.test"),
    ] {
        let answer = asking.send().await;
        assert_eq!(answer.header("cache-control"), "no-store", "{answer:?}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(
            answer
                .header("content-security-policy")
                .contains("frame-ancestors 'none'")
        );
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
}

/// Refusals are in the one shape, also for those who would read another.
#[tokio::test]
async fn there_is_one_shape() {
    let api = Api::new().await;
    let asking = api.ask("POST", "/keys");
    let asking = asking.header("accept", "application/json, text/event-stream");
    let answer = asking
        .header("mcp-protocol-version", "2025-06-18")
        .send()
        .await;
    assert_eq!(
        answer.json()["error"]["type"],
        "authentication_error",
        "{answer:?}"
    );
    assert!(answer.json().get("jsonrpc").is_none());
}
