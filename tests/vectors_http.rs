//! The vectors, through a real hyper server: bytes in on a socket, bytes out.

#![cfg(feature = "testing")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Params, Version};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use mcp_api_keys::client_ip::{ClientIp, ClientIpSource, PeerAddr};
use mcp_api_keys::key::{
    Credential, CredentialId, KeyFormat, KeyId, KeyRecord, Network, Scope, ScopeSet, Servers,
};
use mcp_api_keys::layer::ReadBody;
use mcp_api_keys::policy::ScopeRule;
use mcp_api_keys::signing::{MemoryReplayGuard, SigningMode};
use mcp_api_keys::store::{KeyStore, MemoryStore};
use mcp_api_keys::testing::{Faults, FaultyStore, ManualClock};
use mcp_api_keys::{
    ApiKeyLayer, ApiKeys, Argon2Params, KeyContext, NewKey, SignedRequestLayer, Timestamp,
};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer, Service, service_fn};

/// A hyper server on a loopback port that serves one connection after another.
struct Server {
    address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// `peer` is what the server is told of the connection, since all of ours come from loopback.
    async fn start(layer: ApiKeyLayer, peer: Option<IpAddr>) -> Self {
        Self::serve(layer.layer(service_fn(echo)), peer).await
    }

    async fn serve<S, R>(guarded: S, peer: Option<IpAddr>) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<R>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
        R: Body<Data = Bytes, Error = Infallible> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let guarded = guarded.clone();
                let service = service_fn(move |mut request: Request<Incoming>| {
                    if let Some(peer) = peer {
                        request
                            .extensions_mut()
                            .insert(PeerAddr(SocketAddr::new(peer, 4_711)));
                    }
                    tower::util::ServiceExt::oneshot(guarded.clone(), request)
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)),
                );
            }
        });
        Self { address, task }
    }

    async fn send(&self, target: &str, headers: &[(String, Vec<u8>)]) -> Answer {
        self.send_with("GET", target, headers, b"").await
    }

    async fn send_with(
        &self,
        method: &str,
        target: &str,
        headers: &[(String, Vec<u8>)],
        body: &[u8],
    ) -> Answer {
        let mut wire =
            format!("{method} {target} HTTP/1.1\r\nhost: example.test\r\nconnection: close\r\n")
                .into_bytes();
        if !body.is_empty() {
            wire.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
        }
        for (name, value) in headers {
            wire.extend_from_slice(name.as_bytes());
            wire.extend_from_slice(b": ");
            wire.extend_from_slice(value);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"\r\n");
        wire.extend_from_slice(body);
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(&wire).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        Answer(String::from_utf8(answer).unwrap())
    }
}

/// Shows what is seen behind the layer.
async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let key = request.extensions().get::<KeyContext>().expect("a key");
    let seen = serde_json::json!({
        "carrier": key.carrier(),
        "handle": key.handle(),
        "target": request.uri().path_and_query().unwrap().as_str(),
        "headers": format!("{:?}", request.headers()),
    });
    Ok(Response::new(Full::new(Bytes::from(seen.to_string()))))
}

struct Answer(String);

