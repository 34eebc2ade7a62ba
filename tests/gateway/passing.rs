//! What is passed on unchanged, and what is not.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::Request as AxumRequest;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::tools::{call, message};
use crate::support::{Answer, Client, Server, bearer, serve, soon};
use crate::world::{Gateway, header, mirror};

/// A server that answers each connection's first request with these bytes.
async fn raw(answer: &'static str) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    Server::new(address, async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4_096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
}

#[tokio::test]
async fn a_connections_own_headers_end_at_the_gateway_in_both_directions() {
    let seen_by = mirror().await;
    let gateway = Gateway::before(&seen_by).await;
    let key = gateway.key().await;
    let headers = [
        ("x-api-key", key.as_str()),
        ("connection", "close, X-Own"),
        ("x-own", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-authorization", "Basic eDp5"),
        ("proxy-connection", "close"),
        ("te", "deflate"),
        ("upgrade", "websocket"),
        ("x-stays", "1"),
        ("mcp-protocol-version", "2025-11-25"),
        ("cookie", "a=1"),
    ];
    let answer = Client::http1().get(&gateway.url("/mcp"), &headers).await;
    let seen = answer.json();
    let gone = [
        "connection",
        "x-own",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "upgrade",
    ];
    for name in gone {
        assert_eq!(header(&seen, name), "", "{name}");
    }
    for (name, value) in [
        ("x-stays", "1"),
        ("mcp-protocol-version", "2025-11-25"),
        ("cookie", "a=1"),
    ] {
        assert_eq!(header(&seen, name), value);
    }
    assert_eq!(header(&seen, "host"), seen_by.address.to_string());

    let upstream = raw(
        "HTTP/1.1 418 Short\r\nConnection: close, X-Own\r\nX-Own: 1\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Authenticate: Basic\r\nX-Stays: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\
         WWW-Authenticate: Own\r\nContent-Length: 3\r\n\r\ntea",
    )
    .await;
    let gateway = Gateway::before(&upstream).await;
    let key = gateway.key().await;
    for client in [Client::http1(), Client::http2()] {
        let answer = client
            .get(&gateway.url("/mcp"), &[("x-api-key", &key)])
            .await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (418, "tea"));
        for name in ["x-own", "keep-alive", "proxy-authenticate", "connection"] {
            assert_eq!(answer.header(name), "", "{name}");
        }
        assert_eq!(answer.header("x-stays"), "1");
        assert_eq!(answer.header("www-authenticate"), "Own");
        assert_eq!(answer.headers.get_all("set-cookie").iter().count(), 2);
    }
}

#[tokio::test]
async fn the_server_learns_where_a_request_came_from_from_trusted_proxies_only() {
    let upstream = mirror().await;
    let url = upstream.url("");
    let trusting = ["--upstream", &url, "--trusted-proxy", "127.0.0.0/8"];
    for (arguments, expected) in [
        (&trusting[..2], ["127.0.0.1", "http", "", ""]),
        (
            &trusting[..],
            [
                "203.0.113.7, 127.0.0.1",
                "https",
                "203.0.113.7",
                "for=203.0.113.7, for=127.0.0.1",
            ],
        ),
    ] {
        let gateway = Gateway::start(arguments).await;
        let key = gateway.key().await;
        let headers = [
            ("x-api-key", key.as_str()),
            ("x-forwarded-for", "203.0.113.7"),
            ("x-forwarded-proto", "https"),
            ("x-real-ip", "203.0.113.7"),
            ("forwarded", "for=203.0.113.7"),
        ];
        for client in [Client::http1(), Client::http2()] {
            let seen = client.get(&gateway.url("/mcp"), &headers).await.json();
            let names = [
                "x-forwarded-for",
                "x-forwarded-proto",
                "x-real-ip",
                "forwarded",
            ];
            assert_eq!(names.map(|name| header(&seen, name)), expected);
            let own = gateway.url.strip_prefix("http://").unwrap();
            assert_eq!(header(&seen, "x-forwarded-host"), own);
        }
    }
}

