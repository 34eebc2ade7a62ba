//! P35: ways around the rules. Of what a key may not use nothing is ever run.

use axum::Router;
use http::{HeaderName, Method, Request};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Client, bearer, soon};
use crate::world::{House, Log, Mode, call, careless, layer, with_body};

const SHELL: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"shell","arguments":{}}}"#;

/// Bodies that ask for the tool `shell` under one reading or another.
pub(crate) fn bodies() -> Vec<String> {
    let mut bodies: Vec<String> = [
        SHELL,
        // Members twice: parsers differ in which one counts.
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_note","name":"shell"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"shell","name":"read_note"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call","params":{"name":"shell"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_note"},"params":{"name":"shell"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_note","n\u0061me":"shell"}}"#,
        // In other letters, for parsers without regard to case.
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_note","Name":"shell"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call","params":{"name":"shell"}}"#,
        // With escapes.
        r#"{"jsonrpc":"2.0","id":1,"m\u0065thod":"tools\/call","params":{"n\u0061me":"s\u0068ell"}}"#,
        // The name behind large arguments.
        &format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"arguments":{{"a":"{}"}},"name":"shell"}}}}"#, "x".repeat(200_000)),
        // Batches, alone and hidden among others.
        &format!("[{SHELL}]"),
        &format!(r#"[{{"jsonrpc":"2.0","id":9,"method":"ping"}},{SHELL}]"#),
        &format!("[[{SHELL}]]"),
        // Without an id, with odd ids, dressed up as an answer or a notification.
        r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"shell"}}"#,
        r#"{"jsonrpc":"2.0","id":null,"method":"tools/call","params":{"name":"shell"}}"#,
        r#"{"jsonrpc":"2.0","id":{},"method":"tools/call","params":{"name":"shell"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","result":{},"params":{"name":"shell"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"notifications/call","params":{"name":"shell"}}"#,
        r#"{"id":1,"method":"tools/call","params":{"name":"shell"}}"#,
        r#"{"jsonrpc":"1.0","id":1,"method":"tools/call","params":{"name":"shell"}}"#,
        // Methods that nobody knows.
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/Call","params":{"name":"shell"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"x/call","params":{"name":"shell"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"","params":{"name":"shell"}}"#,
        // The name in another place or type.
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":["shell"]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["shell"]}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"shell "}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"shell\u0000"}}"#,
        // More than one value, and what is no JSON but may be taken for it.
        &format!("{SHELL}{SHELL}"),
        &format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping"}}{SHELL}"#),
        &format!("\u{feff}{SHELL}"),
        &format!("/* */{SHELL}"),
        &format!("{SHELL},"),
        "{'jsonrpc':'2.0','id':1,'method':'tools/call','params':{'name':'shell'}}",
        "\0shell",
    ]
    .map(str::to_owned)
    .to_vec();
    // Deep enough to make a parser give up.
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    bodies.push(format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"arguments":{deep},"name":"shell"}}}}"#
    ));
    bodies
}

/// Headers that lie about the body or its form.
fn headers() -> Vec<Vec<(&'static str, &'static str)>> {
    vec![
        vec![],
        vec![("mcp-method", "tools/list"), ("mcp-name", "read_note")],
        vec![
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/call"),
            ("mcp-name", "read_note"),
        ],
        vec![
            ("mcp-protocol-version", "2025-11-25"),
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/call"),
            ("mcp-name", "read_note"),
        ],
        vec![("mcp-name", "read_note"), ("mcp-name", "shell")],
        vec![("x-http-method-override", "GET")],
        vec![
            ("content-encoding", "identity"),
            ("content-encoding", "gzip"),
        ],
        vec![("upgrade", "websocket"), ("connection", "upgrade")],
        vec![("expect", "100-continue")],
    ]
}

