//! Rotation over time: what the old and the new secret of a key can do at every instant.

#![cfg(all(feature = "sqlite", feature = "testing"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "support/backends.rs"]
mod backends;

use std::time::Duration;

use mcp_api_keys::store::{KeyStore, MemoryStore};
use mcp_api_keys::testing::{Call, Fault, FaultyStore, ManualClock};
use mcp_api_keys::{
    ApiKeys, Argon2Params, ErrorKind, Grace, KeyFormat, NewKey, RateLimit, RejectionKind, Timestamp,
};
use proptest::prelude::*;

const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);

async fn keys_in(store: impl KeyStore, clock: &ManualClock) -> ApiKeys {
    ApiKeys::builder(store)
        .argon2(Argon2Params::new(8, 1, 1).unwrap())
        .clock(clock.clone())
        .failure_limit(None)
        .build()
        .await
        .unwrap()
}

/// Presents a key; nothing if it is admitted.
async fn refusal(keys: &ApiKeys, key: &str) -> Option<RejectionKind> {
    let request = http::Request::builder()
        .header("x-api-key", key)
        .body(())
        .unwrap();
    let (mut head, ()) = request.into_parts();
    let admitted = keys.layer().gate().admit(&mut head).await;
    admitted.err().map(|rejection| rejection.kind())
}

