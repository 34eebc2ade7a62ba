//! Lists show what a key may use.

use axum::Router;
use axum::body::Body;
use axum::routing::any;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::{Value, json};
use std::convert::Infallible;

use crate::support::bearer;
use crate::world::{House, Log, Mode, layer, list, messages, only};

fn names(result: &Value, what: &str, by: &str) -> Vec<String> {
    let entries = result["result"][what].as_array().unwrap();
    let mut names: Vec<_> = entries
        .iter()
        .map(|entry| entry[by].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn in_json_and_in_events_of_both_eras() {
    for mode in [Mode::Json, Mode::Events] {
        let house = House::new(mode).await;
        let (free, notes, reader) = (
            house.free_key().await,
            house.notes_key().await,
            house.reader().await,
        );
        for (key, tools, resources) in [
            (&free, &["read_note", "shell", "write_note"][..], 2),
            (&notes, &["read_note", "write_note"], 1),
            (&reader, &["read_note"], 2),
        ] {
            let is_free = key == &free;
            for modern in [false, true] {
                let ask = |what: &str| match modern {
                    false => house.message(key, list(what)),
                    true => house.modern(key, &format!("{what}/list"), json!({})),
                };
                let answer = house.client.send(ask("tools")).await;
                let kind = answer.header("content-type").to_owned();
                assert_eq!(kind.starts_with("application/json"), mode == Mode::Json);
                let result = only(&answer);
                assert_eq!(names(&result, "tools", "name"), tools, "{answer:?}");
                if !is_free {
                    assert_eq!(result["result"]["cacheScope"], "private", "{answer:?}");
                }
                if mode == Mode::Json {
                    let length = answer.header("content-length");
                    assert!(length.is_empty() || length == answer.text.len().to_string());
                }
                let answer = house.client.send(ask("resources")).await;
                let uris = names(&only(&answer), "resources", "uri");
                assert_eq!(uris.len(), resources, "{answer:?}");
            }
        }
    }
}

const TOOLS: &str = r#"{"jsonrpc":"2.0","id":3,"result":{"tools":[{"name":"shell"},{"name":"read_note"}],"ttlMs":5,"cacheScope":"public"}}"#;

/// An answer, whatever was asked, by the path of the request.
fn fixed() -> Router {
    let app = any(|request: Request<Body>| async move {
        let path = request.uri().path().to_owned();
        let response = Response::builder();
        let json = response.header("content-type", "application/json; charset=utf-8");
        match path.as_str() {
            "/json" => json.header("etag", "\"a\"").body(Body::from(TOOLS)),
            "/batch" => json.body(Body::from(format!("[{TOOLS},{TOOLS}]"))),
            "/part" => json.status(206).body(Body::from(&TOOLS[..60])),
            "/gzip" => json
                .header("content-encoding", "gzip")
                .body(Body::from(TOOLS)),
            "/text" => Response::builder().body(Body::from(TOOLS)),
            "/accepted" => Response::builder().status(202).body(Body::empty()),
            "/failed" => Response::builder().status(500).body(Body::from("sorry")),
            "/other-id" => json.body(Body::from(TOOLS.replace("3", "\"x\""))),
            "/huge" => json.body(Body::from(vec![b' '; 5 << 20])),
            "/trailers" | "/events" | "/cr" => {
                let end = if path == "/cr" { "\r" } else { "\r\n" };
                let text = format!("event: message{end}data: {TOOLS}{end}{end}");
                let mut parts: Vec<_> = text
                    .as_bytes()
                    .chunks(5)
                    .map(|part| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(part))))
                    .collect();
                if path == "/trailers" {
                    let trailers = [("x-end".parse().unwrap(), "1".parse().unwrap())];
                    parts.push(Ok(Frame::trailers(trailers.into_iter().collect())));
                }
                Response::builder()
                    .header("content-type", "Text/Event-Stream;charset=utf-8")
                    .header("content-length", text.len())
                    .body(Body::new(StreamBody::new(tokio_stream::iter(parts))))
            }
            other => panic!("{other}"),
        }
        .unwrap()
    });
    Router::new().fallback(app)
}

#[tokio::test]
async fn whatever_form_the_answer_has_nothing_else_is_shown() {
    let house = House::before(fixed(), Log::default(), layer()).await;
    let key = house.notes_key().await;
    let ask = async |path: &str| {
        let mut request = house.message(&key, list("tools"));
        *request.uri_mut() = house.server.url(path).parse().unwrap();
        house.client.send(request).await
    };
    for path in [
        "/json",
        "/batch",
        "/other-id",
        "/events",
        "/cr",
        "/trailers",
    ] {
        let answer = ask(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(!answer.text.contains("shell"), "{path}: {answer:?}");
        assert!(answer.text.contains("read_note"), "{path}: {answer:?}");
        assert!(answer.text.contains(r#""cacheScope":"private""#), "{path}");
        assert_eq!(answer.header("etag"), "", "of a body that nobody gets");
    }
    for path in ["/part", "/gzip", "/text", "/huge"] {
        let answer = ask(path).await;
        assert_eq!(answer.status, 502, "{path}: {answer:?}");
        assert!(!answer.text.contains("shell"), "{path}: {answer:?}");
        assert_eq!(answer.json()["id"], 3);
    }
    let accepted = ask("/accepted").await;
    assert_eq!(
        (accepted.status.as_u16(), accepted.text.as_str()),
        (202, "")
    );
    let failed = ask("/failed").await;
    assert_eq!(
        (failed.status.as_u16(), failed.text.as_str()),
        (500, "sorry")
    );
}

/// A server with a store of events may send an old answer once more to whoever asks by GET.
#[tokio::test]
async fn in_what_is_sent_again_on_a_get_as_well() {
    let house = House::before(fixed(), Log::default(), layer()).await;
    let (key, free) = (house.notes_key().await, house.free_key().await);
    for (key, sees_all) in [(&key, false), (&free, true)] {
        let request = Request::get(house.server.url("/events"))
            .header("authorization", bearer(key))
            .header("accept", "text/event-stream")
            .header("last-event-id", "1")
            .body(String::new())
            .unwrap();
        let answer = house.client.send(request).await;
        assert!(answer.text.contains("read_note"), "{answer:?}");
        assert_eq!(answer.text.contains("shell"), sees_all, "{answer:?}");
    }
}

/// An answer to HEAD has no body to look into, and keeps what it says of one.
#[tokio::test]
async fn a_head_request_passes() {
    let house = House::before(fixed(), Log::default(), layer()).await;
    let key = house.notes_key().await;
    let request = Request::head(house.server.url("/json")).header("authorization", bearer(&key));
    let answer = house
        .client
        .send(request.body(String::new()).unwrap())
        .await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, ""));
}

#[tokio::test]
async fn a_call_that_answers_with_a_list_is_not_taken_for_one() {
    let app = Router::new().fallback(|| async {
        let text = r#"{"jsonrpc":"2.0","id":2,"result":{"content":[],"tools":[{"name":"shell"}]}}"#;
        Response::builder()
            .header("content-type", "application/json")
            .body(Body::from(text))
            .unwrap()
    });
    let house = House::before(app, Log::default(), layer()).await;
    let key = house.notes_key().await;
    let answer = house.say(&key, crate::world::call("read_note")).await;
    assert!(messages(&answer)[0]["result"]["tools"][0]["name"] == "shell");
}
