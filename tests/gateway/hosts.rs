//! Under which names the gateway may be asked for.

use http::Request;

use crate::notes::{Notes, call};
use crate::support::{Answer, Client};
use crate::world::{Gateway, mirror};

async fn ask(gateway: &Gateway, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::post(gateway.url(path)).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(call("shell").to_string()).unwrap();
    Client::http1().send(request).await
}

#[tokio::test]
async fn on_a_loopback_address_a_foreign_name_ends_a_request_before_its_key_is_looked_at() {
    let (notes, gateway) = Notes::behind(&[]).await;
    let key = gateway.key().await;
    let own = gateway.url.strip_prefix("http://").unwrap();
    let port = own.rsplit_once(':').unwrap().1;
    let local = format!("localhost:{port}");
    let page = format!("http://{local}");
    for headers in [
        vec![],
        vec![("host", own)],
        vec![("host", &*local)],
        vec![("host", "[::1]"), ("origin", &*page)],
        vec![("origin", "http://127.0.0.1:6274")],
    ] {
        let headers = [&headers[..], &[("x-api-key", &*key)]].concat();
        let answer = ask(&gateway, "/mcp", &headers).await;
        assert_eq!(answer.status, 200, "{headers:?}");
    }
    assert_eq!(notes.reached().len(), 5);
    let rebound = format!("evil.test:{port}");
    for headers in [
        vec![("host", &*rebound)],
        vec![("host", &*rebound), ("origin", &*page)],
        vec![("origin", "https://evil.test")],
        vec![("origin", "null")],
    ] {
        for key in [&*key, "mcp_sk_wrong"] {
            let headers = [&headers[..], &[("x-api-key", key)]].concat();
            let answer = ask(&gateway, "/mcp", &headers).await;
            assert_eq!(answer.refusal(), (403, "host_not_allowed".to_owned()));
            assert!(answer.text.contains("--allowed-host"), "{answer:?}");
        }
    }
    let headers = [("host", "evil.test"), ("x-api-key", &*key)];
    for path in ["/me", "/nowhere", "/mcp?api_key=x"] {
        assert_eq!(ask(&gateway, path, &headers).await.status, 403, "{path}");
    }
    let probe = Client::http1().get(&gateway.url("/healthz"), &headers);
    assert_eq!(probe.await.status, 200);
    assert!(notes.reached().is_empty());
}

#[tokio::test]
async fn names_can_be_allowed_and_behind_a_proxy_or_beyond_loopback_all_are() {
    let upstream = mirror().await;
    let url = upstream.url("");
    let one = ["--allowed-host", "files.test"];
    for (listen, arguments, ours, localhost) in [
        ("127.0.0.1:0", &[][..], 403, 200),
        ("127.0.0.1:0", &one, 200, 403),
        (
            "127.0.0.1:0",
            &["--allowed-host", "files.test:81"],
            403,
            403,
        ),
        ("127.0.0.1:0", &["--allowed-host", "*"], 200, 200),
        ("127.0.0.1:0", &["--trusted-proxy", "10.0.0.0/8"], 200, 200),
        ("0.0.0.0:0", &[], 200, 200),
        ("0.0.0.0:0", &one, 200, 403),
    ] {
        let base = ["--listen", listen, "--upstream", &url];
        let mut gateway = Gateway::start_as_told(&[&base, arguments].concat()).await;
        gateway.url = gateway.url.replace("0.0.0.0", "127.0.0.1");
        let key = gateway.key().await;
        for (host, status) in [("files.test", ours), ("localhost", localhost)] {
            let headers = [("x-api-key", &*key), ("host", host)];
            let answer = ask(&gateway, "/mcp", &headers).await;
            assert_eq!(answer.status, status, "{listen} {arguments:?} {host}");
        }
    }
}
