//! How callers are told, and what is never refused.

use std::time::Duration;

use http::Request;
use mcp_api_keys::layer::{DenialStyle, SignedRequestLayer};
use mcp_api_keys::signing::{MemoryReplayGuard, Signer};
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::{ApiKeys, Clock, NewKey, RateLimit, SystemClock};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{bearer, issue, light, serve, soon};
use crate::world::{
    House, Log, Mode, call, cancelled, careless, layer, list, messages, only, ping, response,
    with_body,
};

#[tokio::test]
async fn a_denied_call_is_an_answer_that_names_the_reason() {
    let house = House::new(Mode::Json).await;
    let (notes, reader) = (house.notes_key().await, house.reader().await);
    for (key, tool, code, says) in [
        (
            &notes,
            "shell",
            "tool_not_allowed",
            "Tool shell is not permitted for this key",
        ),
        (
            &reader,
            "write_note",
            "read_only_key",
            "This key may only read, and tool write_note may do more",
        ),
    ] {
        let answer = house.say(key, call(tool)).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.header("cache-control"), "no-store");
        let body = answer.json();
        assert_eq!((&body["id"], &body["jsonrpc"]), (&json!(2), &json!("2.0")));
        assert_eq!(body["error"]["code"], -31_003);
        assert_eq!(body["error"]["message"], says);
        assert_eq!(body["error"]["data"]["code"], code);
        // What the key may do instead is nobody's business.
        assert!(
            !answer.text.contains("_note\"") && !answer.text.contains('*'),
            "{answer:?}"
        );
    }
    // The id is the client's own, whatever it looks like.
    for id in [
        "\"a\\u0062\"",
        "-0",
        "123456789012345678901234567890",
        "null",
    ] {
        let body = call("shell")
            .to_string()
            .replace("\"id\":2", &format!("\"id\":{id}"));
        let answer = house.say(&notes, body).await;
        assert!(answer.text.contains(&format!("\"id\":{id},")), "{answer:?}");
    }
    assert!(house.log.take().is_empty());
}

#[tokio::test]
async fn other_styles_say_it_by_http_or_as_if_there_were_no_such_tool() {
    let house = House::with(Mode::Json, layer().denial_style(DenialStyle::Http)).await;
    let key = house.notes_key().await;
    let answer = house.say(&key, call("shell")).await;
    assert_eq!(answer.refusal(), (403, "tool_not_allowed".to_owned()));
    assert_eq!(
        answer.header("www-authenticate"),
        "Bearer error=\"insufficient_scope\""
    );

    let house = House::with(Mode::Json, layer().denial_style(DenialStyle::Unknown)).await;
    let key = house.notes_key().await;
    for (body, code, says) in [
        (call("shell"), -32_602, "Unknown tool: shell"),
        (
            json!({"jsonrpc":"2.0","id":2,"method":"resources/read","params":{"uri":"note://secret/2"}}),
            -32_602,
            "Resource not found",
        ),
        (
            json!({"jsonrpc":"2.0","id":2,"method":"x/y"}),
            -32_601,
            "Method not found",
        ),
    ] {
        let answer = house.say(&key, body).await;
        assert_eq!(answer.status, 200);
        let error = &answer.json()["error"];
        assert_eq!(
            (&error["code"], &error["message"]),
            (&json!(code), &json!(says))
        );
        assert!(error.get("data").is_none(), "{answer:?}");
    }
    assert!(house.log.take().is_empty());
}

/// Revision 2026-07-28 has no sessions that a 404 could end, and wants one for unknown methods.
#[tokio::test]
async fn an_unknown_method_is_answered_as_the_last_revision_wants_and_only_in_it() {
    for style in [
        DenialStyle::JsonRpc,
        DenialStyle::Http,
        DenialStyle::Unknown,
    ] {
        let log = Log::default();
        let layer = layer().denial_style(style);
        let house = House::before(careless(log.clone()), log, layer).await;
        let key = house.notes_key().await;
        let ask = async |method: &str, params: Value, headers: &[(&str, &str)]| {
            let mut request = house.modern(&key, method, params);
            for (name, value) in headers {
                let name: http::HeaderName = name.parse().unwrap();
                request.headers_mut().append(name, value.parse().unwrap());
            }
            house.client.send(request).await
        };
        let no_method = json!({ "code": -32601, "message": "Method not found" });
        for (method, params) in [
            ("x/y", json!({})),
            ("resources/subscribe", json!({})),
            ("resources/unsubscribe", json!({ "uri": "note://secret/2" })),
        ] {
            let answer = ask(method, params.clone(), &[]).await;
            assert_eq!(answer.status, 404, "{method}");
            let expected = json!({ "jsonrpc": "2.0", "id": 7, "error": no_method });
            assert_eq!(answer.json(), expected);
            // Under an older revision, or one that is not clear, a 404 would be the end of a session.
            for headers in [
                &[("mcp-protocol-version", "2025-11-25")][..],
                &[("mcp-protocol-version", "2026-07-28")],
            ] {
                let answer = ask(method, params.clone(), headers).await;
                assert_ne!(answer.status, 404, "{method}");
            }
            let body = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
            assert_ne!(house.say(&key, body).await.status, 404, "{method}");
        }
        // What is known and forbidden is denied as ever.
        for (method, params) in [
            ("tools/call", json!({ "name": "shell" })),
            ("resources/read", json!({})),
        ] {
            let answer = ask(method, params, &[]).await;
            let status = if style == DenialStyle::Http { 403 } else { 200 };
            assert_eq!(answer.status, status, "{method}");
        }
        assert!(house.log.take().is_empty());
    }
}

