//! Judged by headers alone, where that was asked for, and by the body in every other case.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http::{HeaderName, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use mcp_api_keys::layer::McpLayer;
use mcp_api_keys::{NewKey, RateLimit};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::support::{Answer, soon};
use crate::world::{House, Log, Mode, call, careless, layer, notes, only};

const FULL: [(&str, &str); 3] = [
    ("mcp-protocol-version", "2026-07-28"),
    ("mcp-method", "tools/call"),
    ("mcp-name", "read_note"),
];

fn trusting() -> McpLayer {
    layer().trust_headers()
}

/// A call of a tool with these headers and no other ones of MCP.
fn with(house: &House, key: &str, tool: &str, headers: &[(&str, &str)]) -> Request<String> {
    let mut request = house.message(key, call(tool));
    request.headers_mut().remove("mcp-protocol-version");
    for (name, value) in headers {
        let name: HeaderName = name.parse().unwrap();
        let value = value.as_bytes().try_into().unwrap();
        request.headers_mut().append(name, value);
    }
    request
}

/// A server that says when the first part of a body has come, and how much came in all.
fn noting_parts(parts: mpsc::UnboundedSender<usize>) -> Router {
    Router::new().fallback(move |request: axum::extract::Request| {
        let parts = parts.clone();
        async move {
            let mut body = request.into_body();
            while let Some(Ok(frame)) = body.frame().await {
                let length = frame.data_ref().map_or(0, Bytes::len);
                let _ = parts.send(length);
            }
            Response::new(Full::from("read"))
        }
    })
}

#[tokio::test]
async fn a_permitted_call_reaches_the_server_before_its_body_has_ended() {
    for trusts in [true, false] {
        let (seen, mut parts) = mpsc::unbounded_channel();
        let layer = if trusts { trusting() } else { layer() };
        let house = House::before(noting_parts(seen), Log::default(), layer).await;
        let keys = [
            house.notes_key().await,
            house.reader().await,
            house.free_key().await,
        ];
        for key in keys {
            let (send, receive) = mpsc::unbounded_channel();
            let body = StreamBody::new(UnboundedReceiverStream::new(receive));
            let request = with(&house, &key, "", &FULL).map(|_| body);
            let client = house.client.clone();
            let answer = tokio::spawn(async move { Answer::of(client.open(request).await).await });
            let text = call("read_note").to_string();
            let (first, rest) = text.split_at(10);
            let part = |text: &str| Ok::<_, Infallible>(Frame::data(Bytes::from(text.to_owned())));
            send.send(part(first)).unwrap();
            if trusts {
                assert_eq!(soon(parts.recv()).await, Some(first.len()));
            } else {
                let early = tokio::time::timeout(Duration::from_millis(200), parts.recv()).await;
                assert!(early.is_err(), "it was not to be passed on yet");
            }
            send.send(part(rest)).unwrap();
            drop(send);
            assert_eq!(soon(answer).await.unwrap().text, "read");
            let mut left = text.len() - if trusts { first.len() } else { 0 };
            while left > 0 {
                left -= soon(parts.recv()).await.unwrap();
            }
        }
    }
}

/// Only the one full set of headers is believed, whatever the body says: shown by a server that
/// checks nothing.
#[tokio::test]
async fn any_other_set_of_headers_leaves_the_judgement_to_the_body() {
    let log = Log::default();
    let house = House::before(careless(log.clone()), log, trusting()).await;
    let but = |at: usize, value: &'static str| {
        let mut headers = FULL.to_vec();
        headers[at].1 = value;
        headers
    };
    let and = |more: &[(&'static str, &'static str)]| [&FULL[..], more].concat();
    let keys = [house.notes_key().await, house.reader().await];
    for key in &keys {
        for headers in [
            vec![],
            FULL[1..].to_vec(),
            FULL[..2].to_vec(),
            vec![FULL[0], FULL[2]],
            but(0, "2025-11-25"),
            but(0, "2025-06-18"),
            but(0, "2026-07-29"),
            but(0, "2099-01-01"),
            but(0, "zzz"),
            but(0, "2026-07-28, 2025-11-25"),
            but(1, "tools/list"),
            but(1, "Tools/Call"),
            but(1, "tools/call, tools/call"),
            but(1, "ping"),
            but(1, "tasks/get"),
            but(1, "skills/get"),
            but(2, "shell"),
            but(2, "=?base64?cmVhZF9ub3Rl?="),
            but(2, "r\u{e9}ad_note"),
            but(2, "read_note, shell"),
            and(&FULL[..1]),
            and(&FULL[1..2]),
            and(&FULL[2..]),
            and(&[("mcp-protocol-version", "2025-11-25")]),
            and(&[("mcp-method", "ping")]),
            and(&[("mcp-name", "shell")]),
            and(&[("content-type", "text/plain")]),
            and(&[("content-encoding", "gzip")]),
            and(&[("mcp-session-id", "made-up")]),
        ] {
            // The same headers with a permitted body say that it was the body that was judged.
            let lying = with(&house, key, "shell", &headers);
            let answer = house.client.send(lying).await;
            assert!(house.log.take().is_empty(), "{headers:?}: {answer:?}");
        }
        // What is believed. A server like this one is not to be trusted like that.
        let lying = with(&house, key, "shell", &FULL);
        house.client.send(lying).await;
        assert!(!house.log.take().is_empty());
        // A denial by headers is one by the body, which names the request.
        let mut headers = FULL.to_vec();
        headers[2].1 = "shell";
        let denied = house
            .client
            .send(with(&house, key, "shell", &headers))
            .await;
        let denied = only(&denied);
        assert_eq!(
            (&denied["id"], &denied["error"]["code"]),
            (&json!(2), &json!(-31003))
        );
        assert!(house.log.take().is_empty());
    }
    let unbelieved = House::before(careless(Log::default()), Log::default(), layer()).await;
    let key = unbelieved.notes_key().await;
    let lying = with(&unbelieved, &key, "shell", &FULL);
    let answer = only(&unbelieved.client.send(lying).await);
    assert_eq!(answer["error"]["code"], -31003, "off by default");
}

