//! Keys in the query: refused, and gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use http::Request;

use crate::support::tools::{call, message, with_key};
use crate::support::{Client, serve};
use crate::world::{Gateway, tells};

#[tokio::test]
async fn a_key_in_the_query_is_refused_and_neither_passed_on_nor_repeated_nor_logged() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let app = Router::new().fallback(move || {
        count.fetch_add(1, Ordering::SeqCst);
        async { "the server" }
    });
    let upstream = serve(app).await;
    let url = upstream.url("");
    let arguments = [
        "--upstream",
        &url,
        "--path-keys",
        "--accept-format",
        "plain=mgw_",
    ];
    let gateway = Gateway::start_logging("trace", &arguments).await;
    let usual = gateway.key().await;
    let plain = gateway
        .created(&["--format", "plain", "--prefix", "mgw_"])
        .await;
    for key in [&usual, &plain] {
        for client in [Client::http1(), Client::http2()] {
            for target in [
                format!("/mcp?api_key={key}"),
                format!("/mcp?a=b&next=https%3A%2F%2Fh%2F%3Fk%3D{key}"),
                format!("/mcp/{usual}?key={key}"),
                format!("/mcp/messages?{key}"),
                format!("/me?key={key}"),
                format!("/nowhere?key={key}"),
                format!("/healthz?key={key}"),
            ] {
                for headers in [&[][..], &[("x-api-key", usual.as_str())]] {
                    let answer = client.get(&gateway.url(&target), headers).await;
                    let refusal = (400, "key_in_query".to_owned());
                    assert_eq!(answer.refusal(), refusal, "{target}");
                    assert_eq!(answer.header("referrer-policy"), "no-referrer");
                    assert_eq!(answer.header("cache-control"), "no-store");
                    assert!(!tells(&format!("{answer:?}"), key), "{answer:?}");
                }
            }
        }
    }
    let target = gateway.url(&format!("/mcp?key={usual}"));
    let mcp = with_key(message(&target, None, &call("any")), &usual);
    let mcp = Client::http1().send(mcp).await;
    assert_eq!(mcp.refusal(), (400, "key_in_query".to_owned()));
    assert_eq!(mcp.json()["jsonrpc"], "2.0");
    let grpc = Request::post(&target).header("content-type", "application/grpc");
    let grpc = Client::http2().send(grpc.body("").unwrap()).await;
    assert_eq!(grpc.status, 200);
    assert_eq!(grpc.header("grpc-status"), "3", "INVALID_ARGUMENT");

    assert_eq!(asked.load(Ordering::SeqCst), 0, "the server heard of it");
    let log = gateway.errors();
    assert!(log.contains("TRACE"), "there is a log to look at");
    for key in [&usual, &plain] {
        assert_eq!(log.lines().find(|line| tells(line, key)), None);
    }

    // What a key is called by is no secret, and not every parameter is a key.
    for query in [
        "handle=mcp_sk_ATgKlpEa",
        "sessionId=0123456789abcdef0123456789abcdef",
    ] {
        let answer = Client::http1()
            .get(
                &gateway.url(&format!("/mcp?{query}")),
                &[("x-api-key", &usual)],
            )
            .await;
        assert_eq!(
            (answer.status.as_u16(), answer.text.as_str()),
            (200, "the server")
        );
    }
}
