//! The span of a decision: what it tells, and what it never does.

#![cfg(feature = "testing")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests panic"
)]

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use http::Request;
use http_body_util::Full;
use mcp_api_keys::NewKey;
use mcp_api_keys::store::MemoryStore;
use tower::{Layer as _, ServiceExt as _};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Metadata, Subscriber};

use support::{Probe, bearer, issue, light, secret};

type Fields = BTreeMap<String, String>;

/// Keeps what spans say, in the order in which they were closed, and which were entered.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    open: BTreeMap<u64, (&'static str, Fields)>,
    closed: Vec<(&'static str, Fields)>,
    /// The spans that events were told in.
    around: Vec<Option<&'static str>>,
    entered: Vec<u64>,
    next: u64,
}

struct Into<'f>(&'f mut Fields);

impl Visit for Into<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

impl Subscriber for Kept {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("mcp_api_keys") && *metadata.level() <= Level::DEBUG
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut state = self.0.lock().unwrap();
        state.next += 1;
        let number = state.next;
        let mut fields = Fields::new();
        span.record(&mut Into(&mut fields));
        state.open.insert(number, (span.metadata().name(), fields));
        Id::from_u64(number)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut state = self.0.lock().unwrap();
        let (_, fields) = state.open.get_mut(&span.into_u64()).unwrap();
        values.record(&mut Into(fields));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        let mut state = self.0.lock().unwrap();
        let inside = state.entered.last().map(|number| state.open[number].0);
        state.around.push(inside);
    }

    fn enter(&self, span: &Id) {
        self.0.lock().unwrap().entered.push(span.into_u64());
    }

    fn exit(&self, span: &Id) {
        assert_eq!(self.0.lock().unwrap().entered.pop(), Some(span.into_u64()));
    }

    fn clone_span(&self, span: &Id) -> Id {
        // The layer holds a span twice while a key is verified.
        let mut state = self.0.lock().unwrap();
        let (_, fields) = state.open.get_mut(&span.into_u64()).unwrap();
        let held = fields.get("held").map_or(1, |held| held.parse().unwrap());
        fields.insert("held".to_owned(), (held + 1).to_string());
        span.clone()
    }

    fn try_close(&self, span: Id) -> bool {
        let mut state = self.0.lock().unwrap();
        let (_, fields) = state.open.get_mut(&span.into_u64()).unwrap();
        let held: u32 = fields.get("held").map_or(1, |held| held.parse().unwrap());
        if held > 1 {
            fields.insert("held".to_owned(), (held - 1).to_string());
            return false;
        }
        fields.remove("held");
        let span = state.open.remove(&span.into_u64()).unwrap();
        state.closed.push(span);
        true
    }
}

#[tokio::test(flavor = "current_thread")]
async fn each_decision_is_a_span_that_tells_who_and_why_not() {
    let keys = light(MemoryStore::new()).failure_limit(None).build();
    let keys = keys.await.unwrap();
    let manager = keys.manager();
    let key = issue(&keys, NewKey::named("agent").server("files")).await;
    let other = issue(&keys, NewKey::named("other").server("mail")).await;
    let dead = manager.issue(NewKey::named("dead").server("files")).await;
    let dead = dead.unwrap();
    manager.revoke(dead.info().id, None).await.unwrap();
    let id = async |key: &str| {
        let handle = &key["mcp_sk_".len()..][..8];
        let info = manager.get_by_handle(handle).await.unwrap();
        (info.handle.to_string(), info.id.to_string())
    };
    let ((handle, agent), (_, elsewhere)) = (id(&key).await, id(&other).await);
    let mut wrong = key.clone();
    wrong.replace_range(20..21, if &key[20..21] == "a" { "b" } else { "a" });

    let kept = Kept::default();
    let guard = tracing::subscriber::set_default(kept.clone());
    let probe = Probe::default();
    let service = keys.layer().server("files").layer(probe.service());
    let mut statuses = Vec::new();
    for presented in [
        Some(key.as_str()),
        Some(&key),
        Some(&other),
        Some(dead.key().expose_secret()),
        Some(&wrong),
        Some("mcp_sk_x"),
        None,
    ] {
        let mut request = Request::get("/");
        if let Some(key) = presented {
            request = request.header("authorization", bearer(key));
        }
        let request = request.body(Full::<bytes::Bytes>::default()).unwrap();
        let answer = service.clone().oneshot(request).await.unwrap();
        statuses.push(answer.status().as_u16());
    }
    drop(guard);
    assert_eq!(statuses, [200, 200, 403, 401, 401, 401, 401]);

    let state = kept.0.lock().unwrap();
    assert!(state.open.is_empty(), "{state:?}");
    let spans = state.closed.iter().filter(|(name, _)| *name == "api_key");
    let told = |fields: &Fields, name: &str| fields.get(name).cloned().unwrap_or_default();
    let told: Vec<_> = spans
        .map(|(_, fields)| {
            assert_eq!(told(fields, "server"), "files");
            (
                told(fields, "outcome"),
                told(fields, "handle"),
                told(fields, "key"),
            )
        })
        .collect();
    let line = |outcome: &str, handle: &str, key: &str| {
        (outcome.to_owned(), handle.to_owned(), key.to_owned())
    };
    assert_eq!(told[0], line("allowed", &handle, &agent), "at the first");
    assert_eq!(told[1], line("allowed", &handle, &agent), "remembered");
    assert_eq!(told[2], line("server_denied", "", &elsewhere));
    assert_eq!(told[3].0, "revoked");
    assert_eq!(told[3].2, dead.info().id.to_string());
    assert_eq!(told[5], line("malformed", "", ""));
    assert_eq!(told[6], line("missing", "", ""));
    assert_eq!(told.len(), 7);
    // What is told of a refusal is told inside its span.
    let inside = state.around.iter().flatten();
    assert_eq!(inside.filter(|name| **name == "api_key").count(), 5);
    let all = format!("{:?}", state.closed);
    for key in [&key, &other, &wrong, dead.key().expose_secret()] {
        for part in secret(key).as_bytes().windows(8) {
            assert!(!all.as_bytes().windows(8).any(|run| run == part), "{all}");
        }
    }
}