#[tokio::test]
async fn a_key_with_rules_on_addresses_goes_by_the_word_of_a_trusted_proxy() {
    let upstream = mirror().await;
    let gateway = Gateway::start(&[
        "--upstream",
        &upstream.url(""),
        "--trusted-proxy",
        "127.0.0.1",
        "--client-ip-header",
        "X-Real-IP",
    ])
    .await;
    let new = mcp_api_keys::NewKey::named("office")
        .all_servers()
        .allow_from("203.0.113.0/24".parse().unwrap());
    let key = crate::support::issue(&gateway.keys, new).await;
    for (address, status) in [("203.0.113.7", 200), ("198.51.100.1", 403)] {
        let headers = [("x-api-key", key.as_str()), ("x-real-ip", address)];
        let answer = Client::http1().get(&gateway.url("/mcp"), &headers).await;
        assert_eq!(answer.status, status);
    }
}

#[tokio::test]
async fn bodies_arrive_as_they_were_sent_with_length_and_without() {
    let upstream = mirror().await;
    let gateway = Gateway::before(&upstream).await;
    let key = gateway.key().await;
    for client in [Client::http1(), Client::http2()] {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let request = Request::builder().method(method).uri(gateway.url("/mcp"));
            let request = request.header("x-api-key", &key).body("some text").unwrap();
            let seen = client.send(request).await.json();
            assert_eq!(
                (&seen["method"], &seen["body"]),
                (&json!(method), &json!("some text"))
            );
        }
        let empty = Request::post(gateway.url("/mcp")).header("x-api-key", &key);
        let seen = client.send(empty.body("").unwrap()).await.json();
        assert_eq!(seen["body"], "");

        let frames = ["some ", "text"].map(|text| Ok(Frame::data(Bytes::from(text))));
        let chunked = Request::post(gateway.url("/mcp"))
            .header("x-api-key", &key)
            .body(StreamBody::new(tokio_stream::iter(frames)))
            .unwrap();
        let answer = Answer::of(client.open(chunked).await).await;
        assert_eq!(answer.json()["body"], "some text");
        assert_eq!(header(&answer.json(), "content-length"), "");
    }
}

#[tokio::test]
async fn a_redirect_by_the_server_leads_back_through_the_gateway() {
    let app = Router::new().fallback(|request: AxumRequest| async move {
        let own = request.headers()["host"].to_str().unwrap();
        let location = match request.uri().path() {
            // As servers do that want a slash at the end.
            "/api" => format!("https://{own}/api/?a=b"),
            "/api/away" => "https://elsewhere.test/api/".to_owned(),
            "/api/out" => format!("http://{own}/login"),
            path => return Response::new(Body::from(path.to_owned())),
        };
        let answer = Response::builder().status(307).header("location", location);
        let answer = answer.header("content-location", "/api/here");
        answer.body(Body::empty()).unwrap()
    });
    let upstream = serve(app).await;
    let own = upstream.address;
    let route = format!("files={}", upstream.url("/api"));
    let gateway = Gateway::start(&["--route", &route]).await;
    let (client, key) = (Client::http1(), gateway.key().await);
    for (path, location) in [
        ("/files/mcp", "/files/mcp/?a=b"),
        ("/files/mcp/away", "https://elsewhere.test/api/"),
        ("/files/mcp/out", &format!("http://{own}/login")),
    ] {
        let answer = client.get(&gateway.url(path), &[("x-api-key", &key)]).await;
        assert_eq!(answer.status, 307);
        assert_eq!(answer.header("location"), location);
        assert_eq!(answer.header("content-location"), "/files/mcp/here");
    }
    let answer = client
        .get(&gateway.url("/files/mcp/?a=b"), &[("x-api-key", &key)])
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.text.as_str()),
        (200, "/api/")
    );
}

/// A body that ends with trailers. Its length is not known, or HTTP/1.1 would have no place for them.
fn with_trailers(
    trailers: HeaderMap,
) -> StreamBody<impl tokio_stream::Stream<Item = Result<Frame<Bytes>, Infallible>>> {
    let data = Frame::data(Bytes::from("text"));
    StreamBody::new(tokio_stream::iter([
        Ok(data),
        Ok(Frame::trailers(trailers)),
    ]))
}