impl Answer {
    fn status(&self) -> u16 {
        self.0.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let head = self.0.split("\r\n\r\n").next().unwrap();
        head.split("\r\n").skip(1).find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn body(&self) -> &str {
        self.0.split_once("\r\n\r\n").unwrap().1
    }
}

fn vectors(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

async fn keys_in(store: impl KeyStore, client_ip: ClientIp) -> ApiKeys {
    ApiKeys::builder(store)
        .argon2(Argon2Params::new(8, 1, 1).unwrap())
        .client_ip(client_ip)
        .failure_limit(None)
        .build()
        .await
        .unwrap()
}

/// A record of a key whose text is known, as an issuer would have stored it.
fn record_of(key: &str) -> KeyRecord {
    let params = Params::new(8, 1, 1, Some(32)).unwrap();
    let mut output = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
        .hash_password_into(key.as_bytes(), &[9; 16], &mut output)
        .unwrap();
    let phc = PasswordHash {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params).unwrap(),
        salt: Some(Salt::new(&[9; 16]).unwrap()),
        hash: Some(Output::new(&output).unwrap()),
    };
    let now = Timestamp::from_millis(1_790_000_000_000);
    let handle = KeyFormat::default()
        .parse(key.as_bytes())
        .unwrap()
        .handle()
        .parse()
        .unwrap();
    let mut record = KeyRecord::new(KeyId::generate(now), "vector", now);
    record.servers = Servers::All;
    record.credentials = vec![Credential::new(
        CredentialId::FIRST,
        handle,
        "mcp_sk_",
        phc.to_string(),
        now,
    )];
    record
}

#[tokio::test]
async fn key_format_vectors() {
    let file = vectors(include_str!("vectors/key_format.json"));
    let store = MemoryStore::new();
    for key in file["keys"].as_object().unwrap().values() {
        store
            .insert(&record_of(text(key)), &mcp_api_keys::testing::act())
            .await
            .unwrap();
    }
    let mut checked = 0;
    for vector in list(&file["vectors"]) {
        let faulty = FaultyStore::new(store.clone());
        let faults = faulty.faults();
        // Afresh each time, so that nothing is remembered.
        let keys = keys_in(faulty, ClientIp::peer()).await;
        let sources: Vec<&str> = list(&vector["sources"]).iter().map(text).collect();
        let mut layer = keys.layer();
        if !sources.contains(&"x-api-key") {
            layer = layer
                .no_default_extractors()
                .extractor(mcp_api_keys::extract::Bearer::new());
        }
        if sources.contains(&"path") {
            layer = layer.path_keys("/mcp/{key}").unwrap();
        }
        let server = Server::start(layer, None).await;
        check_key_vector(vector, &server, &keys, &faults, &file["keys"]).await;
        checked += 1;
    }
    assert!(checked > 20);
}

async fn check_key_vector(
    vector: &Value,
    server: &Server,
    keys: &ApiKeys,
    faults: &Faults,
    known: &Value,
) {
    let what = format!("{}: {}", text(&vector["id"]), text(&vector["note"]));
    let expect = &vector["expect"];
    let headers: Vec<_> = list(&vector["headers"])
        .iter()
        .map(|header| (text(&header["name"]).to_owned(), header_value(header)))
        .collect();
    let answer = server.send(text(&vector["target"]), &headers).await;
    match text(&expect["class"]) {
        "candidate" => {
            assert_eq!(answer.status(), 200, "{what}: {}", answer.0);
            let seen: Value = serde_json::from_str(answer.body()).unwrap();
            let carrier = match text(&expect["carrier"]) {
                "x-api-key" => "header",
                carrier => carrier,
            };
            assert_eq!(seen["carrier"], carrier, "{what}");
            assert_eq!(seen["handle"], expect["handle"], "{what}");
            if let Some(target) = expect["downstream_target"].as_str() {
                assert_eq!(seen["target"], target, "{what}");
            }
        }
        "transport" => assert_eq!(answer.status(), 400, "{what}"),
        class => {
            assert_eq!(
                u64::from(answer.status()),
                expect["status"].as_u64().unwrap(),
                "{what}"
            );
            let challenge = answer.header("www-authenticate").expect(&what);
            match expect["www_authenticate_error"].as_str() {
                None => assert!(!challenge.contains("error="), "{what}: {challenge}"),
                Some(error) => {
                    assert!(
                        challenge.contains(&format!("error=\"{error}\"")),
                        "{what}: {challenge}"
                    );
                }
            }
            let code = match class {
                "missing" => "missing_api_key",
                "malformed" => "invalid_api_key",
                "ambiguous" => "ambiguous_credentials",
                other => panic!("{what}: a class {other} that is new"),
            };
            let body: Value = serde_json::from_str(answer.body()).unwrap();
            assert_eq!(body["error"]["code"], code, "{what}");
        }
    }
    let lookups = faults.lookups() as u64;
    assert!(
        lookups <= expect["max_store_lookups"].as_u64().unwrap(),
        "{what}"
    );
    let hashes = keys.stats().slow_hashes;
    assert!(
        hashes <= expect["max_argon2_calls"].as_u64().unwrap(),
        "{what}"
    );
    for key in known.as_object().unwrap().values() {
        for part in text(key).as_bytes()[15..].windows(8) {
            let part = std::str::from_utf8(part).unwrap();
            // A run of zeros is no secret.
            assert!(part == "00000000" || !answer.0.contains(part), "{what}");
        }
    }
}

fn header_value(header: &Value) -> Vec<u8> {
    match header["hex"].as_str() {
        None => text(&header["text"]).as_bytes().to_vec(),
        Some(hex) => bytes(hex),
    }
}

fn bearer(key: &str) -> (String, Vec<u8>) {
    (
        "Authorization".to_owned(),
        format!("Bearer {key}").into_bytes(),
    )
}

fn networks(value: &Value) -> Vec<Network> {
    list(value)
        .iter()
        .map(|rule| text(rule).parse().unwrap())
        .collect()
}

#[tokio::test]
async fn signing_vectors() {
    let file = vectors(include_str!("vectors/signing.json"));
    let list = list(&file["vectors"]);
    for vector in list {
        let what = format!("{}: {}", text(&vector["id"]), text(&vector["note"]));
        let clock = ManualClock::at(Timestamp::from_millis(0));
        let store = MemoryStore::new();
        let key = text(&vector["api_key"]);
        let record = record_of(key);
        store
            .insert(&record, &mcp_api_keys::testing::act())
            .await
            .unwrap();
        let keys = ApiKeys::builder(store)
            .clock(clock.clone())
            .build()
            .await
            .unwrap();
        let mode = match vector["signing_required"].as_bool().unwrap() {
            true => SigningMode::Required,
            false => SigningMode::Optional,
        };
        let tolerance = Duration::from_secs(vector["tolerance_s"].as_u64().unwrap());
        let signing = SignedRequestLayer::new(mode)
            .tolerance(tolerance)
            .replay_guard(MemoryReplayGuard::new());
        let layer = keys.layer().with_signing(signing);
        let server = Server::serve(layer.layer(service_fn(hear)), None).await;
        let send = async |vector: &Value| {
            clock.set_wall(Timestamp::from_millis(
                vector["now"].as_i64().unwrap() * 1_000,
            ));
            let headers = vector["headers"].as_array().unwrap().iter();
            let headers = headers.map(|header| {
                let value = text(&header[1]).as_bytes().to_vec();
                (text(&header[0]).to_owned(), value)
            });
            let headers: Vec<_> = headers.chain([bearer(key)]).collect();
            let body = bytes(text(&vector["body"]["hex"]));
            server.send_with("POST", "/mcp", &headers, &body).await
        };
        if let Some(earlier) = vector["replay_of"].as_str() {
            let earlier = list.iter().find(|vector| vector["id"] == earlier).unwrap();
            assert_eq!(send(earlier).await.status(), 200, "{what}");
        }
        let answer = send(vector).await;
        let code = match text(&vector["expect"]) {
            "ok" => {
                assert_eq!(answer.status(), 200, "{what}: {}", answer.0);
                assert_eq!(answer.body(), text(&vector["body"]["hex"]), "{what}");
                continue;
            }
            "duplicate" => "ambiguous_signature",
            "missing" => "missing_signature",
            "malformed_timestamp" | "malformed_signature" | "mismatch" => "invalid_signature",
            "stale" | "future" => "stale_timestamp",
            "replay" => "replayed_request",
            other => panic!("{what}: an expectation {other} that is new"),
        };
        let status = vector["status"].as_u64().unwrap();
        assert_eq!(u64::from(answer.status()), status, "{what}");
        let body: Value = serde_json::from_str(answer.body()).unwrap();
        assert_eq!(body["error"]["code"], code, "{what}");
        for part in key.as_bytes()[15..39].windows(8) {
            assert!(
                !answer.0.contains(std::str::from_utf8(part).unwrap()),
                "{what}"
            );
        }
    }
    assert!(list.len() >= 20);
}

/// Says what body it is given, in hex.
async fn hear(request: Request<ReadBody<Incoming>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let hex: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Response::new(Full::from(hex)))
}

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = (0..hex.len()).step_by(2);
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    pairs.map(byte).collect()
}

