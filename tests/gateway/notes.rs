//! A server with tools that writes down what reaches it, and what to ask of it.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request as AxumRequest;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_stream::StreamExt;

use crate::support::{Answer, Client, Server, serve};
use crate::world::Gateway;

/// Its tools. Only the first changes nothing.
pub(crate) const TOOLS: [&str; 3] = ["read_note", "write_note", "shell"];

/// The session that it gives to whoever begins one.
pub(crate) const SESSION: &str = "session-of-the-server";

/// One request that reached the server.
#[derive(Clone, Debug)]
pub(crate) struct Reached {
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Reached {
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).map(|value| value.to_str().unwrap());
        value.unwrap_or_default()
    }
}

/// The server. It runs whatever it is sent, so what did not reach it is the gateway's doing.
#[derive(Debug)]
pub(crate) struct Notes {
    pub(crate) server: Server,
    reached: Arc<Mutex<Vec<Reached>>>,
}

impl Notes {
    pub(crate) async fn start() -> Self {
        let reached: Arc<Mutex<Vec<Reached>>> = Arc::default();
        let list = Arc::clone(&reached);
        let app = Router::new().fallback(move |request: AxumRequest| {
            let list = Arc::clone(&list);
            async move {
                let (head, body) = request.into_parts();
                if head.method == http::Method::GET {
                    return open_stream();
                }
                let path = head.uri.path().to_owned();
                let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
                let body = String::from_utf8_lossy(&body).into_owned();
                let message: Value = serde_json::from_str(&body).unwrap_or_default();
                list.lock().unwrap().push(Reached {
                    headers: head.headers,
                    body,
                });
                answer(&path, &message)
            }
        });
        let server = serve(app).await;
        Self { server, reached }
    }

    pub(crate) async fn behind(arguments: &[&str]) -> (Self, Gateway) {
        let notes = Self::start().await;
        let url = notes.server.url("");
        let gateway = Gateway::start(&[&["--upstream", &url], arguments].concat()).await;
        (notes, gateway)
    }

    /// What reached the server since this was last asked.
    pub(crate) fn reached(&self) -> Vec<Reached> {
        std::mem::take(&mut self.reached.lock().unwrap())
    }
}

fn answer(path: &str, message: &Value) -> Response<Body> {
    let id = &message["id"];
    let (result, session) = match message["method"].as_str() {
        Some("initialize") => (json!({ "protocolVersion": "2025-11-25" }), true),
        Some("tools/list") => {
            let tools = TOOLS.map(|name| json!({ "name": name, "inputSchema": {} }));
            (json!({ "tools": tools, "cacheScope": "public" }), false)
        }
        _ => (json!({ "content": [] }), false),
    };
    let answer = json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string();
    if path.ends_with("/events") {
        return events(&format!(": hello\r\n\r\ndata: {answer}\r\n\r\n"));
    }
    let mut response = Response::builder().header("content-type", "application/json");
    if session {
        response = response.header("mcp-session-id", SESSION);
    }
    response.body(Body::from(answer)).unwrap()
}

/// A stream of events that comes in small pieces, with a pause after each.
fn events(text: &str) -> Response<Body> {
    let pieces: Vec<Bytes> = text
        .as_bytes()
        .chunks(7)
        .map(Bytes::copy_from_slice)
        .collect();
    let pieces = tokio_stream::iter(pieces).then(|piece| async {
        sleep(Duration::from_millis(1)).await;
        Ok::<_, Infallible>(Frame::data(piece))
    });
    stream(Body::new(StreamBody::new(pieces)))
}

fn open_stream() -> Response<Body> {
    let first = tokio_stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from("data: 1\n\n")))]);
    stream(Body::new(StreamBody::new(
        first.chain(tokio_stream::pending()),
    )))
}

fn stream(body: Body) -> Response<Body> {
    Response::builder()
        .header("content-type", "text/event-stream")
        .body(body)
        .unwrap()
}

/// Calls a tool, in a message with the id 7.
pub(crate) fn call(tool: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": { "name": tool } })
}

pub(crate) fn list() -> Value {
    json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/list" })
}

/// Sends a message as clients do.
pub(crate) async fn say(gateway: &Gateway, key: &str, message: &Value) -> Answer {
    say_at(gateway, "/mcp", key, message).await
}

pub(crate) async fn say_at(gateway: &Gateway, path: &str, key: &str, message: &Value) -> Answer {
    let request = Request::post(gateway.url(path))
        .header("x-api-key", key)
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("accept-encoding", "gzip");
    let request = request.body(message.to_string()).unwrap();
    Client::http1().send(request).await
}

/// The names in the answer to a list.
pub(crate) fn names(answer: &Value) -> Vec<&str> {
    let tools = answer["result"]["tools"].as_array().unwrap();
    let names = tools.iter().map(|tool| tool["name"].as_str().unwrap());
    names.collect()
}
