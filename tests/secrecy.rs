//! P23 over everything that tells of keys: no eight characters of any secret in logs, metrics, answers of
//! the API and the page, events, webhook messages, or the files of a database.
//!
//! In a program of its own: what is logged and metered is heard for the whole process.

#![cfg(all(feature = "full", feature = "testing"))]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests panic"
)]

#[path = "support/mod.rs"]
mod support;

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::{get, post};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use mcp_api_keys::admin::{AdminApi, AdminPage};
use mcp_api_keys::alert::AlertSettings;
use mcp_api_keys::client_ip::PeerAddr;
use mcp_api_keys::event::Heard;
use mcp_api_keys::key::KeyId;
use mcp_api_keys::store::SqliteStore;
use mcp_api_keys::webhook::{Webhook, WebhookSecret};
use mcp_api_keys::{ApiKeys, NewKey};
use metrics_exporter_prometheus::PrometheusBuilder;
use tower::ServiceExt as _;
use tracing_subscriber::fmt::MakeWriter;

use support::{bearer, light, secret, soon};

const HOOK: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What was told, all of it together.
#[derive(Clone, Debug, Default)]
struct Heap(Arc<Mutex<Vec<u8>>>);

impl Heap {
    fn add(&self, bytes: &[u8]) {
        let mut heap = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heap.extend_from_slice(bytes);
    }

