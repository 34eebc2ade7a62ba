//! Metrics: few series, no names, and a dashboard that asks for what there is.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Request, StatusCode};
use mcp_api_keys::alert::AlertSettings;
use mcp_api_keys::client_ip::PeerAddr;
use mcp_api_keys::event::Heard;
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::{ApiKeys, Argon2Params, Clock as _, NewKey, RateLimit, SystemClock};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::Value;
use tower::ServiceExt as _;

/// Everything that can happen to a request, from many keys, and what is told of it.
#[tokio::test]
async fn a_storm_of_everything_makes_few_series_and_names_nobody() {
    let handle = PrometheusBuilder::new().install_recorder().unwrap();
    let store = MemoryStore::new();
    let keys = ApiKeys::builder(store.clone())
        .argon2(Argon2Params::new(64, 1, 1).unwrap())
        .failure_limit(Some(RateLimit::per_minute(5)))
        .usage(store.clone())
        .alert_ledger(store.clone())
        .alerts(AlertSettings::default())
        .metrics()
        .build()
        .await
        .unwrap();
    let mut events = keys.events();
    let manager = keys.manager();
    let app = Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/fail", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .route("/moved", get(|| async { StatusCode::FOUND }))
        .layer(keys.layer().server("files"));
    let ask = async |key: &str, path: &str| {
        let mut request = Request::get(path).body(Body::empty()).unwrap();
        if !key.is_empty() {
            let value = format!("Bearer {key}").parse().unwrap();
            request.headers_mut().insert("authorization", value);
        }
        let peer = "192.0.2.7:4711".parse().unwrap();
        request.extensions_mut().insert(PeerAddr(peer));
        app.clone().oneshot(request).await.unwrap().status()
    };
    let mut secrets = Vec::new();
    let mut issue = async |new: NewKey| {
        let issued = manager.issue(new).await.unwrap();
        let text = issued.key().expose_secret().to_owned();
        secrets.push(text.clone());
        (issued.info().id, text)
    };
    let named = |name: &str| NewKey::named(name).server("files");
    for number in 0..30 {
        let (_, key) = issue(named(&format!("nobody-{number}"))).await;
        for path in ["/", "/fail", "/moved", "/missing"] {
            ask(&key, path).await;
        }
    }
    let (_, key) = issue(NewKey::named("elsewhere").server("mail")).await;
    assert_eq!(ask(&key, "/").await, 403);
    let (_, key) = issue(named("slow").rate(RateLimit::per_day(1))).await;
    assert_eq!(ask(&key, "/").await, 200);
    assert_eq!(ask(&key, "/").await, 429);
    let (id, key) = issue(named("dead")).await;
    assert_eq!(ask(&key, "/").await, 200);
    manager.disable(id).await.unwrap();
    assert_eq!(ask(&key, "/").await, 401);
    manager.revoke(id, None).await.unwrap();
    assert_eq!(ask(&key, "/").await, 401);
    let soon = SystemClock::new()
        .now()
        .wall
        .saturating_add(Duration::from_millis(200));
    let (_, key) = issue(named("short").expires_at(soon)).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(ask(&key, "/").await, 401);
    for wrong in ["", "mcp_sk_x", "hello"] {
        assert_eq!(ask(wrong, "/").await, 401);
    }
    // Adds up what was noted, and waits until the counters were read.
    keys.flush().await.unwrap();
    tokio::time::sleep(Duration::from_millis(2_500)).await;

    let shown = handle.render();
    let series: Vec<&str> = shown
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    assert!(series.len() <= 64, "{}: {shown}", series.len());
    assert!(series.len() > 50, "{shown}");
    let value = |name: &str| -> f64 {
        let line = series.iter().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("no {name} in {shown}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert_eq!(
        value("mcp_api_keys_requests_total{outcome=\"allowed\"}"),
        122.0
    );
    assert_eq!(
        value("mcp_api_keys_requests_total{outcome=\"server\"}"),
        1.0
    );
    assert_eq!(
        value("mcp_api_keys_requests_total{outcome=\"rate_limited\"}"),
        1.0
    );
    assert_eq!(
        value("mcp_api_keys_requests_total{outcome=\"revoked\"}"),
        1.0
    );
    assert_eq!(
        value("mcp_api_keys_requests_total{outcome=\"missing\"}"),
        1.0
    );
    assert_eq!(value("mcp_api_keys_responses_total{class=\"5xx\"}"), 30.0);
    assert_eq!(value("mcp_api_keys_responses_total{class=\"2xx\"}"), 32.0);
    // Of many requests at once only a sample is timed.
    let timed = value("mcp_api_keys_response_seconds_bucket{le=\"+Inf\"}");
    assert!((32.0..500.0).contains(&timed), "{timed}");
    assert_eq!(value("mcp_api_keys_alerts_open"), 2.0);
    assert_eq!(
        value("mcp_api_keys_alerts_total{rule=\"revoked_used\"}"),
        1.0
    );
    assert!(value("mcp_api_keys_change_log_age_seconds") < 10.0);
    assert!(value("mcp_api_keys_slow_hashes_total") >= 33.0);

    // Nothing that names a key, and no run of a secret, in metrics or events.
    let mut told = shown.clone();
    while let Ok(Some(Heard::Event(event))) =
        tokio::time::timeout(Duration::from_millis(10), events.next()).await
    {
        told.push_str(&serde_json::to_string(&event).unwrap());
    }
    for name in ["key_", "nobody", "192.0.2", "/fail"] {
        assert!(!shown.contains(name), "{name}: {shown}");
    }
    assert!(told.contains("key.created"));
    for secret in secrets {
        let part = &secret["mcp_sk_".len() + 8..];
        for start in 0..=part.len() - 8 {
            assert!(!told.contains(&part[start..start + 8]));
        }
    }
    dashboard_asks_for_what_there_is(&series);
}

fn dashboard_asks_for_what_there_is(series: &[&str]) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/dashboards/mcp-api-keys.json");
    let text = std::fs::read_to_string(path).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let names: BTreeSet<&str> = series
        .iter()
        .map(|line| line.split(['{', ' ']).next().unwrap())
        .collect();
    let mut asked = BTreeSet::new();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 5);
    for target in panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap())
    {
        let expression = target["expr"].as_str().unwrap();
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let words = expression.split(|c| !is_name(c));
        let of_ours: Vec<_> = words.filter(|word| word.starts_with("mcp_")).collect();
        assert!(!of_ours.is_empty(), "{expression}");
        for word in of_ours {
            assert!(names.contains(word), "{word} in {expression}");
            asked.insert(word.to_owned());
        }
    }
    let unasked: Vec<_> = names
        .iter()
        .filter(|name| !asked.contains(**name))
        .collect();
    assert!(unasked.is_empty(), "{unasked:?} on no panel");
}
