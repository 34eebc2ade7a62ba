//! Ways around a key's rules. Behind is a server that would run anything.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use http::Request;
use mcp_api_keys::NewKey;
use mcp_api_keys::key::McpRules;

use crate::notes::{Notes, call, say};
use crate::support::{Client, issue};

const CALL: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"shell"}}"#;
const READ: &str =
    r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"read_note"}}"#;

/// What a server may take for a call of `shell`, and a careless reader for something else.
fn bodies() -> Vec<Vec<u8>> {
    let texts = [
        CALL,
        r#"{"jsonrpc":"2.0","id":7,"method":"ping","method":"tools/call","params":{"name":"shell"}}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","method":"ping","params":{"name":"shell"}}"#,
        r#"{"jsonrpc":"2.0","id":7,"m\u0065thod":"tools/call","params":{"name":"shell"}}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"ping","m\u0065thod":"tools/call","params":{"name":"shell"}}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/c\u0061ll","params":{"n\u0061me":"sh\u0065ll"}}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"read_note","name":"shell"}}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"shell","name":"read_note"}}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"shell"},"params":{"name":"read_note"}}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"read_note"},"params":{"name":"shell"}}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"ping","Method":"tools/call","params":{"name":"shell"}}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"read_note","Name":"shell"}}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"read_note"},"Params":{"name":"shell"}}"#,
        r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"shell"}}"#,
        r#"{"jsonrpc":"2.0","id":null,"method":"tools/call","params":{"name":"shell"}}"#,
        r#"{"jsonrpc":"2.0","id":7,"result":{},"method":"tools/call","params":{"name":"shell"}}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":["shell"]}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":["shell"]}}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":["tools/call"],"params":{"name":"shell"}}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"Tools/Call","params":{"name":"shell"}}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call ","params":{"name":"shell"}}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"shell","_meta":{}}}x"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"ping"}{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"shell"}}"#,
        r#"{/**/"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"shell"}}"#,
        r#"{"jsonrpc":"2.0","id":NaN,"method":"tools/call","params":{"name":"shell"}}"#,
        r#""{\"method\":\"tools/call\",\"params\":{\"name\":\"shell\"}}""#,
        "[[{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\"params\":{\"name\":\"shell\"}}]]",
    ];
    let mut bodies: Vec<Vec<u8>> = texts.map(|text| text.as_bytes().to_vec()).to_vec();
    bodies.push(format!("[{READ},{CALL}]").into_bytes());
    bodies.push(format!("[{CALL}]").into_bytes());
    bodies.push(format!("\u{feff}{CALL}").into_bytes());
    bodies.push(format!("{CALL}\0").into_bytes());
    let wide = CALL.encode_utf16().flat_map(u16::to_le_bytes);
    bodies.push(wide.collect());
    bodies.push([&[0xff, 0xfe], CALL.as_bytes()].concat());
    bodies.push(CALL.replace("shell", "sh\\u0065ll").into_bytes());
    bodies
}

fn restricted() -> NewKey {
    let rules = McpRules::default().allow_tool("read_*".parse().unwrap());
    NewKey::named("restricted").all_servers().mcp(rules)
}