async fn advance(keys: &ApiKeys, clock: &ManualClock, duration: Duration) {
    clock.advance(duration);
    keys.catch_up().await.unwrap();
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[tokio::test]
async fn in_the_window_both_work_and_after_it_only_the_new_one() {
    let clock = ManualClock::at(START);
    let keys = keys_in(backends::in_database().await, &clock).await;
    let old = keys
        .manager()
        .issue(NewKey::named("k").all_servers())
        .await
        .unwrap();
    assert_eq!(refusal(&keys, old.key().expose_secret()).await, None);
    let new = keys
        .manager()
        .rotate_with(old.info().id, Grace::For(seconds(60)))
        .await
        .unwrap();
    assert_eq!(
        new.info().previous.as_ref().unwrap().handle,
        old.info().handle
    );
    for step in 0..6 {
        assert_eq!(
            refusal(&keys, old.key().expose_secret()).await,
            None,
            "{step}"
        );
        assert_eq!(
            refusal(&keys, new.key().expose_secret()).await,
            None,
            "{step}"
        );
        advance(&keys, &clock, seconds(10)).await;
    }
    let refused = refusal(&keys, old.key().expose_secret()).await;
    assert_eq!(refused, Some(RejectionKind::Revoked));
    assert_eq!(refusal(&keys, new.key().expose_secret()).await, None);
}

#[tokio::test]
async fn the_window_from_first_use_opens_when_the_new_secret_is_presented() {
    let clock = ManualClock::at(START);
    let store = MemoryStore::new();
    let keys = keys_in(store.clone(), &clock).await;
    // Another node sees the first use; this one learns of it.
    let other = keys_in(store, &clock).await;
    let old = keys
        .manager()
        .issue(NewKey::named("k").all_servers())
        .await
        .unwrap();
    let grace = Grace::FromFirstUse(seconds(60));
    let new = keys
        .manager()
        .rotate_with(old.info().id, grace)
        .await
        .unwrap();
    advance(&keys, &clock, seconds(86_400)).await;
    assert_eq!(refusal(&keys, old.key().expose_secret()).await, None);
    other.catch_up().await.unwrap();
    assert_eq!(refusal(&other, new.key().expose_secret()).await, None);
    advance(&keys, &clock, seconds(59)).await;
    assert_eq!(refusal(&keys, old.key().expose_secret()).await, None);
    advance(&keys, &clock, seconds(1)).await;
    assert!(refusal(&keys, old.key().expose_secret()).await.is_some());
    assert_eq!(refusal(&keys, new.key().expose_secret()).await, None);
}

#[tokio::test]
async fn a_first_use_that_cannot_be_noted_is_not_lost() {
    let clock = ManualClock::at(START);
    let store = FaultyStore::new(MemoryStore::new());
    let faults = store.faults();
    let keys = keys_in(store, &clock).await;
    let old = keys
        .manager()
        .issue(NewKey::named("k").all_servers())
        .await
        .unwrap();
    let grace = Grace::FromFirstUse(seconds(60));
    let new = keys
        .manager()
        .rotate_with(old.info().id, grace)
        .await
        .unwrap();
    faults.every_call_of(Call::Replace, Fault::Fail);
    let refused = refusal(&keys, new.key().expose_secret()).await;
    assert_eq!(refused, Some(RejectionKind::Unavailable));
    faults.clear();
    assert_eq!(refusal(&keys, new.key().expose_secret()).await, None);
    advance(&keys, &clock, seconds(60)).await;
    assert!(refusal(&keys, old.key().expose_secret()).await.is_some());
}

#[tokio::test]
async fn a_window_never_outlives_the_key_and_can_be_ended_for_a_leak() {
    let clock = ManualClock::at(START);
    let keys = keys_in(backends::in_database().await, &clock).await;
    let new = NewKey::named("k").all_servers().expires_in(seconds(30));
    let old = keys.manager().issue(new).await.unwrap();
    let id = old.info().id;
    let rotated = keys
        .manager()
        .rotate_with(id, Grace::For(seconds(3_600)))
        .await
        .unwrap();
    let previous = rotated.info().previous.clone().unwrap();
    assert_eq!(previous.ends_at, rotated.info().expires_at);
    assert_eq!(refusal(&keys, old.key().expose_secret()).await, None);
    assert_eq!(keys.manager().end_grace(id).await.unwrap().previous, None);
    assert!(refusal(&keys, old.key().expose_secret()).await.is_some());
    assert_eq!(refusal(&keys, rotated.key().expose_secret()).await, None);
    advance(&keys, &clock, seconds(30)).await;
    let refused = refusal(&keys, rotated.key().expose_secret()).await;
    assert_eq!(refused, Some(RejectionKind::Expired));
    let error = keys.manager().rotate(id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn both_secrets_spend_one_budget() {
    let clock = ManualClock::at(START);
    let keys = keys_in(backends::in_database().await, &clock).await;
    let new = NewKey::named("k")
        .all_servers()
        .rate(RateLimit::per_hour(4));
    let old = keys.manager().issue(new).await.unwrap();
    let rotated = keys
        .manager()
        .rotate_with(old.info().id, Grace::For(seconds(60)))
        .await
        .unwrap();
    for _ in 0..2 {
        assert_eq!(refusal(&keys, old.key().expose_secret()).await, None);
        assert_eq!(refusal(&keys, rotated.key().expose_secret()).await, None);
    }
    for key in [&old, &rotated] {
        let refused = refusal(&keys, key.key().expose_secret()).await;
        assert_eq!(refused, Some(RejectionKind::RateLimited));
    }
}

#[tokio::test]
async fn a_window_beyond_a_year_is_refused() {
    let clock = ManualClock::at(START);
    let keys = keys_in(backends::in_database().await, &clock).await;
    let id = keys
        .manager()
        .issue(NewKey::named("k"))
        .await
        .unwrap()
        .info()
        .id;
    for grace in [
        Grace::For(Duration::MAX),
        Grace::FromFirstUse(seconds(400 * 86_400)),
    ] {
        let error = keys.manager().rotate_with(id, grace).await.unwrap_err();
        assert_eq!(error.field(), Some("grace"));
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Advance(u64),
    Rotate(u8, u64),
    PresentNewest,
    EndGrace,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..90_u64).prop_map(Step::Advance),
        3 => (0..3_u8, 0..120_u64).prop_map(|(kind, window)| Step::Rotate(kind, window)),
        3 => Just(Step::PresentNewest),
        1 => Just(Step::EndGrace),
    ];
    proptest::collection::vec(step, 1..25)
}

/// What the secrets of a key should be able to do, by the rules alone.
struct Model {
    now: u64,
    expiry: Option<u64>,
    newest: String,
    /// The old secret, and when it ends: at a time, or so long after the newest is presented.
    old: Option<(String, Result<u64, u64>)>,
    ended: Vec<String>,
}

impl Model {
    fn old_works(&self) -> bool {
        self.old.as_ref().is_some_and(|(_, end)| match end {
            Ok(end) => self.now < *end,
            Err(_) => true,
        }) && self.in_force()
    }

    fn in_force(&self) -> bool {
        self.expiry.is_none_or(|expiry| self.now < expiry)
    }

    fn cap(&self, end: u64) -> u64 {
        self.expiry.map_or(end, |expiry| expiry.min(end))
    }

    fn end_old(&mut self) {
        self.ended.extend(self.old.take().map(|(key, _)| key));
    }

    fn rotated(&mut self, new: String, kind: u8, window: u64) {
        self.end_old();
        let old = std::mem::replace(&mut self.newest, new);
        match kind {
            0 => self.ended.push(old),
            1 => self.old = Some((old, Ok(self.cap(self.now + window)))),
            _ => self.old = Some((old, Err(window))),
        }
    }

    fn newest_presented(&mut self) {
        let (now, expiry) = (self.now, self.expiry);
        if let Some((_, end @ Err(_))) = &mut self.old {
            let at = now + end.unwrap_err();
            *end = Ok(expiry.map_or(at, |expiry| expiry.min(at)));
        }
    }
}

async fn follow(steps: Vec<Step>, expiry: Option<u64>) {
    let clock = ManualClock::at(START);
    let keys = keys_in(backends::in_emptied_database().await, &clock).await;
    let mut new = NewKey::named("k").all_servers();
    if let Some(expiry) = expiry {
        new = new.expires_in(seconds(expiry));
    }
    let issued = keys.manager().issue(new).await.unwrap();
    let id = issued.info().id;
    let mut model = Model {
        now: 0,
        expiry,
        newest: issued.key().expose_secret().to_owned(),
        old: None,
        ended: Vec::new(),
    };
    for step in steps {
        match step {
            Step::Advance(by) => {
                model.now += by;
                advance(&keys, &clock, seconds(by)).await;
            }
            Step::Rotate(kind, window) => {
                let grace = match kind {
                    0 => Grace::None,
                    1 => Grace::For(seconds(window)),
                    _ => Grace::FromFirstUse(seconds(window)),
                };
                match keys.manager().rotate_with(id, grace).await {
                    Ok(rotated) => {
                        model.rotated(rotated.key().expose_secret().to_owned(), kind, window);
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Conflict);
                        assert!(!model.in_force());
                    }
                }
            }
            Step::PresentNewest => {
                let refused = refusal(&keys, &model.newest).await;
                assert_eq!(refused.is_none(), model.in_force(), "{refused:?}");
                model.newest_presented();
            }
            Step::EndGrace => {
                keys.manager().end_grace(id).await.unwrap();
                model.end_old();
            }
        }
        if let Some((old, _)) = &model.old {
            let refused = refusal(&keys, old).await;
            assert_eq!(
                refused.is_none(),
                model.old_works(),
                "{refused:?} after {step:?}"
            );
        }
        for ended in &model.ended {
            assert!(refusal(&keys, ended).await.is_some(), "after {step:?}");
        }
    }
    // Whatever happened, the newest secret works as long as the key does.
    assert_eq!(
        refusal(&keys, &model.newest).await.is_none(),
        model.in_force()
    );
}

proptest! {
    // A server takes its time to begin anew.
    #![proptest_config(ProptestConfig::with_cases(
        match (std::env::var_os("MCP_KEYS_LONG"), std::env::var_os("MCP_KEYS_TEST_STORE")) {
            (Some(_), _) => 10_000,
            (None, None) => 300,
            (None, Some(_)) => 60,
        }
    ))]

    #[test]
    fn every_timeline_agrees_with_the_rules(steps in steps(), expiry in proptest::option::of(1..400_u64)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(follow(steps, expiry));
    }
}

#[tokio::test]
async fn a_rotated_key_is_written_as_the_old_one_was_unless_told_otherwise() {
    let clock = ManualClock::at(START);
    let store = MemoryStore::new();
    let plain = KeyFormat::new("mgw_").unwrap().without_checksum();
    let before = ApiKeys::builder(store.clone())
        .argon2(Argon2Params::new(8, 1, 1).unwrap())
        .format(plain.clone())
        .build()
        .await
        .unwrap();
    let id = before
        .manager()
        .issue(NewKey::named("k"))
        .await
        .unwrap()
        .info()
        .id;
    // New keys are written in another way by now.
    let keys = keys_in(store, &clock).await;
    let kept = keys.manager().rotate(id).await.unwrap();
    assert!(plain.parse(kept.key().expose_secret().as_bytes()).is_ok());
    let format = KeyFormat::default();
    let moved = keys
        .manager()
        .rotate_in(id, Grace::None, &format)
        .await
        .unwrap();
    assert!(format.parse(moved.key().expose_secret().as_bytes()).is_ok());
}
