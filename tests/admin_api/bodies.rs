//! P21: what cannot be read is refused by name, and nothing makes the API fail.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::world::Api;

#[tokio::test]
async fn what_is_wrong_with_a_body_is_said() {
    let api = Api::new().await;
    let root = api.root().await;
    for (body, status, code, field) in [
        ("", 400, "malformed_request", ""),
        ("{", 400, "malformed_request", ""),
        ("{\"name\":\"a\"} x", 400, "malformed_request", ""),
        ("\u{feff}{}", 400, "malformed_request", ""),
        ("[]", 422, "invalid_input", ""),
        (
            r#"{"name":"a","networks":[]}"#,
            422,
            "invalid_input",
            "networks",
        ),
        (
            r#"{"name":"a","mcp":{"tools":[]}}"#,
            422,
            "invalid_input",
            "tools",
        ),
        (
            r#"{"name":"a","limits":[["a",1,"day",1,null,null]]}"#,
            422,
            "invalid_input",
            "limits",
        ),
        ("null", 422, "invalid_input", ""),
        ("{}", 422, "invalid_input", "name"),
        (r#"{"name":7}"#, 422, "invalid_input", "name"),
        (r#"{"name":"a","name":"b"}"#, 422, "invalid_input", "name"),
        (r#"{"name":"a","nmae":1}"#, 422, "invalid_input", "nmae"),
        (r#"{"name":""}"#, 422, "invalid_input", "name"),
        (r#"{"name":"a\u0000"}"#, 422, "invalid_input", "name"),
        (r#"{"name":"a","owner":""}"#, 422, "invalid_input", "owner"),
        (
            r#"{"name":"a","servers":["a b"]}"#,
            422,
            "invalid_input",
            "servers",
        ),
        (
            r#"{"name":"a","servers":"some"}"#,
            422,
            "invalid_input",
            "servers",
        ),
        (
            r#"{"name":"a","scopes":["a b"]}"#,
            422,
            "invalid_input",
            "scopes[0]",
        ),
        (
            r#"{"name":"a","access":"none"}"#,
            422,
            "invalid_input",
            "access",
        ),
        (
            r#"{"name":"a","plan":"gold"}"#,
            422,
            "invalid_input",
            "plan",
        ),
        (
            r#"{"name":"a","client":"app"}"#,
            422,
            "invalid_input",
            "owner",
        ),
        (
            r#"{"name":"a","expires_in":0}"#,
            422,
            "invalid_input",
            "expires_in",
        ),
        (
            r#"{"name":"a","expires_in":-1}"#,
            422,
            "invalid_input",
            "expires_in",
        ),
        (
            r#"{"name":"a","expires_at":"2001-01-01T00:00:00Z"}"#,
            422,
            "invalid_input",
            "expires_at",
        ),
        (
            r#"{"name":"a","expires_at":"soon"}"#,
            422,
            "invalid_input",
            "expires_at",
        ),
        (
            r#"{"name":"a","expires_in":9,"expires_at":"2091-01-01T00:00:00Z"}"#,
            422,
            "invalid_input",
            "expires_in",
        ),
        (
            r#"{"name":"a","limits":[{"count":0,"per":"day"}]}"#,
            422,
            "invalid_input",
            "limits",
        ),
        (
            r#"{"name":"a","limits":[{"count":1,"per":"year"}]}"#,
            422,
            "invalid_input",
            "limits[0].per",
        ),
        (
            r#"{"name":"a","networks":{"alow":[]}}"#,
            422,
            "invalid_input",
            "networks.alow",
        ),
        (
            r#"{"name":"a","networks":{"allow":["10.0.0.1/8"]}}"#,
            422,
            "invalid_input",
            "networks.allow[0]",
        ),
        (
            r#"{"name":"a","metadata":{"":"x"}}"#,
            422,
            "invalid_input",
            "metadata",
        ),
    ] {
        let asking = api.ask("POST", "/keys").key(&root);
        let asking = asking.header("content-type", "application/json; charset=utf-8");
        let answer = asking.body(body).send().await;
        assert_eq!(
            answer.refusal(),
            (status, code.to_owned()),
            "{body}: {answer:?}"
        );
        let error = &answer.json()["error"];
        assert_eq!(
            error["field"].as_str().unwrap_or(""),
            field,
            "{body}: {answer:?}"
        );
        assert!(!error["message"].as_str().unwrap().is_empty());
        assert_eq!(error["type"], "invalid_request_error");
    }
    assert_eq!(
        api.read(&root, "/keys").await["keys"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_body_is_plain_json_and_says_so() {
    let api = Api::new().await;
    let root = api.root().await;
    let body = r#"{"name":"a"}"#;
    for kind in [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/jsonp",
    ] {
        let mut asking = api.ask("POST", "/keys").key(&root).body(body);
        if !kind.is_empty() {
            asking = asking.header("content-type", kind);
        }
        let answer = asking.send().await;
        assert_eq!(
            answer.refusal(),
            (415, "unsupported_media_type".to_owned()),
            "{kind}"
        );
    }
    for (name, value) in [("content-encoding", "gzip"), ("content-type", "text/plain")] {
        let asking = api
            .ask("POST", "/keys")
            .key(&root)
            .json(&json!({ "name": "a" }));
        let answer = asking.header(name, value).send().await;
        assert_eq!(answer.refusal().0, 415, "{name}: {value}");
    }
    let large = format!(r#"{{"name":"{}"}}"#, "a".repeat(1 << 20));
    let asking = api
        .ask("POST", "/keys")
        .key(&root)
        .header("content-type", "application/json");
    let answer = asking.body(large.clone()).send().await;
    assert_eq!(answer.refusal(), (413, "body_too_large".to_owned()));
    // An import may be larger.
    let asking = api
        .ask("POST", "/keys/import")
        .key(&root)
        .header("content-type", "application/json");
    let answer = asking.body(format!(r#"{{"keys":[{large}]}}"#)).send().await;
    assert_eq!(answer.json()["refused"], 1);
}

#[tokio::test]
async fn what_is_wrong_with_a_query_is_said() {
    let api = Api::new().await;
    let root = api.root().await;
    for (path, field) in [
        ("/keys?limit=0", "limit"),
        ("/keys?limit=1001", "limit"),
        ("/keys?limit=x", "limit"),
        ("/keys?limit=1&limit=2", "limit"),
        ("/keys?owner=", "owner"),
        ("/keys?status=gone", "status"),
        ("/keys?after=7", "after"),
        ("/keys?created_before=yesterday", "created_before"),
        ("/keys?nothing=1", "nothing"),
        ("/audit?before=x", "before"),
        ("/audit?subject=file:x", "subject"),
        ("/safety?idle_for=x", "idle_for"),
        ("/safety?idle_for=0", "idle_for"),
        ("/owners?after=", "after"),
        ("/usage?step=year", "step"),
    ] {
        let answer = api.get(&root, path).await;
        assert_eq!(
            answer.refusal(),
            (400, "malformed_request".to_owned()),
            "{path}"
        );
        let told = answer.json();
        let message = told["error"]["message"].as_str().unwrap();
        assert!(message.contains(field), "{path}: {message}");
    }
    let series = api.get(&root, "/usage?from=2000-01-01T00:00:00Z").await;
    assert_eq!(
        series.refusal(),
        (422, "invalid_input".to_owned()),
        "too long a series"
    );
}

#[tokio::test]
async fn no_fault_repeats_what_may_be_a_secret() {
    let api = Api::new().await;
    let root = api.root().await;
    let key = "mcp_sk_ATgKlpEaBS64QGLizLFNWgSzNfDmYl2D0UvHLX";
    for asking in [
        api.ask("POST", "/keys")
            .json(&json!({ "name": "a", key: 1 })),
        api.ask("POST", "/keys")
            .json(&json!({ "name": "a", "access": key })),
        api.ask("POST", "/keys")
            .json(&json!({ "name": "a", "plan": key })),
        api.ask("POST", "/keys")
            .json(&json!({ "name": "a", "limits": key })),
        api.ask("POST", "/keys/revoke")
            .json(&json!({ "filter": { key: key } })),
        api.ask("PUT", "/owners/ada").json(&json!({ "role": key })),
        api.ask("GET", &format!("/keys?status={key}")),
        api.ask("GET", &format!("/keys?{key}=1")),
        api.ask("GET", &format!("/keys/{key}")),
        api.ask("GET", &format!("/audit?subject={key}")),
    ] {
        let answer = asking.key(&root).send().await;
        assert!(answer.status.is_client_error(), "{answer:?}");
        for at in 8..key.len() - 15 {
            let run = &key[at + 7..at + 15];
            assert!(!answer.text.contains(run), "{run}: {answer:?}");
        }
    }
}

/// Values of every kind, and bodies with the names that the API knows.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop_oneof![
            Just("all"),
            Just("*"),
            Just("files:*"),
            Just("10.0.0.0/8"),
            Just("full"),
            Just("minute"),
            Just("ada"),
            Just("free"),
            Just("2030-01-01T00:00:00Z"),
            Just("key_00VZwwy0Fq9zX3Uvt4pS0L"),
            Just("member"),
            Just("admin"),
        ]
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let name = prop_oneof![
            Just("name"),
            Just("owner"),
            Just("servers"),
            Just("scopes"),
            Just("access"),
            Just("mcp"),
            Just("tools"),
            Just("allow"),
            Just("deny"),
            Just("networks"),
            Just("plan"),
            Just("limits"),
            Just("quotas"),
            Just("count"),
            Just("amount"),
            Just("per"),
            Just("burst"),
            Just("metadata"),
            Just("expires_at"),
            Just("expires_in"),
            Just("client"),
            Just("keys"),
            Just("filter"),
            Just("reason"),
            Just("role"),
            Just("active"),
            Just("grace"),
            Just("handle"),
            Just("hash"),
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(name.prop_map(str::to_owned), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

#[test]
fn p21_no_body_and_no_query_makes_the_api_fail() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (api, root, id) = runtime.block_on(async {
        let api = Api::new().await;
        let root = api.root().await;
        let key = api.create(&root, &json!({ "name": "k" })).await;
        (api, root, crate::world::id(&key))
    });
    let bodies = [
        ("POST", "/keys".to_owned()),
        ("PATCH", format!("/keys/{id}")),
        ("POST", format!("/keys/{id}/rotate")),
        ("POST", "/keys/import".to_owned()),
        ("POST", "/keys/revoke".to_owned()),
        ("PUT", "/owners/eve".to_owned()),
        ("PUT", "/plans/team".to_owned()),
    ];
    let queries = [
        "/keys",
        "/audit",
        "/connections",
        "/safety",
        "/owners",
        "/usage",
        "/me/keys",
    ];
    let mut runner = TestRunner::new(Config::with_cases(300));
    let places = (
        values(),
        0..bodies.len(),
        0..queries.len(),
        "[ -~]{0,40}",
        any::<bool>(),
    );
    let outcome = runner.run(&places, |(body, place, list, query, cut)| {
        let (method, path) = &bodies[place];
        let mut text = body.to_string().into_bytes();
        if cut {
            text.truncate(text.len() / 2);
        }
        let answers = runtime.block_on(async {
            let asking = api.ask(method, path).key(&root);
            let asked = asking
                .header("content-type", "application/json")
                .body(text)
                .send()
                .await;
            let query: String = query
                .bytes()
                .map(|byte| match byte {
                    b'a'..=b'z' | b'=' | b'&' | b'_' | b'0'..=b'9' => char::from(byte).to_string(),
                    other => format!("%{other:02X}"),
                })
                .collect();
            let path = format!("{}?{query}", queries[list]);
            [asked, api.get(&root, &path).await]
        });
        for answer in answers {
            let status = answer.status.as_u16();
            prop_assert!(status < 500, "{answer:?}");
            if status >= 400 {
                let body: Value = serde_json::from_str(&answer.text).unwrap();
                prop_assert!(body["error"]["code"].is_string(), "{answer:?}");
            }
        }
        Ok(())
    });
    outcome.unwrap();
}