#[tokio::test]
async fn no_way_of_writing_a_call_gets_around_the_rules() {
    let (notes, gateway) = Notes::behind(&[]).await;
    let key = issue(&gateway.keys, restricted()).await;
    let reader = NewKey::named("reader").all_servers().read_only();
    let reader = issue(&gateway.keys, reader).await;
    let lies = [("mcp-method", "tools/call"), ("mcp-name", "read_note")];
    let versions: [&[&str]; 5] = [
        &[],
        &["2025-03-26"],
        &["2026-07-28"],
        &["2026-07-28", "2025-03-26"],
        &["2099-01-01"],
    ];
    for client in [Client::http1(), Client::http2()] {
        for key in [&key, &reader] {
            for body in bodies() {
                for versions in versions {
                    let mut request = Request::post(gateway.url("/mcp"))
                        .header("x-api-key", key)
                        .header("content-type", "application/json")
                        .header("accept", "application/json, text/event-stream");
                    for (name, value) in lies {
                        request = request.header(name, value);
                    }
                    for version in versions {
                        request = request.header("mcp-protocol-version", *version);
                    }
                    client.send(request.body(body.clone()).unwrap()).await;
                    let body = String::from_utf8_lossy(&body);
                    assert!(notes.reached().is_empty(), "{body} {versions:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn no_type_encoding_or_method_gets_around_the_rules() {
    let (notes, gateway) = Notes::behind(&[]).await;
    let key = issue(&gateway.keys, restricted()).await;
    let free = gateway.key().await;
    let json = "application/json";
    for (method, headers, passes_a_free_key) in [
        ("POST", vec![], true),
        ("POST", vec![("content-type", "text/plain")], true),
        ("POST", vec![("content-type", "application/json-rpc")], true),
        (
            "POST",
            vec![("content-type", "text/plain, application/json")],
            true,
        ),
        (
            "POST",
            vec![("content-type", "text/plain"), ("content-type", json)],
            true,
        ),
        ("POST", vec![("content-type", "application/grpc")], true),
        (
            "POST",
            vec![("content-type", "application/grpc, application/json")],
            true,
        ),
        (
            "POST",
            vec![("content-type", "application/grpc"), ("content-type", json)],
            true,
        ),
        (
            "POST",
            vec![("content-type", json), ("content-encoding", "gzip")],
            true,
        ),
        (
            "POST",
            vec![("content-type", "APPLICATION/JSON; charset=utf-7")],
            true,
        ),
        ("PUT", vec![("content-type", json)], true),
        ("PATCH", vec![("content-type", "Application/Json")], true),
        ("DELETE", vec![("content-type", json)], true),
        ("OPTIONS", vec![("content-type", json)], true),
        (
            "GET",
            vec![("content-type", json), ("x-http-method-override", "POST")],
            false,
        ),
        ("tools", vec![("content-type", json)], true),
    ] {
        let ask = async |key: &str| {
            let mut request = Request::builder().method(method).uri(gateway.url("/mcp"));
            for (name, value) in &headers {
                request = request.header(*name, *value);
            }
            let request = request.header("x-api-key", key).body(CALL).unwrap();
            let answer = Client::http1()
                .open(request.map(http_body_util::Full::from))
                .await;
            // A request whose body was taken away does no harm.
            let reached = notes.reached();
            let called = reached.iter().filter(|one| !one.body.is_empty()).count();
            (answer.status().as_u16(), called)
        };
        let (status, called) = ask(&key).await;
        assert_eq!(called, 0, "{method} {headers:?}");
        assert!(
            [200, 415].contains(&status),
            "{method} {headers:?}: {status}"
        );
        // It is for the key that it does not pass, not for what it is.
        let (_, called) = ask(&free).await;
        assert_eq!(
            called,
            usize::from(passes_a_free_key),
            "{method} {headers:?}"
        );
    }
    for (content_type, status) in [
        ("text/plain", 415),
        ("application/grpc+json", 200),
        ("application/json", 200),
    ] {
        let request = Request::post(gateway.url("/mcp")).header("content-type", content_type);
        let request = request.header("x-api-key", &key).body(CALL).unwrap();
        let answer = Client::http1().send(request).await;
        assert_eq!(answer.status, status, "{content_type}");
        match content_type {
            "text/plain" => assert_eq!(answer.refusal().1, "unsupported_media_type"),
            "application/json" => assert_eq!(answer.refusal().1, "tool_not_allowed"),
            _ => assert_eq!(answer.header("grpc-status"), "3"),
        }
    }
}

#[tokio::test]
async fn what_passes_is_read_as_it_was_judged() {
    let (notes, gateway) = Notes::behind(&[]).await;
    let key = issue(&gateway.keys, restricted()).await;
    for (content_types, passes) in [
        (&["application/json; charset=utf-8"][..], true),
        (&["APPLICATION/JSON"], true),
        (&["application/json; charset=utf-7"], false),
        (&["application/json", "text/plain"], false),
    ] {
        let mut request = Request::post(gateway.url("/mcp"))
            .header("x-api-key", &key)
            .header("content_type", "text/plain")
            .header("content-encoding", "identity");
        for content_type in content_types {
            request = request.header("content-type", *content_type);
        }
        let answer = Client::http1().send(request.body(READ).unwrap()).await;
        let reached = notes.reached();
        assert!(
            !passes || reached.len() == 1,
            "{content_types:?} {answer:?}"
        );
        for request in reached {
            let types = request.headers.get_all("content-type");
            let types: Vec<_> = types.iter().map(|value| value.to_str().unwrap()).collect();
            assert!(
                ["application/json", "application/json; charset=utf-8"].contains(&types[0]),
                "{types:?}"
            );
            assert_eq!(types.len(), 1);
            assert!(request.headers.get("content_type").is_none());
            assert!(request.headers.get("content-encoding").is_none());
            assert_eq!(request.body, READ);
        }
    }
}

#[tokio::test]
async fn a_message_may_be_as_large_as_was_said_and_come_in_any_pieces() {
    let (notes, gateway) = Notes::behind(&["--max-body", "1KiB"]).await;
    let key = issue(&gateway.keys, restricted()).await;
    let padded = |body: &str, size: usize| format!("{body}{}", " ".repeat(size - body.len()));
    let request = async |body: String| {
        let request = Request::post(gateway.url("/mcp")).header("x-api-key", &key);
        let request = request.header("content-type", "application/json");
        let request = request.body(body).unwrap();
        Client::http1().send(request).await
    };
    assert_eq!(request(padded(READ, 1_024)).await.status, 200);
    assert_eq!(notes.reached().len(), 1);
    let answer = request(padded(READ, 1_025)).await;
    assert_eq!(answer.refusal(), (413, "body_too_large".to_owned()));
    assert!(notes.reached().is_empty());
    assert_eq!(say(&gateway, &key, &call("read_note")).await.status, 200);
    notes.reached();

    let address = gateway.url.strip_prefix("http://").unwrap().to_owned();
    for (body, passes) in [(READ, true), (CALL, false)] {
        for size in [1, 2, 3, 7, 30] {
            let (address, key) = (address.clone(), key.clone());
            let answer = move || chunked(&address, &key, body.as_bytes(), size);
            let answer = tokio::task::spawn_blocking(answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            let reached = notes.reached();
            assert_eq!(reached.len(), usize::from(passes), "{size}");
            assert!(reached.iter().all(|one| one.body == READ));
        }
    }
}

/// Sends a body in chunks of this size, each in a packet of its own, and reads the answer.
fn chunked(address: &str, key: &str, body: &[u8], size: usize) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: {address}\r\nX-API-Key: {key}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    for part in body.chunks(size) {
        write!(stream, "{:x}\r\n", part.len()).unwrap();
        stream.write_all(part).unwrap();
        stream.write_all(b"\r\n").unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
