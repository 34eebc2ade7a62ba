//! P26 over the API: refusals that must not be told apart, and errors of a closed list.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use mcp_api_keys::alert::{Acknowledged, Alert, AlertLedger, AlertRequest, AlertRule, KeyHabits};
use mcp_api_keys::key::KeyId;
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::usage::{
    LastUse, UsageBatch, UsagePoint, UsageRequest, UsageRetention, UsageSink,
};
use mcp_api_keys::{Error, ErrorKind, NewKey, Timestamp};

use crate::rights::{ask, operations};
use crate::support::{issue, light};
use crate::world::Api;

/// Everything a caller could tell answers apart by.
fn wire(answer: &crate::support::Answer) -> String {
    let mut headers: Vec<_> = answer.headers.iter().collect();
    headers.retain(|(name, _)| *name != "date");
    headers.sort_by_key(|(name, _)| name.as_str());
    format!("{} {headers:?} {}", answer.status, answer.text)
}

#[tokio::test]
async fn unknown_malformed_wrong_and_revoked_keys_are_told_the_same_by_every_path() {
    let api = Api::new().await;
    let root = api.root().await;
    let manager = api.keys.manager();
    let star = || NewKey::named("star").all_servers().scope("*").unwrap();
    let revoked = manager.issue(star()).await.unwrap();
    let revoked_key = revoked.key().expose_secret().to_owned();
    let rotated = issue(&api.keys, star()).await;
    let handle = &rotated["mcp_sk_".len()..][..8];
    let info = manager.get_by_handle(handle).await.unwrap();
    drop(manager.rotate(info.id).await.unwrap());
    drop(
        manager
            .revoke(revoked.info().id, Some("why"))
            .await
            .unwrap(),
    );
    // The text of a key that was deleted is that of an unknown one.
    let deleted = manager.issue(star()).await.unwrap();
    let unknown = deleted.key().expose_secret().to_owned();
    assert!(manager.delete(deleted.info().id).await.unwrap());
    let wrong = format!("{}{}", &root[..15], &unknown[15..]);
    for (method, path, _) in operations() {
        if path == "/openapi.json" {
            continue;
        }
        let mut seen = BTreeSet::new();
        for key in [&unknown, "mcp_sk_short", &wrong, &revoked_key, &rotated] {
            let answer = ask(&api, Some(key), &method, &path).await;
            assert_eq!(answer.status, 401, "{method} {path}");
            seen.insert(wire(&answer));
        }
        assert_eq!(seen.len(), 1, "{method} {path}: {seen:?}");
    }
}

/// A ledger and a sink that may be away.
#[derive(Clone, Debug)]
struct Away {
    inner: MemoryStore,
    is_away: Arc<AtomicBool>,
}

impl Away {
    fn check(&self) -> Result<(), Error> {
        if self.is_away.load(Ordering::SeqCst) {
            let message = "hidden-host:5432 refused the password hunter2";
            let source = std::io::Error::other(message);
            let error = Error::new(ErrorKind::Unavailable, "the database is away");
            return Err(error.with_source(source));
        }
        Ok(())
    }
}

#[async_trait]
impl AlertLedger for Away {
    async fn put(&self, alerts: &[Alert]) -> Result<(), Error> {
        self.check()?;
        self.inner.put(alerts).await
    }

    async fn read(&self, request: &AlertRequest) -> Result<Vec<Alert>, Error> {
        self.check()?;
        AlertLedger::read(&self.inner, request).await
    }

    async fn acknowledge(
        &self,
        key: KeyId,
        rule: AlertRule,
        by: &Acknowledged,
    ) -> Result<bool, Error> {
        self.check()?;
        self.inner.acknowledge(key, rule, by).await
    }

    async fn put_habits(&self, habits: &[KeyHabits]) -> Result<(), Error> {
        self.check()?;
        self.inner.put_habits(habits).await
    }

    async fn habits(&self, most: usize) -> Result<Vec<KeyHabits>, Error> {
        self.check()?;
        self.inner.habits(most).await
    }

    async fn forget_before(&self, time: Timestamp) -> Result<(), Error> {
        self.check()?;
        self.inner.forget_before(time).await
    }
}

#[async_trait]
impl UsageSink for Away {
    async fn write(&self, batch: &UsageBatch) -> Result<(), Error> {
        self.check()?;
        self.inner.write(batch).await
    }

    async fn read(&self, request: &UsageRequest) -> Result<Vec<UsagePoint>, Error> {
        self.check()?;
        UsageSink::read(&self.inner, request).await
    }

    async fn last_uses(&self, keys: &[KeyId]) -> Result<Vec<(KeyId, LastUse)>, Error> {
        self.check()?;
        self.inner.last_uses(keys).await
    }

    async fn prune(&self, kept: UsageRetention, now: Timestamp) -> Result<bool, Error> {
        self.check()?;
        self.inner.prune(kept, now).await
    }
}

#[tokio::test]
async fn a_ledger_or_sink_that_is_away_is_a_503_that_tells_nothing_of_it() {
    let store = MemoryStore::new();
    let away = Away {
        inner: store.clone(),
        is_away: Arc::default(),
    };
    let keys = light(store.clone()).failure_limit(None);
    let keys = keys.usage(away.clone()).alert_ledger(away.clone());
    let api = Api::of(keys.build().await.unwrap()).await;
    let root = api.root().await;
    let me = crate::world::id(&api.read(&root, "/me").await);
    let alert = Alert::new(
        me.parse().unwrap(),
        AlertRule::Idle,
        Timestamp::from_millis(0),
        1,
        1,
    );
    store.put(&[alert]).await.unwrap();
    away.is_away.store(true, Ordering::SeqCst);
    for (method, path) in [
        ("GET", "/alerts".to_owned()),
        ("POST", format!("/alerts/{me}/idle/acknowledge")),
        ("GET", "/usage".to_owned()),
        ("GET", format!("/keys/{me}/last-use")),
    ] {
        let answer = api.ask(method, &path).key(&root).send().await;
        assert_eq!(answer.refusal(), (503, "unavailable".to_owned()), "{path}");
        assert_eq!(answer.header("retry-after"), "1", "{path}");
        for hidden in ["hidden-host", "hunter2"] {
            assert!(!answer.text.contains(hidden), "{path}: {answer:?}");
        }
    }
    // What does not need them goes on.
    for path in ["/keys".to_owned(), format!("/keys/{me}"), "/me".to_owned()] {
        assert_eq!(api.get(&root, &path).await.status, 200, "{path}");
    }
    away.is_away.store(false, Ordering::SeqCst);
    assert_eq!(api.get(&root, "/alerts").await.status, 200);
}