/// The address found is shown by two keys: one that works from there only, one from anywhere else.
#[tokio::test]
async fn client_address_vectors() {
    let file = vectors(include_str!("vectors/xff.json"));
    let mut checked = 0;
    for vector in list(&file["vectors"]) {
        let what = format!("{}: {}", text(&vector["id"]), text(&vector["note"]));
        let source = match text(&vector["source"]) {
            "peer" => ClientIpSource::Peer,
            "x-forwarded-for" => ClientIpSource::XForwardedFor,
            "forwarded" => ClientIpSource::Forwarded,
            name => ClientIpSource::Header(name.parse().unwrap()),
        };
        let client_ip = ClientIp::behind(networks(&vector["trusted_proxies"]), source)
            .trust_local_peer(vector["trust_local_peer"].as_bool().unwrap());
        let keys = keys_in(MemoryStore::new(), client_ip).await;
        let expected = vector["expect"]["client"].as_str();
        let place: Network = expected.unwrap_or("192.0.2.99").parse().unwrap();
        let only = NewKey::named("only").all_servers().allow_from(place);
        let never = NewKey::named("never").all_servers().deny_from(place);
        let only = keys.manager().issue(only).await.unwrap();
        let never = keys.manager().issue(never).await.unwrap();
        let peer = vector["peer"].as_str().map(|peer| peer.parse().unwrap());
        let server = Server::start(keys.layer(), peer).await;
        let headers: Vec<_> = list(&vector["headers"])
            .iter()
            .map(|header| {
                (
                    text(&header[0]).to_owned(),
                    text(&header[1]).as_bytes().to_vec(),
                )
            })
            .collect();
        let send = async |key: &str| {
            let headers = [&headers[..], &[bearer(key)]].concat();
            server.send("/mcp", &headers).await.status()
        };
        let admitted = if expected.is_some() { 200 } else { 403 };
        assert_eq!(send(only.key().expose_secret()).await, admitted, "{what}");
        assert_eq!(send(never.key().expose_secret()).await, 403, "{what}");
        checked += 1;
    }
    assert!(checked > 20);
}