#[tokio::test]
async fn trailers_pass_in_both_directions_without_identities() {
    let app = Router::new().fallback(|request: AxumRequest| async move {
        let collected = request.into_body().collect().await.unwrap();
        let mut trailers = collected.trailers().cloned().unwrap_or_default();
        trailers.insert("x-answer", "1".parse().unwrap());
        Response::builder()
            .header("trailer", "x-answer, x-sum, x-mcp-key-id")
            .body(Body::new(with_trailers(trailers)))
            .unwrap()
    });
    let upstream = serve(app).await;
    let gateway = Gateway::before(&upstream).await;
    let key = gateway.key().await;
    let mut trailers = HeaderMap::new();
    for name in ["x-sum", "x-mcp-key-id", "authorization"] {
        trailers.insert(name, "1".parse().unwrap());
    }
    for client in [Client::http1(), Client::http2()] {
        let body = with_trailers(trailers.clone());
        let request = Request::post(gateway.url("/mcp"))
            .header("authorization", bearer(&key))
            .header("te", "trailers")
            .header("trailer", "x-sum, x-mcp-key-id, authorization");
        let response = client.open(request.body(body).unwrap()).await;
        let collected = soon(response.into_body().collect()).await.unwrap();
        let trailers = collected.trailers().unwrap();
        let mut names: Vec<_> = trailers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["x-answer", "x-sum"]);
    }
}

/// Calls as gRPC clients do; the answer is nothing but trailers.
async fn grpc(client: &Client, url: &str, key: &str, content_type: &str) -> Answer {
    let call = Request::post(url)
        .header("content-type", content_type)
        .header("te", "trailers")
        .header("x-api-key", key);
    let answer = client.send(call.body("").unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, ""));
    assert_eq!(answer.header("content-type"), content_type);
    answer
}

#[tokio::test]
async fn a_server_that_is_down_is_a_502_in_the_callers_shape_until_it_is_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    drop(listener);
    let gateway = Gateway::start(&["--upstream", &format!("http://{address}")]).await;
    let key = gateway.key().await;
    let client = Client::http1();

    let plain = client
        .get(&gateway.url("/mcp"), &[("x-api-key", &key)])
        .await;
    assert_eq!(plain.refusal(), (502, "upstream_unavailable".to_owned()));
    assert_eq!(plain.json()["error"]["type"], "api_error");
    let request = message(&gateway.url("/mcp"), None, &call("any"));
    let mcp = client
        .send(crate::support::tools::with_key(request, &key))
        .await;
    assert_eq!(mcp.refusal(), (502, "upstream_unavailable".to_owned()));
    assert_eq!(mcp.json()["jsonrpc"], "2.0");
    let number = mcp.json()["error"]["code"].as_i64().unwrap();
    assert!(!(-32_768..=-32_000).contains(&number));

    for content_type in ["application/grpc", "application/grpc-web+proto"] {
        for client in [Client::http1(), Client::http2()] {
            let down = grpc(&client, &gateway.url("/mcp"), &key, content_type).await;
            assert_eq!(down.header("grpc-status"), "14", "UNAVAILABLE");
            assert!(
                down.header("grpc-message")
                    .starts_with("upstream_unavailable: ")
            );
            for path in ["/nowhere", "/mcp/..%2Fx", "/me", "/healthz"] {
                let none = grpc(&client, &gateway.url(path), &key, content_type).await;
                assert_eq!(none.header("grpc-status"), "12", "UNIMPLEMENTED");
            }
        }
    }

    let listener = TcpListener::bind(address).await.unwrap();
    let back = tokio::spawn(async {
        let app = Router::new().fallback(|| async { StatusCode::NO_CONTENT });
        axum::serve(listener, app).await.unwrap();
    });
    let answer = client
        .get(&gateway.url("/mcp"), &[("x-api-key", &key)])
        .await;
    assert_eq!(answer.status, 204);
    back.abort();
}

#[tokio::test]
async fn a_server_that_breaks_off_or_talks_nonsense_is_a_502_too() {
    for answer in [
        "",
        "nonsense\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ] {
        let upstream = raw(answer).await;
        let gateway = Gateway::before(&upstream).await;
        let key = gateway.key().await;
        let answer = Client::http1()
            .get(&gateway.url("/mcp"), &[("x-api-key", &key)])
            .await;
        assert_eq!(answer.refusal(), (502, "upstream_unavailable".to_owned()));
    }
}
