//! What goes on for longer than a request: sessions and streams.

use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use mcp_api_keys::NewKey;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::notes::{Notes, SESSION, call, say};
use crate::support::{Answer, Client, issue, soon};
use crate::world::{Gateway, next, refused_in};

#[tokio::test]
async fn a_session_is_its_keys_alone() {
    let (notes, gateway) = Notes::behind(&[]).await;
    let (ada, bob) = (gateway.key().await, gateway.key().await);
    let begin = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {} });
    let begun = say(&gateway, &ada, &begin).await;
    let session = begun.header("mcp-session-id").to_owned();
    assert!(session.starts_with(SESSION) && session != SESSION);
    notes.reached();
    let ask = async |method: &str, key: &str, session: &str, second: Option<&str>| -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(gateway.url("/mcp"))
            .header("x-api-key", key)
            .header("content-type", "application/json")
            .header("mcp-session-id", session);
        if let Some((name, value)) = second.and_then(|line| line.split_once(": ")) {
            request = request.header(name, value);
        }
        let body = match method {
            "POST" => call("shell").to_string(),
            _ => String::new(),
        };
        Client::http1().send(request.body(body).unwrap()).await
    };
    for method in ["POST", "DELETE"] {
        assert_eq!(ask(method, &ada, &session, None).await.status, 200);
        let reached = notes.reached();
        assert_eq!(reached.len(), 1);
        assert_eq!(reached[0].header("mcp-session-id"), SESSION);
        let second = format!("mcp-session-id: {session}");
        let other = format!("{session}0");
        for (key, session, second) in [
            (&bob, &*session, None),
            (&bob, SESSION, None),
            (&ada, SESSION, None),
            (&ada, &other, None),
            (&ada, "", None),
            (&ada, &session, Some(&*second)),
        ] {
            let answer = ask(method, key, session, second).await;
            assert_eq!(answer.status, 404, "{method} {session} {second:?}");
            assert_eq!(answer.refusal().1, "session_not_found");
        }
        assert!(notes.reached().is_empty());
    }
    assert_eq!(ask("GET", &bob, &session, None).await.status, 404);
    // A server that takes the underscore for a hyphen never sees it.
    let spelt = format!("Mcp_Session_Id: {SESSION}");
    assert_eq!(ask("POST", &ada, &session, Some(&spelt)).await.status, 200);
    let reached = notes.reached();
    assert!(reached[0].headers.get("mcp_session_id").is_none());
}

#[tokio::test]
async fn gateways_with_one_secret_share_sessions_on_the_same_route() {
    let notes = Notes::start().await;
    let url = notes.server.url("");
    let routes = [format!("a={url}"), format!("b={url}")];
    let routes = ["--route", &routes[0], "--route", &routes[1]];
    let secret = [(
        "MCP_KEYS_SESSION_SECRET",
        "0123456789abcdef0123456789ABCDEF",
    )];
    let other = [(
        "MCP_KEYS_SESSION_SECRET",
        "0123456789abcdef0123456789ABCDEE",
    )];
    let arguments = [&["--listen", "127.0.0.1:0"][..], &routes].concat();
    let first = Gateway::run_in(&secret, &arguments).await;
    let key = first.key().await;
    let send = async |gateway: &Gateway, route: &str, session: Option<&str>| {
        let message = match session {
            Some(_) => call("shell"),
            None => json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {} }),
        };
        let mut request = Request::post(gateway.url(&format!("/{route}/mcp")))
            .header("x-api-key", &key)
            .header("content-type", "application/json");
        if let Some(session) = session {
            request = request.header("mcp-session-id", session);
        }
        let request = request.body(message.to_string()).unwrap();
        Client::http1().send(request).await
    };
    let begun = send(&first, "a", None).await;
    let session = Some(begun.header("mcp-session-id"));
    for (variables, route, status) in [
        (&secret[..], "a", 200),
        (&secret, "b", 404),
        (&other, "a", 404),
        (&[], "a", 404),
    ] {
        let next = first.another(variables, &routes).await;
        let answer = send(&next, route, session).await;
        assert_eq!(answer.status, status, "{variables:?} {route}");
    }
    drop(first);
    let short = [("MCP_KEYS_SESSION_SECRET", "0123456789abcdef")];
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        "http://127.0.0.1:9",
    ];
    let output = refused_in(&short, &arguments).await;
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(
        errors.contains(short[0].0) && !errors.contains(short[0].1),
        "{errors}"
    );
}

async fn open(gateway: &Gateway, key: &str) -> Incoming {
    let request = Request::get(gateway.url("/mcp")).header("x-api-key", key);
    let request = request.body(String::new()).unwrap();
    let mut body = Client::http1().open(request).await.into_body();
    assert_eq!(next(&mut body).await.unwrap(), "data: 1\n\n");
    body
}

/// Waits for the end of a stream, and returns what was said last.
async fn ended(body: &mut Incoming) -> String {
    let mut last = String::new();
    while let Some(data) = soon(next(body)).await {
        last = String::from_utf8(data.to_vec()).unwrap();
    }
    last
}

#[tokio::test]
async fn the_stream_of_a_withdrawn_key_ends() {
    let (_notes, gateway) = Notes::behind(&[]).await;
    let manager = gateway.keys.manager();
    let mut slowest = Duration::ZERO;
    for revoke in [true, false, true] {
        let issued = manager.issue(NewKey::named("short").all_servers()).await;
        let issued = issued.unwrap();
        let mut body = open(&gateway, issued.key().expose_secret()).await;
        let id = issued.info().id;
        let withdrawn = Instant::now();
        if revoke {
            manager.revoke(id, None).await.unwrap();
        } else {
            manager.disable(id).await.unwrap();
        }
        let last = ended(&mut body).await;
        slowest = slowest.max(withdrawn.elapsed());
        let data = last.strip_prefix("event: error\ndata: ").unwrap();
        let data: Value = serde_json::from_str(data).unwrap();
        let code = if revoke {
            "invalid_api_key"
        } else {
            "disabled_api_key"
        };
        assert_eq!(data["error"]["code"], code, "{last}");
    }
    eprintln!("the stream of a key withdrawn by another process ended within {slowest:?}");
    // A second for the change to be found, and one for the stream to be ended.
    assert!(slowest < Duration::from_millis(2_500), "{slowest:?}");
}

#[tokio::test]
async fn the_stream_of_a_key_ends_within_a_second_of_its_expiry() {
    let (_notes, gateway) = Notes::behind(&[]).await;
    let life = Duration::from_secs(2);
    let key = NewKey::named("short").all_servers().expires_in(life);
    let begun = Instant::now();
    let key = issue(&gateway.keys, key).await;
    let issued = Instant::now();
    let mut body = open(&gateway, &key).await;
    let last = ended(&mut body).await;
    assert!(begun.elapsed() > life, "not before");
    let late = issued.elapsed().saturating_sub(life);
    eprintln!("the stream of an expired key ended after {late:?}");
    assert!(late < Duration::from_secs(1), "{late:?}");
    assert!(last.contains("expired_api_key"), "{last}");
}