    fn holds(&self, part: &[u8]) -> bool {
        let heap = self.0.lock().unwrap();
        heap.windows(part.len()).any(|run| run == part)
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl Write for Heap {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.add(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Heap {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

struct World {
    app: Router,
    /// Answers that may hold no secret.
    answers: Heap,
    cookie: String,
}

impl World {
    async fn send(&mut self, request: http::request::Builder, body: String) -> Response<Bytes> {
        let peer = PeerAddr("192.0.2.7:4711".parse().unwrap());
        let mut request = request.header("host", "keys.test").extension(peer);
        if !self.cookie.is_empty() {
            request = request.header("cookie", &self.cookie);
        }
        let request = request.body(Body::from(body)).unwrap();
        let answer = self.app.clone().oneshot(request).await.unwrap();
        let (head, body) = answer.into_parts();
        if let Some(cookie) = head.headers.get("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            self.cookie = cookie.split(';').next().unwrap().to_owned();
        }
        let body = body.collect().await.unwrap().to_bytes();
        self.answers.add(format!("{head:?}").as_bytes());
        self.answers.add(&body);
        Response::from_parts(head, body)
    }

    async fn get(&mut self, path: &str, key: Option<&str>) -> Response<Bytes> {
        let mut request = Request::get(path);
        if let Some(key) = key {
            request = request.header("authorization", bearer(key));
        }
        self.send(request, String::new()).await
    }

    async fn form(&mut self, path: &str, fields: &[(&str, &str)]) -> Response<Bytes> {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        let kind = "application/x-www-form-urlencoded";
        let request = Request::post(path).header("content-type", kind);
        self.send(request, body.finish()).await
    }

    async fn token(&mut self, path: &str) -> String {
        let answer = self.get(path, None).await;
        let page = String::from_utf8(answer.body().to_vec()).unwrap();
        let (_, rest) = page.split_once("name=\"token\" value=\"").expect(path);
        rest.split('"').next().unwrap().to_owned()
    }
}

/// Waits until a message of this kind was taken.
async fn posted(taken: &Heap, kind: &str) {
    soon(async {
        while !taken.holds(kind.as_bytes()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn no_run_of_a_secret_is_told_or_kept_anywhere() {
    let logs = Heap::default();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(logs.clone())
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .init();
    let metrics = PrometheusBuilder::new().install_recorder().unwrap();
    let taken = Heap::default();
    let receiver = {
        let taken = taken.clone();
        post(async move |head: http::HeaderMap, body: Bytes| {
            taken.add(format!("{head:?}").as_bytes());
            taken.add(&body);
            StatusCode::NO_CONTENT
        })
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let receiver = Router::new().route("/hook", receiver);
    tokio::spawn(async move { axum::serve(listener, receiver).await.unwrap() });
    let hook = |url: &str| Webhook::new(url, HOOK.parse::<WebhookSecret>().unwrap()).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite://{}", folder.path().join("keys.db").display());
    let store = SqliteStore::connect(&file).await.unwrap();
    let keys = light(store.clone())
        .failure_limit(None)
        .usage(store.clone())
        .alert_ledger(store.clone())
        .alerts(AlertSettings::default().errors(50, 5))
        .metrics()
        .webhook(hook(&url).only(["alert.", "key."]))
        // Nobody is there, so its messages are given up.
        .webhook(hook("http://127.0.0.1:9/hook").attempts(1))
        .build()
        .await
        .unwrap();
    let mut events = keys.events();
    let manager = keys.manager();
    let root = NewKey::named("root").all_servers().scope("*").unwrap();
    let root = manager.issue(root).await.unwrap();
    let agent = NewKey::named("agent").server("files");
    let agent = manager.issue(agent).await.unwrap();
    let renewed = manager.rotate(agent.info().id).await.unwrap();
    let dead = NewKey::named("dead").server("files");
    let dead = manager.issue(dead).await.unwrap();
    let texts = [&root, &agent, &renewed, &dead].map(|key| key.key().expose_secret().to_owned());
    let [root_key, agent_key, renewed_key, dead_key] = &texts;
    let guarded = Router::new()
        .route("/files/{*rest}", get(async || "hello"))
        .layer(keys.layer().server("files"));
    let app = guarded
        .nest("/api", AdminApi::new(&keys).into_router())
        .nest("/admin", AdminPage::new(&keys).into_router());
    let answers = Heap::default();
    let mut world = World {
        app,
        answers: answers.clone(),
        cookie: String::new(),
    };

    use_them(&mut world, &keys, &texts, dead.info().id).await;
    ask_the_api(&mut world, &texts, agent.info().id).await;
    ask_the_page(&mut world, &texts, agent.info().id).await;
    keys.flush().await.unwrap();
    posted(&taken, "alert.raised").await;
    posted(&taken, "key.revoked_presented").await;
    let letters = world
        .get("/api/webhooks/dead-letters", Some(root_key))
        .await;
    assert!(letters.body().windows(11).any(|run| run == b"key.created"));

    let told = Heap::default();
    while let Ok(Some(heard)) = tokio::time::timeout(Duration::from_millis(50), events.next()).await
    {
        if let Heard::Event(event) = heard {
            told.add(&serde_json::to_vec(&event).unwrap());
            told.add(format!("{event:?}").as_bytes());
        }
    }
    told.add(metrics.render().as_bytes());
    let kept = Heap::default();
    drop((world, keys));
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        kept.add(&std::fs::read(entry.unwrap().path()).unwrap());
    }
    // What is searched is what it is said to be.
    assert!(logs.holds(b"api_key") && logs.holds(b"alert raised") && logs.holds(b"turned away"));
    assert!(answers.holds(b"revoked_used") && answers.holds(b"Acknowledge"));
    assert!(told.holds(b"alert.raised") && told.holds(b"mcp_api_keys_alerts_open"));
    assert!(kept.holds(b"revoked_used") && kept.holds(b"GET"));
    for (what, heap) in [
        ("logs", &logs),
        ("answers", &answers),
        ("messages", &taken),
        ("events and metrics", &told),
        ("files", &kept),
    ] {
        assert!(heap.len() > 1_000, "{what} hold next to nothing");
        for key in [root_key, agent_key, renewed_key, dead_key] {
            for run in secret(key).as_bytes().windows(8) {
                let part = String::from_utf8_lossy(run);
                assert!(!heap.holds(run), "{what} hold {part} of {}", &key[..15]);
            }
        }
        for run in HOOK.as_bytes()["whsec_".len()..].windows(8) {
            assert!(!heap.holds(run), "{what} hold some of the webhook's secret");
        }
    }
}

/// Requests that are let through and turned away, until there are alerts.
async fn use_them(world: &mut World, keys: &ApiKeys, texts: &[String; 4], dead: KeyId) {
    let [root, agent, renewed, dead_key] = texts;
    for key in [root, renewed, dead_key] {
        assert_eq!(world.get("/files/a", Some(key)).await.status(), 200);
    }
    let _ = keys.manager().revoke(dead, Some("lost")).await.unwrap();
    for key in [agent, dead_key, &format!("{root}x")] {
        for _ in 0..8 {
            let path = format!("/files/{key}");
            assert_eq!(world.get(&path, Some(key)).await.status(), 401);
        }
    }
    soon(async {
        while keys.open_alerts() == Some(0) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    // Until it is written down.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
}

/// The API, with keys where ids and words belong.
async fn ask_the_api(world: &mut World, texts: &[String; 4], id: KeyId) {
    let [root, agent, ..] = texts;
    for path in [
        "/api/alerts".to_owned(),
        "/api/alerts?state=open&rule=revoked_used".to_owned(),
        format!("/api/alerts?key={agent}"),
        format!("/api/alerts?after={agent}"),
        format!("/api/alerts?rule={agent}"),
        format!("/api/alerts?state={agent}"),
        format!("/api/alerts?{agent}=1"),
        format!("/api/usage?key={agent}"),
        format!("/api/usage?by={agent}"),
        format!("/api/audit?subject={agent}"),
        format!("/api/webhooks/dead-letters?limit={agent}"),
        format!("/api/keys/{agent}"),
        format!("/api/keys/{agent}/last-use"),
        format!("/api/keys/{id}"),
        format!("/api/{agent}"),
    ] {
        let answer = world.get(&path, Some(root)).await;
        assert!(!answer.status().is_server_error(), "{path}: {answer:?}");
    }
    for (method, path, body) in [
        (
            Method::POST,
            format!("/api/alerts/{agent}/idle/acknowledge"),
            String::new(),
        ),
        (
            Method::POST,
            format!("/api/alerts/{id}/{agent}/acknowledge"),
            String::new(),
        ),
        (
            Method::PATCH,
            format!("/api/keys/{id}"),
            format!(r#"{{"plan":"{agent}"}}"#),
        ),
        (
            Method::POST,
            "/api/keys".to_owned(),
            format!(r#"{{"{agent}":1}}"#),
        ),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(&path)
            .header("authorization", bearer(root))
            .header("content-type", "application/json");
        let answer = world.send(request, body).await;
        assert!(answer.status().is_client_error(), "{path}: {answer:?}");
    }
}

/// The page, signed in, with keys in fields where something else belongs.
async fn ask_the_page(world: &mut World, texts: &[String; 4], id: KeyId) {
    let [root, agent, ..] = texts;
    let token = world.token("/admin/sign-in").await;
    for key in [format!("{agent}x"), agent.clone()] {
        let fields = [("token", token.as_str()), ("key", key.as_str())];
        let refused = world.form("/admin/sign-in", &fields).await;
        assert_ne!(refused.status(), 303);
    }
    let token = world.token("/admin/sign-in").await;
    let fields = [("token", token.as_str()), ("key", root.as_str())];
    assert_eq!(world.form("/admin/sign-in", &fields).await.status(), 303);
    for path in [
        "/admin/alerts".to_owned(),
        format!("/admin/keys/{id}"),
        format!("/admin/alerts?key={agent}"),
        format!("/admin/alerts?state={agent}"),
        format!("/admin/alerts?after={agent}"),
        format!("/admin/keys?name={agent}"),
        format!("/admin/keys?owner={agent}&after={agent}"),
        format!("/admin/audit?actor={agent}&since={agent}"),
        format!("/admin/usage?window={agent}"),
        format!("/admin/keys/{agent}"),
        format!("/admin/{agent}"),
    ] {
        let answer = world.get(&path, None).await;
        assert!(!answer.status().is_server_error(), "{path}: {answer:?}");
    }
    let token = world.token("/admin/keys").await;
    for fields in [
        [("token", token.as_str()), ("key", agent), ("rule", "idle")],
        [("token", &token), ("key", &id.to_string()), ("rule", agent)],
        [("token", agent), ("key", agent), ("rule", agent)],
    ] {
        let answer = world.form("/admin/alerts/acknowledge", &fields).await;
        assert!(answer.status().is_client_error(), "{answer:?}");
    }
}