/// A server that checks headers as revision 2026-07-28 demands runs nothing outside the rules.
#[tokio::test]
async fn rmcp_refuses_what_its_headers_do_not_fit() {
    let bodies = crate::bypass::bodies();
    let mut sent = 0;
    for mode in [Mode::Json, Mode::Events, Mode::Sessions] {
        let house = House::with(mode, trusting()).await;
        let keys = [house.notes_key().await, house.reader().await];
        for key in &keys {
            let meta = house.modern(
                key,
                "tools/call",
                json!({ "name": "shell", "arguments": {} }),
            );
            for body in bodies.iter().chain([meta.body()]) {
                for (method, name) in [
                    ("tools/call", "read_note"),
                    ("prompts/get", "read_note"),
                    ("resources/read", "note://public/1"),
                ] {
                    let headers = [FULL[0], ("mcp-method", method), ("mcp-name", name)];
                    let mut request = with(&house, key, "", &headers);
                    request.body_mut().clone_from(body);
                    let answer = house.client.send(request).await;
                    let run = house.log.take();
                    assert!(run.is_empty(), "{name} {body}: {run:?} {answer:?}");
                    sent += 1;
                }
            }
            // The table tests something: an honest one is run.
            let honest = json!({ "name": "read_note", "arguments": {} });
            let honest = house.modern(key, "tools/call", honest);
            assert_eq!(house.client.send(honest).await.status, 200);
            assert_eq!(house.log.take(), ["read_note"]);
        }
    }
    println!("P35 by headers: {sent} requests around the rules, 0 calls outside them");
}

#[tokio::test]
async fn what_headers_state_is_charged_by_tool_and_refused_with_the_requests_id() {
    let log = Log::default();
    let layer = trusting().tool_cost("read_*".parse().unwrap(), 5);
    let house = House::before(careless(log.clone()), log, layer).await;
    let hourly = RateLimit::per_hour(10);
    for new in [NewKey::named("free"), NewKey::named("ruled").mcp(notes())] {
        let key = house.key(new.rate(hourly.clone())).await;
        for allowed in [true, true, false] {
            let answer = house
                .client
                .send(with(&house, &key, "read_note", &FULL))
                .await;
            assert_eq!(answer.status, 200);
            assert_eq!(!house.log.take().is_empty(), allowed, "{answer:?}");
            if !allowed {
                let answer = only(&answer);
                assert_eq!(
                    (&answer["id"], &answer["error"]["code"]),
                    (&json!(2), &json!(-31029))
                );
            }
        }
    }
}

/// A task that begins in an answer to a message that was not read is its key's all the same.
#[tokio::test]
async fn a_task_that_an_unread_message_begins_is_bound() {
    let named: Arc<Mutex<Vec<String>>> = Arc::default();
    let reached = Arc::clone(&named);
    let app = Router::new().fallback(move |request: axum::extract::Request| {
        let reached = Arc::clone(&reached);
        async move {
            let method = request.headers()["mcp-method"].to_str().unwrap().to_owned();
            reached.lock().unwrap().push(method);
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let message: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let answer = json!({ "jsonrpc": "2.0", "id": message["id"], "result": { "resultType": "task", "taskId": "t" } });
            let mut response = Response::new(Full::from(answer.to_string()));
            let json = "application/json".parse().unwrap();
            response.headers_mut().insert("content-type", json);
            response
        }
    });
    let house = House::before(app, Log::default(), trusting()).await;
    let (ada, bob) = (house.free_key().await, house.free_key().await);
    let call = json!({ "name": "read_note", "arguments": {} });
    house
        .client
        .send(house.modern(&ada, "tools/call", call))
        .await;
    for (key, reaches) in [(&ada, true), (&bob, false)] {
        named.lock().unwrap().clear();
        let get = house.modern(key, "tasks/get", json!({ "taskId": "t" }));
        let answer = only(&house.client.send(get).await);
        assert_eq!(*named.lock().unwrap() == ["tasks/get"], reaches, "{answer}");
        assert_eq!(answer["error"]["code"] == -32602, !reaches, "{answer}");
    }
}