#[tokio::test]
async fn network_vectors() {
    let file = vectors(include_str!("vectors/cidr.json"));
    let mut checked = 0;
    for vector in list(&file["vectors"]) {
        let what = format!("{}: {}", text(&vector["id"]), text(&vector["note"]));
        let expect = text(&vector["expect"]);
        let rules = list(&vector["allow"]).iter().chain(list(&vector["deny"]));
        let faulty = rules
            .filter(|rule| text(rule).parse::<Network>().is_err())
            .count();
        assert_eq!(faulty > 0, expect == "invalid_rule", "{what}");
        checked += 1;
        if faulty > 0 {
            continue;
        }
        let keys = keys_in(MemoryStore::new(), ClientIp::peer()).await;
        let mut new = NewKey::named("vector").all_servers();
        for network in networks(&vector["allow"]) {
            new = new.allow_from(network);
        }
        for network in networks(&vector["deny"]) {
            new = new.deny_from(network);
        }
        let issued = keys.manager().issue(new).await.unwrap();
        let client = vector["client"]
            .as_str()
            .map(|client| client.parse().unwrap());
        let server = Server::start(keys.layer(), client).await;
        let answer = server
            .send("/mcp", &[bearer(issued.key().expose_secret())])
            .await;
        let status = if expect == "allow" { 200 } else { 403 };
        assert_eq!(answer.status(), status, "{what}");
    }
    assert!(checked > 15);
}

#[tokio::test]
async fn scope_vectors() {
    let file = vectors(include_str!("vectors/scopes.json"));
    let mut checked = 0;
    let requirements = list(&file["vectors"])
        .iter()
        .filter(|vector| vector["kind"] == "require");
    for vector in requirements {
        let what = format!("{}: {}", text(&vector["id"]), text(&vector["note"]));
        let expect = text(&vector["expect"]);
        let required: Result<Vec<Scope>, _> = list(&vector["required"])
            .iter()
            .map(|scope| text(scope).parse())
            .collect();
        let grants = ScopeSet::parse(list(&vector["grants"]).iter().map(text));
        assert_eq!(required.is_err(), expect == "invalid_requirement", "{what}");
        assert_eq!(grants.is_err(), expect == "invalid_grant", "{what}");
        checked += 1;
        let (Ok(required), Ok(grants)) = (required, grants) else {
            continue;
        };
        let rule = match text(&vector["mode"]) {
            "all" => ScopeRule::all(required),
            _ => ScopeRule::any(required),
        };
        let keys = keys_in(MemoryStore::new(), ClientIp::peer()).await;
        let new = NewKey::named("vector")
            .all_servers()
            .scopes(grants.iter().cloned());
        let issued = keys.manager().issue(new).await.unwrap();
        let server = Server::start(keys.layer().require_scopes(rule), None).await;
        let answer = server
            .send("/mcp", &[bearer(issued.key().expose_secret())])
            .await;
        let status = if expect == "allow" { 200 } else { 403 };
        assert_eq!(answer.status(), status, "{what}");
        if status == 403 {
            assert!(
                answer
                    .header("www-authenticate")
                    .unwrap()
                    .contains("insufficient_scope")
            );
        }
    }
    assert!(checked > 10);
}