#[tokio::test]
async fn of_a_batch_each_request_is_answered_and_none_is_run() {
    let log = Log::default();
    let house = House::before(careless(log.clone()), log, layer()).await;
    let key = house.notes_key().await;
    let mut permitted = call("read_note");
    permitted["id"] = json!("a");
    let batch = Value::from(vec![permitted.clone(), cancelled(), call("shell")]);
    let answer = house.say(&key, batch).await;
    assert_eq!(answer.status, 200);
    let entries = answer.json();
    assert_eq!(
        entries.as_array().unwrap().len(),
        2,
        "a notification has no answer"
    );
    assert_eq!(entries[0]["id"], "a");
    assert_eq!(entries[1]["error"]["data"]["code"], "tool_not_allowed");
    assert!(house.log.take().is_empty(), "all or nothing");
    house
        .say(&key, Value::from(vec![permitted.clone(), cancelled()]))
        .await;
    assert_eq!(house.log.take(), ["read_note"]);
    // Of one that costs too much, too.
    let key = house
        .key(NewKey::named("one").rate(RateLimit::per_hour(1)))
        .await;
    let batch = Value::from(vec![permitted, response(), call("read_note")]);
    let answer = house.say(&key, batch).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let entries = answer.json();
    assert_eq!(entries.as_array().unwrap().len(), 2);
    assert_eq!(entries[0]["id"], "a");
    assert_eq!(entries[1]["error"]["data"]["code"], "rate_limit_exceeded");
    assert!(house.log.take().is_empty());
}

#[tokio::test]
async fn notifications_answers_and_pings_are_never_denied_nor_limited() {
    let log = Log::default();
    let house = House::before(careless(log.clone()), log, layer()).await;
    let once = NewKey::named("once")
        .mcp(crate::world::notes())
        .rate(RateLimit::per_day(1));
    let key = house.key(once).await;
    assert_eq!(
        house.say(&key, call("read_note")).await.json()["result"],
        json!({})
    );
    let limited = house.say(&key, call("read_note")).await;
    assert_eq!(limited.status, 200);
    let error = &limited.json()["error"];
    assert_eq!(error["data"]["code"], "rate_limit_exceeded");
    assert!(
        error["message"].as_str().unwrap().contains("retry in 86"),
        "{error}"
    );
    assert!(
        limited.header("retry-after").starts_with("86"),
        "{limited:?}"
    );
    assert_eq!(
        limited.header("ratelimit-policy"),
        "\"default\";q=1;w=86400"
    );
    assert!(
        limited
            .header("ratelimit")
            .starts_with("\"default\";r=0;t=86")
    );
    for _ in 0..20 {
        for body in [ping(), cancelled(), response()] {
            let answer = house.say(&key, body).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            assert!(answer.json()["error"].is_null(), "{answer:?}");
        }
    }
    // Up to a ceiling, which is not told as a limit of the key.
    let mut refused = None;
    for _ in 0..200 {
        let answer = house.say(&key, ping()).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("there is a ceiling");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("ratelimit"), "");
}

