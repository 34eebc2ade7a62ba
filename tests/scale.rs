//! How long each page and each list of the API takes where there is much: keys with a year of days and a
//! month of hours, owners, alerts, a trail.
//!
//! With `MCP_KEYS_LONG` there are 100,000 keys (or as many as `MCP_KEYS_SCALE_KEYS` says) and each answer
//! takes at most 100 ms; otherwise there are few, and it is tried whether all of them answer.

#![cfg(all(feature = "cli", feature = "testing"))]
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests panic, measure and tell what they measured"
)]
#![allow(unreachable_pub, reason = "shared with other tests")]

#[path = "support/backends.rs"]
mod backends;
#[path = "support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use http::Request;
use http_body_util::BodyExt as _;
use mcp_api_keys::admin::{AdminApi, AdminPage};
use mcp_api_keys::alert::{Alert, AlertLedger, AlertRule, AlertState};
use mcp_api_keys::audit::{Act, AuditAction};
use mcp_api_keys::client_ip::PeerAddr;
use mcp_api_keys::key::{KeyId, KeyRecord, Owner, Servers};
use mcp_api_keys::store::{KeyStore, SqliteStore};
use mcp_api_keys::testing::records::record;
use mcp_api_keys::usage::UsageSink;
use mcp_api_keys::{ApiKeys, Clock as _, NewKey, SystemClock, Timestamp};
use sqlx::AssertSqlSafe;
use tower::ServiceExt as _;

use support::{bearer, light};

const DAY: i64 = 86_400_000;

fn is_long() -> bool {
    std::env::var_os("MCP_KEYS_LONG").is_some()
}

fn keys() -> u64 {
    let keys = std::env::var("MCP_KEYS_SCALE_KEYS");
    match keys.ok().and_then(|keys| keys.parse().ok()) {
        Some(keys) => keys,
        None if is_long() => 100_000,
        None => 300,
    }
}

fn most() -> Duration {
    // Only where nothing else is measured at the same time does it say anything.
    Duration::from_millis(if is_long() { 100 } else { 10_000 })
}

/// Twenty keys for each owner.
fn owners() -> u64 {
    (keys() / 20).max(1)
}

fn key(number: u64, now: Timestamp) -> KeyRecord {
    let mut key = record(number);
    let millis = now.as_millis() - i64::try_from(keys() - number).unwrap() * 1_000;
    key.created_at = Timestamp::from_millis(millis);
    key.name = format!("key {number}");
    key.owner = Some(format!("owner-{}", number % owners()).parse().unwrap());
    key.servers = Servers::only(["files", "mail"]).unwrap();
    if number.is_multiple_of(50) {
        key.expires_at = Some(now.saturating_add(Duration::from_secs(number * 60)));
    }
    key
}

