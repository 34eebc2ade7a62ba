//! Keys with rules, in front of a server that has none.

use mcp_api_keys::NewKey;
use mcp_api_keys::key::{McpRules, RateLimit};
use serde_json::{Value, json};

use crate::notes::{Notes, call, list, names, say, say_at};
use crate::support::{Client, issue};
use crate::world::{Gateway, file};

/// A key for reading notes.
fn reader() -> NewKey {
    let rules = McpRules::default().allow_tool("read_*".parse().unwrap());
    NewKey::named("reader").all_servers().mcp(rules)
}

fn error(answer: &Value) -> (i64, &str) {
    let error = &answer["error"];
    (
        error["code"].as_i64().unwrap(),
        error["data"]["code"].as_str().unwrap_or_default(),
    )
}

#[tokio::test]
async fn a_key_uses_the_tools_that_its_rules_permit_and_no_others() {
    let (notes, gateway) = Notes::behind(&[]).await;
    let key = issue(&gateway.keys, reader()).await;
    let answer = say(&gateway, &key, &call("read_note")).await;
    assert_eq!(answer.json()["result"], json!({ "content": [] }));
    let reached = notes.reached();
    assert_eq!(reached.len(), 1);
    assert_eq!(reached[0].body, call("read_note").to_string());
    assert_eq!(
        reached[0].header("content-length"),
        reached[0].body.len().to_string()
    );

    for tool in ["shell", "write_note", "Read_note", ""] {
        let answer = say(&gateway, &key, &call(tool)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("content-type"), "application/json");
        let body = answer.json();
        assert_eq!(body["id"], 7);
        assert_eq!(error(&body).1, "tool_not_allowed", "{body}");
        assert!(!answer.text.contains("read_"), "not what it may use");
    }
    let other = json!({ "jsonrpc": "2.0", "id": "x", "method": "tasks/erase" });
    let body = say(&gateway, &key, &other).await.json();
    assert_eq!(
        (body["id"].as_str(), error(&body).1),
        (Some("x"), "tool_not_allowed")
    );
    assert!(notes.reached().is_empty());

    let free = gateway.key().await;
    for tool in ["shell", "write_note"] {
        assert!(say(&gateway, &free, &call(tool)).await.json()["error"].is_null());
    }
    assert_eq!(notes.reached().len(), 2);
}

#[tokio::test]
async fn a_list_shows_what_the_key_may_use_whole_or_in_a_stream() {
    let (notes, gateway) = Notes::behind(&[]).await;
    let free = gateway.key().await;
    let key = issue(&gateway.keys, reader()).await;
    for (key, shown, scope, encoding) in [
        (&key, &["read_note"][..], "private", "identity"),
        (
            &free,
            &["read_note", "write_note", "shell"],
            "public",
            "gzip",
        ),
    ] {
        let whole = say(&gateway, key, &list()).await;
        assert_eq!(whole.header("content-length"), whole.text.len().to_string());
        let streamed = say_at(&gateway, "/mcp/events", key, &list()).await;
        assert_eq!(streamed.header("content-type"), "text/event-stream");
        let data = streamed
            .text
            .lines()
            .find_map(|line| line.strip_prefix("data: "));
        for answer in [&whole.text, data.unwrap()] {
            let answer: Value = serde_json::from_str(answer).unwrap();
            assert_eq!(names(&answer), shown);
            assert_eq!(answer["result"]["cacheScope"], scope);
        }
        assert!(streamed.text.starts_with(": hello"), "{streamed:?}");
        for request in notes.reached() {
            assert_eq!(request.header("accept-encoding"), encoding);
        }
    }
}

#[tokio::test]
async fn read_only_keys_call_the_tools_that_were_said_to_change_nothing() {
    let arguments = ["--read-only-tool", "read_note", "--read-only-tool", "other"];
    for (arguments, usable) in [(&[][..], &[][..]), (&arguments, &["read_note"])] {
        let (notes, gateway) = Notes::behind(arguments).await;
        let key = NewKey::named("reader").all_servers().read_only();
        let key = issue(&gateway.keys, key).await;
        let answer = say(&gateway, &key, &list()).await.json();
        assert_eq!(names(&answer), usable);
        notes.reached();
        for tool in crate::notes::TOOLS {
            let answer = say(&gateway, &key, &call(tool)).await.json();
            let reached = notes.reached().len();
            if usable.contains(&tool) {
                assert_eq!((reached, &answer["error"]), (1, &Value::Null), "{tool}");
            } else {
                assert_eq!((reached, error(&answer).1), (0, "read_only_key"), "{tool}");
            }
        }
    }
}

