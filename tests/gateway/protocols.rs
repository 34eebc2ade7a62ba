//! HTTP/1.1 and HTTP/2, in clear and over TLS.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::{Client, soon};
use crate::world::{Gateway, file, header, mirror};

#[tokio::test]
async fn http2_by_prior_knowledge_reaches_the_same_server() {
    let upstream = mirror().await;
    let gateway = Gateway::before(&upstream).await;
    let key = gateway.key().await;
    let request = Request::get(gateway.url("/mcp"))
        .header("x-api-key", &key)
        .header("cookie", "a=1")
        .header("cookie", "b=2");
    let answer = Client::http2().send(request.body("").unwrap()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(header(&answer.json(), "cookie"), "a=1; b=2");
    let refused = Client::http2().get(&gateway.url("/mcp"), &[]).await;
    assert_eq!(refused.status, 401);
}

struct Certificate {
    folder: tempfile::TempDir,
    der: rustls_pki_types::CertificateDer<'static>,
}

impl Certificate {
    fn for_localhost() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        file(&folder, "cert.pem", &made.cert.pem());
        file(&folder, "key.pem", &made.signing_key.serialize_pem());
        Self {
            folder,
            der: made.cert.der().clone(),
        }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    async fn connect(&self, url: &str, protocol: &str) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let address = url.strip_prefix("https://").unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let name = "localhost".try_into().unwrap();
        soon(connector.connect(name, stream)).await.unwrap()
    }
}

#[tokio::test]
async fn over_tls_both_versions_are_spoken_as_the_caller_prefers() {
    let certificate = Certificate::for_localhost();
    let upstream = mirror().await;
    let gateway = Gateway::start(&[
        "--upstream",
        &upstream.url(""),
        "--tls-cert",
        &certificate.path("cert.pem"),
        "--tls-key",
        &certificate.path("key.pem"),
    ])
    .await;
    assert!(gateway.url.starts_with("https://"));
    let key = gateway.key().await;
    let request = |uri: &str| {
        let request = Request::get(uri).header("x-api-key", &key);
        request
            .header("host", "gateway.test")
            .body(Empty::<Bytes>::new())
            .unwrap()
    };

    let io = TokioIo::new(certificate.connect(&gateway.url, "http/1.1").await);
    let (mut sender, connection) = http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let first = soon(sender.send_request(request("/mcp"))).await.unwrap();
    assert_eq!(
        (first.status().as_u16(), first.version()),
        (200, Version::HTTP_11)
    );
    let body = first.into_body().collect().await.unwrap().to_bytes();
    let seen: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(header(&seen, "x-forwarded-proto"), "https");
    assert_eq!(header(&seen, "x-forwarded-host"), "gateway.test");

    let io = TokioIo::new(certificate.connect(&gateway.url, "h2").await);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let second = sender.send_request(request("https://gateway.test/mcp"));
    let second = soon(second).await.unwrap();
    assert_eq!(
        (second.status().as_u16(), second.version()),
        (200, Version::HTTP_2)
    );
}

/// The page's cookies are never sent without TLS then.
#[tokio::test]
async fn the_admin_address_speaks_tls_too() {
    let certificate = Certificate::for_localhost();
    let upstream = mirror().await;
    let gateway = Gateway::start(&[
        "--upstream",
        &upstream.url(""),
        "--admin-listen",
        "0",
        "--tls-cert",
        &certificate.path("cert.pem"),
        "--tls-key",
        &certificate.path("key.pem"),
    ])
    .await;
    let admin = gateway.admin.clone().unwrap();
    assert!(admin.starts_with("https://127.0.0.1:"), "{admin}");
    let io = TokioIo::new(certificate.connect(&admin, "http/1.1").await);
    let (mut sender, connection) = http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let mut ask = async |path: &str, key: Option<&str>| {
        let mut request = Request::get(path).header("host", "localhost");
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let answer = soon(sender.send_request(request)).await.unwrap();
        let (head, body) = answer.into_parts();
        body.collect().await.unwrap();
        head
    };
    let page = ask("/sign-in", None).await;
    assert_eq!(page.status, 200);
    let cookie = page.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("__Host-"), "{cookie}");
    assert!(
        cookie.contains("Secure") && cookie.contains("HttpOnly"),
        "{cookie}"
    );
    let key = gateway
        .created(&["--scope", "keys:*", "--scope", "metrics:read"])
        .await;
    for path in ["/api/v1/keys", "/metrics"] {
        assert_eq!(ask(path, None).await.status, 401, "{path}");
        assert_eq!(ask(path, Some(&key)).await.status, 200, "{path}");
    }
    // In clear there is nothing to be had.
    let address = admin.strip_prefix("https://").unwrap();
    let plain = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(plain)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("/sign-in").header("host", "localhost");
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    assert!(soon(sender.send_request(request)).await.is_err());
}

#[tokio::test]
async fn a_certificate_and_a_key_that_do_not_fit_end_the_start() {
    let (one, other) = (Certificate::for_localhost(), Certificate::for_localhost());
    let (cert, key) = (one.path("cert.pem"), other.path("key.pem"));
    for (cert, key, named) in [
        (cert.as_str(), key.as_str(), "--tls-cert"),
        ("nowhere.pem", key.as_str(), "--tls-cert"),
        (key.as_str(), key.as_str(), "--tls-cert"),
        (cert.as_str(), cert.as_str(), "--tls-key"),
    ] {
        let start = [
            "--listen",
            "127.0.0.1:0",
            "--upstream",
            "http://127.0.0.1:9",
        ];
        let tls = ["--tls-cert", cert, "--tls-key", key];
        let output = crate::world::refused(&[&start[..], &tls[..]].concat()).await;
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(named), "{errors}");
    }
}