/// Keys, with their acts, and alerts about every fifth of them.
async fn fill<S>(store: &S, now: Timestamp) -> Vec<KeyId>
where
    S: KeyStore + AlertLedger + Clone,
{
    const TASKS: u64 = 4;
    let store = Arc::new(store.clone());
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for number in (1..=keys()).filter(|number| number % TASKS == task) {
                    let act = Act::new(AuditAction::Issued, "filling", now);
                    store.insert(&key(number, now), &act).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let ids: Vec<KeyId> = (1..=keys()).map(|number| record(number).id).collect();
    let alerts: Vec<Alert> = (0..)
        .zip(ids.iter().step_by(5))
        .map(|(number, id)| {
            let at = Timestamp::from_millis(now.as_millis() - number * 1_000);
            let rule = AlertRule::ALL[usize::try_from(number).unwrap() % AlertRule::ALL.len()];
            let mut alert = Alert::new(*id, rule, at, 95, 90);
            if number % 3 > 0 {
                (alert.state, alert.resolved_at) = (AlertState::Resolved, Some(now));
            }
            alert
        })
        .collect();
    for alerts in alerts.chunks(2_000) {
        store.put(alerts).await.unwrap();
    }
    ids
}

/// What is known of usage, as statements for `values`, which gives the numbers of `n` in its order.
fn usage(now: Timestamp, values: fn(i64, i64) -> String) -> Vec<String> {
    let today = now.as_millis().div_euclid(DAY);
    let hour = now.as_millis().div_euclid(DAY / 24);
    let of_keys = "SELECT id, 1, 'files', 'read', 'allowed', '2xx', 'bearer' FROM api_keys";
    let columns = "(whose, credential, server, operation, outcome, status, carrier)";
    let mut statements = vec![format!("INSERT INTO api_usage_series {columns} {of_keys}")];
    for whose in ["*", "*server", "*operation", "*carrier"] {
        for name in 0..20 {
            statements.push(format!(
                "INSERT INTO api_usage_series {columns}
                 VALUES ('{whose}', 1, 'files', 'tool-{name}', 'allowed', '2xx', 'bearer')"
            ));
        }
    }
    for (table, last, steps, of) in [
        ("days", today, 365, "TRUE"),
        ("hours", hour, 24, "s.whose >= 'a'"),
        ("hours", hour, 720, "s.whose < 'a'"),
    ] {
        statements.push(format!(
            "INSERT INTO api_usage_{table} (series, at, requests, cost, latency)
             SELECT s.id, n.at, 7, 7, '12:3 14:4' FROM api_usage_series s, ({}) n WHERE {of}",
            values(last - steps + 1, last)
        ));
    }
    statements.push(
        "INSERT INTO api_usage_last (key_id, at, address, carrier, credential, server, operation)
         SELECT id, 1785232800000, '192.0.2.7', 'bearer', 1, 'files', 'read' FROM api_keys"
            .to_owned(),
    );
    statements
}

/// Somebody who asks the API with a key, or the page with a session.
struct Asking {
    app: Router,
    key: String,
    cookie: String,
}

impl Asking {
    async fn new(app: &Router, key: &str) -> Self {
        let mut asking = Self {
            app: app.clone(),
            key: key.to_owned(),
            cookie: String::new(),
        };
        let page = asking.get("/admin/sign-in").await;
        let (_, rest) = page.split_once("name=\"token\" value=\"").unwrap();
        let token = rest.split('"').next().unwrap();
        let form = format!("token={token}&key={key}");
        let request = Request::post("/admin/sign-in")
            .header("content-type", "application/x-www-form-urlencoded");
        let _ = asking.send(request, form, 303).await;
        asking
    }

    async fn get(&mut self, path: &str) -> String {
        self.send(Request::get(path), String::new(), 200).await
    }

    async fn send(
        &mut self,
        mut request: http::request::Builder,
        body: String,
        status: u16,
    ) -> String {
        let path = request.uri_ref().unwrap().to_string();
        if path.starts_with("/api") {
            request = request.header("authorization", bearer(&self.key));
        } else if !self.cookie.is_empty() {
            request = request.header("cookie", &self.cookie);
        }
        let peer = PeerAddr("192.0.2.7:1".parse().unwrap());
        let request = request.header("host", "keys.test").extension(peer);
        let answer = self.app.clone();
        let answer = answer.oneshot(request.body(Body::from(body)).unwrap());
        let (head, body) = answer.await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert_eq!(head.status, status, "{path}: {body}");
        // The session's comes first.
        if let Some(cookie) = head.headers.get("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            self.cookie = cookie.split(';').next().unwrap().to_owned();
        }
        body
    }
}

async fn every_answer_is_quick<S>(name: &str, store: S, ids: &[KeyId], now: Timestamp)
where
    S: KeyStore + UsageSink + AlertLedger + Clone,
{
    let keys = light(store.clone())
        .failure_limit(None)
        .usage(store.clone())
        .alert_ledger(store);
    let keys: ApiKeys = keys.build().await.unwrap();
    let manager = keys.manager();
    for number in 0..owners().min(500) {
        let owner = Owner::member(format!("owner-{number}").parse().unwrap());
        manager
            .put_owner(owner.scope("*".parse().unwrap()))
            .await
            .unwrap();
    }
    let root = NewKey::named("root").all_servers().scope("*").unwrap();
    let root = manager.issue(root).await.unwrap();
    let member = ["keys:read", "usage:read", "alerts:read", "audit:read"]
        .iter()
        .fold(NewKey::named("member").owner("owner-0"), |new, scope| {
            new.scope(scope).unwrap()
        });
    let member = manager.issue(member).await.unwrap();
    let app = Router::new()
        .nest("/api", AdminApi::new(&keys).into_router())
        .nest("/admin", AdminPage::new(&keys).into_router());
    let mut slow = Vec::new();
    let middle = ids[ids.len() / 2];
    let own = ids[usize::try_from(owners()).unwrap() - 1];
    let a_year_ago = now.saturating_sub(Duration::from_secs(364 * 86_400));
    let of_all = [
        "/api/keys".to_owned(),
        format!("/api/keys?after={middle}"),
        "/api/keys?owner=owner-0".to_owned(),
        "/api/keys?name=key%2099".to_owned(),
        "/api/keys?server=files".to_owned(),
        "/api/keys?status=revoked".to_owned(),
        format!("/api/keys?expires_before={now}"),
        format!("/api/keys?idle_since={now}"),
        "/api/connections".to_owned(),
        "/api/safety".to_owned(),
        "/api/owners".to_owned(),
        "/api/plans".to_owned(),
        "/api/audit".to_owned(),
        "/api/audit?actor=filling".to_owned(),
        format!("/api/audit?subject={middle}"),
        "/api/alerts".to_owned(),
        "/api/alerts?state=resolved".to_owned(),
        "/api/alerts?rule=idle&limit=1000".to_owned(),
        format!("/api/alerts?key={middle}"),
        "/api/usage".to_owned(),
        "/api/usage?by=operation".to_owned(),
        format!("/api/usage?step=day&from={a_year_ago}"),
        format!("/api/usage?step=day&from={a_year_ago}&by=operation"),
        format!("/api/usage?step=day&from={a_year_ago}&key={middle}"),
        format!("/api/usage?step=day&from={a_year_ago}&owner=owner-0"),
        format!("/api/keys/{middle}"),
        format!("/api/keys/{middle}/last-use"),
        "/api/webhooks/dead-letters".to_owned(),
        "/admin/keys".to_owned(),
        format!("/admin/keys?after={middle}"),
        "/admin/keys?owner=owner-0".to_owned(),
        "/admin/keys?name=key%2099".to_owned(),
        "/admin/keys?expires=30d".to_owned(),
        "/admin/keys?idle=7d".to_owned(),
        format!("/admin/keys/{middle}"),
        format!("/admin/keys/{middle}?window=quarter"),
        "/admin/connections".to_owned(),
        "/admin/owners".to_owned(),
        "/admin/plans".to_owned(),
        "/admin/usage".to_owned(),
        "/admin/usage?window=quarter".to_owned(),
        "/admin/alerts".to_owned(),
        "/admin/alerts?state=resolved".to_owned(),
        "/admin/audit".to_owned(),
        "/admin/safety".to_owned(),
    ];
    let of_member = [
        "/api/keys".to_owned(),
        "/api/me/keys".to_owned(),
        "/api/alerts".to_owned(),
        format!("/api/usage?step=day&from={a_year_ago}"),
        "/admin/keys".to_owned(),
        format!("/admin/keys/{own}"),
        "/admin/alerts".to_owned(),
        "/admin/usage?window=quarter".to_owned(),
        "/admin/safety".to_owned(),
    ];
    for (who, key, paths) in [
        ("admin", &root, &of_all[..]),
        ("member", &member, &of_member),
    ] {
        let mut asking = Asking::new(&app, key.key().expose_secret()).await;
        for path in paths {
            let mut times = Vec::new();
            for _ in 0..5 {
                let begun = Instant::now();
                drop(asking.get(path).await);
                times.push(begun.elapsed());
            }
            times.sort_unstable();
            println!(
                "{name}, {who}: {path}: {:?}, at worst {:?}",
                times[2], times[4]
            );
            if times[2] > most() {
                slow.push((who, path.clone(), times[2]));
            }
        }
    }
    assert!(slow.is_empty(), "{name}: {slow:#?}");
}

fn now() -> Timestamp {
    SystemClock::new().now().wall
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_and_list_is_quick_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("keys.db").display());
    let store = SqliteStore::connect(&url).await.unwrap();
    let (begun, now) = (Instant::now(), now());
    let ids = fill(&store, now).await;
    let values = |first, last| {
        format!(
            "WITH RECURSIVE n (at) AS (SELECT {first} UNION ALL SELECT at + 1 FROM n WHERE at < {last})
             SELECT at FROM n"
        )
    };
    for statement in usage(now, values) {
        let statement = sqlx::query(AssertSqlSafe(statement));
        statement.execute(store.pool()).await.unwrap();
    }
    println!(
        "SQLite: {} keys, filled within {:?}",
        ids.len(),
        begun.elapsed()
    );
    every_answer_is_quick("SQLite", store, &ids, now).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_and_list_is_quick_on_postgresql() {
    let Some(schema) = backends::schema().await else {
        return;
    };
    let url = schema.url.clone();
    let store = mcp_api_keys::store::PostgresStore::connect(&url).await;
    let store = store.unwrap();
    let (begun, now) = (Instant::now(), now());
    let ids = fill(&store, now).await;
    let values = |first, last| format!("SELECT generate_series({first}::BIGINT, {last}) AS at");
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(&url)
        .await
        .unwrap();
    let statements = usage(now, values).into_iter();
    for statement in statements.chain(["ANALYZE".to_owned()]) {
        let statement = sqlx::raw_sql(AssertSqlSafe(statement));
        statement.execute(&mut connection).await.unwrap();
    }
    println!(
        "PostgreSQL: {} keys, filled within {:?}",
        ids.len(),
        begun.elapsed()
    );
    every_answer_is_quick("PostgreSQL", store, &ids, now).await;
}