/// The server of these tests runs what the body says, so what reaches it shows what was judged.
#[tokio::test]
async fn headers_are_trusted_and_tasks_left_unbound_only_where_told_to() {
    let trusting = ["--trust-headers", "--unbound-tasks"];
    for (arguments, passes) in [(&[][..], false), (&trusting, true)] {
        let (notes, gateway) = Notes::behind(arguments).await;
        let key = issue(&gateway.keys, reader()).await;
        let request = http::Request::post(gateway.url("/mcp"))
            .header("x-api-key", &key)
            .header("content-type", "application/json")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/call")
            .header("mcp-name", "read_note")
            .body(call("shell").to_string());
        Client::http1().send(request.unwrap()).await;
        assert_eq!(notes.reached().len(), usize::from(passes));
        let task = json!({ "jsonrpc": "2.0", "id": 7, "method": "tasks/get", "params": { "taskId": "t" } });
        let answer = say(&gateway, &gateway.key().await, &task).await.json();
        assert_eq!(notes.reached().len(), usize::from(passes), "{answer}");
    }
}

#[tokio::test]
async fn read_only_tools_can_be_named_for_each_server() {
    let (one, other) = (Notes::start().await, Notes::start().await);
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "read_only_tools = [\"read_note\"]\n\
         [[route]]\nname = \"one\"\nurl = \"{}\"\nread_only_tools = [\"write_note\"]\n\
         [[route]]\nname = \"other\"\nurl = \"{}\"\n",
        one.server.url(""),
        other.server.url("")
    );
    let config = file(&folder, "gateway.toml", &text);
    let gateway = Gateway::start(&["--config", config.to_str().unwrap()]).await;
    let key = NewKey::named("reader").all_servers().read_only();
    let key = issue(&gateway.keys, key).await;
    for (path, shown) in [
        ("/one/mcp", &["read_note", "write_note"][..]),
        ("/other/mcp", &["read_note"]),
    ] {
        let answer = say_at(&gateway, path, &key, &list()).await.json();
        assert_eq!(names(&answer), shown);
    }
}

#[tokio::test]
async fn a_denial_is_told_in_the_style_that_was_asked_for() {
    for (style, status, code, word) in [
        ("json-rpc", 200, -31_003, "tool_not_allowed"),
        ("http", 403, -31_003, "tool_not_allowed"),
        ("unknown", 200, -32_602, ""),
    ] {
        let (notes, gateway) = Notes::behind(&["--denial-style", style]).await;
        let key = issue(&gateway.keys, reader()).await;
        let answer = say(&gateway, &key, &call("shell")).await;
        assert_eq!(answer.status, status, "{style}");
        assert_eq!(answer.header("www-authenticate").is_empty(), status == 200);
        let body = answer.json();
        assert_eq!(error(&body), (code, word), "{style}: {body}");
        assert!(notes.reached().is_empty());
    }
}

#[tokio::test]
async fn a_call_too_many_is_told_the_reason_and_the_wait_and_what_is_free_goes_on() {
    let (notes, gateway) =
        Notes::behind(&["--tool-cost", "write_*=3", "--tool-cost", "read_*=0"]).await;
    let key = NewKey::named("limited").all_servers();
    let key = issue(&gateway.keys, key.rate(RateLimit::per_minute(4))).await;
    let passed = say(&gateway, &key, &call("write_note")).await;
    assert!(passed.json()["error"].is_null(), "{passed:?}");
    assert!(passed.header("ratelimit").contains("r=1"), "{passed:?}");
    let refused = say(&gateway, &key, &call("write_note")).await;
    assert_eq!(refused.status, 200, "{refused:?}");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!(
        (1..=30).contains(&wait),
        "two more in half a minute: {wait}"
    );
    let body = refused.json();
    assert_eq!(
        (body["id"].as_i64(), error(&body).1),
        (Some(7), "rate_limit_exceeded")
    );
    let text = body["error"]["message"].as_str().unwrap();
    assert!(text.contains(&format!("(retry in {wait} s)")), "{text}");
    // What was refused has spent nothing, so the last one is still there.
    assert!(say(&gateway, &key, &call("shell")).await.json()["error"].is_null());
    assert!(!say(&gateway, &key, &call("shell")).await.json()["error"].is_null());
    assert_eq!(notes.reached().len(), 2);

    let free = [
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }),
        json!({ "jsonrpc": "2.0", "id": 1, "result": {} }),
        call("read_note"),
    ];
    for message in free {
        let answer = say(&gateway, &key, &message).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(notes.reached().len(), 1, "{message}");
    }
    // What the rules refuse has spent nothing either.
    let limited = issue(&gateway.keys, reader().rate(RateLimit::per_minute(1))).await;
    for _ in 0..3 {
        let answer = say(&gateway, &limited, &call("shell")).await.json();
        assert_eq!(error(&answer).1, "tool_not_allowed");
    }
    assert!(notes.reached().is_empty());
    let me = Client::http1().get(&gateway.url("/me"), &[("x-api-key", &limited)]);
    assert_eq!(me.await.status, 200);
}