const TYPES: &[&[&str]] = &[
    &["application/json"],
    &["application/json; charset=utf-8"],
    &["application/json;charset=\"UTF-8\""],
    &["application/json; charset=utf-7"],
    &["application/json; charset=utf-16"],
    &["application/json; a=b"],
    &["application/json", "text/plain"],
    &["text/plain", "application/json"],
    &["application/grpc", "application/json"],
    &["application/grpc"],
    &["application/grpc; application/json"],
    &["application/grpc+json"],
    &["application/grpc, application/json"],
    &["application/json, text/plain"],
    &["application/json-rpc"],
    &["application/vnd.api+json"],
    &["text/json"],
    &["text/plain"],
    &["multipart/form-data; boundary=a"],
    &[""],
    &[],
];

const METHODS: &[&str] = &[
    "POST", "PUT", "PATCH", "GET", "DELETE", "OPTIONS", "QUERY", "post", "TRACE",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_careless_server_is_never_asked_for_what_the_rules_do_not_permit() {
    let log = Log::default();
    let house = House::before(careless(log.clone()), log, layer()).await;
    let keys = [house.notes_key().await, house.reader().await];
    let mut sent = 0;
    for key in &keys {
        for body in bodies() {
            for extra in headers() {
                let mut request = house.message(key, &body);
                for (name, value) in extra {
                    let name = HeaderName::from_static(name);
                    request.headers_mut().append(name, value.parse().unwrap());
                }
                house.client.send(request).await;
                sent += 1;
                assert!(house.log.take().is_empty(), "{body}");
            }
        }
        for types in TYPES {
            for method in METHODS {
                for body in [SHELL, &SHELL.replace("shell", "+AHMAaABlAGwAbA-")] {
                    let mut request = house.message(key, body);
                    *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
                    request.headers_mut().remove("content-type");
                    for value in *types {
                        let value = value.parse().unwrap();
                        request.headers_mut().append("content-type", value);
                    }
                    house.client.send(request).await;
                    sent += 1;
                    let run = house.log.take();
                    assert!(run.is_empty(), "{method} {types:?}: {run:?}");
                }
            }
        }
    }
    println!("P35: {sent} requests around the rules, 0 calls outside them");
    // The table tests something: the same server runs what is permitted, and for a free key all.
    house.say(&keys[0], call("read_note")).await;
    assert_eq!(house.log.take(), ["read_note"]);
    let free = house.free_key().await;
    house.say(&free, SHELL).await;
    assert!(!house.log.take().is_empty());
}

#[tokio::test]
async fn bytes_that_are_no_utf8_reach_nobody() {
    let log = Log::default();
    let house = House::before(careless(log.clone()), log, layer()).await;
    let key = house.notes_key().await;
    let utf16: Vec<u8> = SHELL.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut broken = SHELL.as_bytes().to_vec();
    broken.insert(50, 0xff);
    // The same text in gzip would begin like this.
    for body in [utf16, broken, vec![0x1f, 0x8b, 8, 0]] {
        let request = with_body(house.message(&key, ""), body);
        let answer = house.client.send(request).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(house.log.take().is_empty());
    }
}

#[tokio::test]
async fn rmcp_runs_nothing_outside_the_rules_and_the_rest() {
    for mode in [Mode::Json, Mode::Events] {
        let house = House::new(mode).await;
        let key = house.notes_key().await;
        let reader = house.reader().await;
        for body in bodies() {
            for extra in headers() {
                for key in [&key, &reader] {
                    let mut request = house.message(key, &body);
                    for (name, value) in &extra {
                        let name = HeaderName::from_static(name);
                        request.headers_mut().append(name, value.parse().unwrap());
                    }
                    house.client.send(request).await;
                    assert!(house.log.take().is_empty(), "{body}");
                }
            }
        }
        for (uri, passes) in [
            ("note://public/1", true),
            ("note://secret/2", false),
            ("note://public/../secret/2", false),
            ("NOTE://public/1", false),
            ("note://public/%2e%2e/secret", false),
        ] {
            let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": { "uri": uri } });
            house.say(&key, body).await;
            assert_eq!(!house.log.take().is_empty(), passes, "{uri}");
        }
        for (key, tool, passes) in [
            (&key, "write_note", true),
            (&key, "shell", false),
            (&reader, "read_note", true),
            (&reader, "write_note", false),
        ] {
            house.say(key, call(tool)).await;
            let run = house.log.take();
            assert_eq!(run, if passes { vec![tool] } else { vec![] });
            let modern = house.modern(key, "tools/call", json!({ "name": tool, "arguments": {} }));
            house.client.send(modern).await;
            let run = house.log.take();
            assert_eq!(run, if passes { vec![tool] } else { vec![] }, "2026-07-28");
        }
    }
}

/// Over HTTP/2 too, and with a body of which no length is announced.
#[tokio::test]
async fn the_way_that_a_body_travels_makes_no_difference() {
    let log = Log::default();
    let house = House::before(careless(log.clone()), log, layer()).await;
    let key = house.notes_key().await;
    for client in [Client::http1(), Client::http2()] {
        for (tool, passes) in [("shell", false), ("read_note", true)] {
            let request = house.message(&key, "").map(|_| {
                let text = call(tool).to_string();
                let parts: Vec<_> = text
                    .as_bytes()
                    .chunks(7)
                    .map(|part| Ok(http_body::Frame::data(part.to_vec().into())))
                    .collect();
                http_body_util::StreamBody::new(tokio_stream::iter(parts))
            });
            let answer = soon(crate::support::Answer::of(client.open(request).await)).await;
            assert_eq!(answer.status, 200);
            let run = house.log.take();
            assert_eq!(run, if passes { vec![tool] } else { vec![] });
        }
    }
}

/// Framing tricks by hand: what is not one whole message does not get through.
#[tokio::test]
async fn bodies_that_break_off_or_are_framed_twice_are_not_passed_on() {
    let log = Log::default();
    let app: Router = careless(log.clone());
    let house = House::before(app, log, layer()).await;
    let key = house.notes_key().await;
    let head = format!(
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: {}\r\n",
        bearer(&key)
    );
    let json = "content-type: application/json\r\n";
    let length = SHELL.len();
    for (headers, body) in [
        // Ends early.
        (
            format!("{json}content-length: {}\r\n", length + 50),
            SHELL.to_owned(),
        ),
        // A short length hides the rest.
        (
            format!("{json}content-length: 2\r\n"),
            format!("{{}}{SHELL}"),
        ),
        // Both framings at once.
        (
            format!("{json}content-length: {length}\r\ntransfer-encoding: chunked\r\n"),
            format!("{length:x}\r\n{SHELL}\r\n0\r\n\r\n"),
        ),
        (
            format!("{json}transfer-encoding: chunked\r\n"),
            format!("{length:x}\r\n{SHELL}"),
        ),
        (
            format!("{json}transfer-encoding: gzip, chunked\r\n"),
            format!("{length:x}\r\n{SHELL}\r\n0\r\n\r\n"),
        ),
        // A header that goes on in the next line.
        (
            format!(
                "content-type: text/plain\r\n application/json\r\ncontent-length: {length}\r\n"
            ),
            SHELL.to_owned(),
        ),
        (
            format!("content-type : application/json\r\ncontent-length: {length}\r\n"),
            SHELL.to_owned(),
        ),
        (format!("{json}content-length: 0\r\n"), String::new()),
    ] {
        let mut connection = TcpStream::connect(house.server.address).await.unwrap();
        let sent = format!("{head}{headers}\r\n{body}");
        connection.write_all(sent.as_bytes()).await.unwrap();
        connection.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = soon(connection.read_to_end(&mut answer)).await;
        assert!(house.log.take().is_empty(), "{headers}");
    }
}

/// What a restricted key sends with a method that has no message does not reach the server either,
/// and it cannot change the protocol.
#[tokio::test]
async fn a_body_of_a_get_stays_outside_and_no_protocol_is_changed() {
    let log = Log::default();
    let house = House::before(careless(log.clone()), log, layer()).await;
    let (key, free) = (house.notes_key().await, house.free_key().await);
    let get = |key: &str| {
        Request::get(house.server.url("/mcp"))
            .header("authorization", bearer(key))
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .body(SHELL.to_owned())
            .unwrap()
    };
    let answer = house.client.send(get(&key)).await;
    assert_eq!(answer.status, 200);
    assert!(house.log.take().is_empty());
    house.client.send(get(&free)).await;
    assert!(
        house
            .log
            .take()
            .contains(&"upgrade to websocket".to_owned())
    );
}