#[tokio::test]
async fn too_large_too_slow_and_of_another_type() {
    let log = Log::default();
    let layer = layer()
        .max_body(1_000)
        .body_deadline(Duration::from_millis(300));
    let house = House::before(careless(log.clone()), log, layer).await;
    let key = house.notes_key().await;
    let large = call("read_note").to_string() + &" ".repeat(1_000);
    let answer = house.say(&key, &large).await;
    assert_eq!(answer.refusal(), (413, "body_too_large".to_owned()));
    let exact = call("read_note").to_string();
    let exact = exact.clone() + &" ".repeat(1_000 - exact.len());
    assert_eq!(house.say(&key, exact).await.status, 200);

    let mut request = house.message(&key, call("read_note"));
    request
        .headers_mut()
        .insert("content-type", "text/plain".parse().unwrap());
    let answer = house.client.send(request).await;
    assert_eq!(answer.refusal(), (415, "unsupported_media_type".to_owned()));
    let mut request = house.message(&key, call("read_note"));
    request
        .headers_mut()
        .insert("content-encoding", "gzip".parse().unwrap());
    let answer = house.client.send(request).await;
    assert_eq!(answer.refusal(), (415, "unsupported_media_type".to_owned()));
    let answer = house
        .client
        .send(with_body(house.message(&key, ""), "nonsense"))
        .await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"]["code"], -32_700);

    let mut connection = TcpStream::connect(house.server.address).await.unwrap();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nhost: a\r\nauthorization: {}\r\ncontent-type: application/json\r\naccept: application/json, text/event-stream\r\ncontent-length: 100\r\n\r\n{{",
        bearer(&key)
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 400];
    let read = soon(connection.read(&mut answer)).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(house.log.take(), ["read_note"]);
}

#[tokio::test]
async fn a_key_without_restrictions_sends_what_it_likes() {
    let log = Log::default();
    let house = House::before(careless(log.clone()), log, layer()).await;
    let key = house.free_key().await;
    for body in ["nonsense", "", "[]", "{\"a\":1,\"a\":2}"] {
        assert_eq!(house.say(&key, body).await.status, 200, "{body}");
    }
    for kind in [
        "text/plain",
        "application/grpc",
        "application/x-www-form-urlencoded",
    ] {
        let mut request = house.message(&key, "a=b");
        request
            .headers_mut()
            .insert("content-type", kind.parse().unwrap());
        assert_eq!(house.client.send(request).await.status, 200, "{kind}");
    }
    // Its lists are as the server made them.
    let house = House::new(Mode::Json).await;
    let key = house.free_key().await;
    let body = only(
        &house
            .client
            .send(house.modern(&key, "tools/list", json!({})))
            .await,
    );
    assert_ne!(body["result"]["cacheScope"], "private", "{body}");
}

#[tokio::test]
async fn with_signatures_a_bad_one_spends_nothing() {
    let keys: ApiKeys = light(MemoryStore::new()).build().await.unwrap();
    let signing = SignedRequestLayer::required().replay_guard(MemoryReplayGuard::new());
    let log = Log::default();
    let stack = keys
        .layer()
        .server("notes")
        .with_signing(signing)
        .with_mcp(layer());
    let server = serve(careless(log.clone()).layer(stack)).await;
    let new = NewKey::named("signs")
        .server("notes")
        .mcp(crate::world::notes());
    let key = issue(&keys, new.rate(RateLimit::per_hour(2))).await;
    let client = crate::support::Client::http1();
    let send = async |tool: &str, number: u32, good: bool| {
        let mut body = call(tool);
        body["id"] = json!(number);
        let body = body.to_string();
        let over = if good {
            body.as_bytes()
        } else {
            b"another body"
        };
        let signed = Signer::new(&key).sign(SystemClock::new().now().wall, over);
        let mut request = Request::post(server.url("/mcp"))
            .header("authorization", bearer(&key))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .body(body.clone())
            .unwrap();
        signed.set(request.headers_mut());
        client.send(request).await
    };
    for number in 0..5 {
        let bad = send("read_note", number, false).await;
        assert_eq!(bad.refusal(), (401, "invalid_signature".to_owned()));
        let denied = send("shell", 100 + number, true).await;
        assert_eq!(denied.refusal(), (200, "tool_not_allowed".to_owned()));
    }
    assert!(log.take().is_empty());
    for left in [1, 0] {
        let good = send("read_note", 10 + left, true).await;
        assert!(
            good.header("ratelimit")
                .starts_with(&format!("\"default\";r={left};")),
            "{good:?}"
        );
    }
    let over = send("read_note", 20, true).await;
    assert_eq!(over.refusal(), (200, "rate_limit_exceeded".to_owned()));
    assert_eq!(log.take(), ["read_note", "read_note"]);
}

/// What the layer answers with has the form that clients read.
#[tokio::test]
async fn lists_and_calls_of_a_real_client_go_on_after_a_denial() {
    let house = House::new(Mode::Events).await;
    let key = house.notes_key().await;
    for _ in 0..3 {
        house.say(&key, call("shell")).await;
        let answer = house.say(&key, call("read_note")).await;
        assert_eq!(
            messages(&answer).last().unwrap()["result"]["content"][0]["text"],
            "a note"
        );
        house.say(&key, list("tools")).await;
    }
}
