//! What the store has to be asked for, and a ledger that is away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use mcp_api_keys::alert::{
    Acknowledged, Alert, AlertLedger, AlertRequest, AlertRule, AlertSettings, KeyHabits,
};
use mcp_api_keys::key::KeyId;
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::testing::ManualClock;
use mcp_api_keys::{
    ApiKeys, Argon2Params, Clock as _, Error, ErrorKind, KeyUpdate, NewKey, Timestamp,
};

const DAY: Duration = Duration::from_secs(86_400);

/// A ledger that may be away.
#[derive(Clone, Debug, Default)]
struct Away {
    inner: MemoryStore,
    is_away: Arc<AtomicBool>,
}

impl Away {
    fn check(&self) -> Result<(), Error> {
        match self.is_away.load(Ordering::SeqCst) {
            true => Err(Error::new(ErrorKind::Unavailable, "the ledger is away")),
            false => Ok(()),
        }
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

async fn watched(ledger: &Away, clock: &ManualClock) -> ApiKeys {
    ApiKeys::builder(ledger.inner.clone())
        .argon2(Argon2Params::new(64, 1, 1).unwrap())
        .clock(clock.clone())
        .usage(ledger.inner.clone())
        .alert_ledger(ledger.clone())
        .alerts(AlertSettings::default())
        .build()
        .await
        .unwrap()
}

/// Lets time pass by the clock of the keys, and the rules look at it.
async fn later(keys: &ApiKeys, clock: &ManualClock, time: Duration) {
    // The first look is so long after the start by that clock.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    clock.advance(time);
    keys.catch_up().await.unwrap();
}

/// Waits until the ledger says so.
async fn until(ledger: &Away, holds: impl Fn(&[Alert]) -> bool) -> Vec<Alert> {
    let mut known = Vec::new();
    for _ in 0..200 {
        known = AlertLedger::read(&ledger.inner, &AlertRequest::latest(100))
            .await
            .unwrap();
        if holds(&known) {
            return known;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it does not come about: {known:?}");
}

#[tokio::test]
async fn keys_that_expire_soon_or_are_idle_are_looked_for_every_hour() {
    let clock = ManualClock::at(Timestamp::from_millis(1_785_232_800_000));
    let ledger = Away::default();
    let keys = watched(&ledger, &clock).await;
    let manager = keys.manager();
    let issue = async |new: NewKey| manager.issue(new).await.unwrap().info().id;
    let soon = issue(NewKey::named("soon").expires_in(DAY * 103)).await;
    let off = issue(NewKey::named("off")).await;
    manager.disable(off).await.unwrap();
    later(&keys, &clock, DAY * 100).await;
    let fresh = issue(NewKey::named("fresh")).await;
    let both = until(&ledger, |alerts| alerts.len() >= 2).await;
    let mut found: Vec<_> = both.iter().map(|alert| (alert.key, alert.rule)).collect();
    found.sort_unstable();
    let mut expected = [(soon, AlertRule::ExpiringSoon), (soon, AlertRule::Idle)];
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert!(both.iter().all(|alert| alert.key != fresh));
    let expiring = both
        .iter()
        .find(|alert| alert.rule == AlertRule::ExpiringSoon)
        .unwrap();
    assert!((70..=72).contains(&expiring.value), "{expiring:?}");

    // What is no longer so is over at the next look.
    let later_on = clock.now().wall.saturating_add(DAY * 90);
    let update = KeyUpdate::new().expires_at(Some(later_on));
    manager.update(soon, update).await.unwrap();
    later(&keys, &clock, Duration::from_secs(3_601)).await;
    let is_over = |alerts: &[Alert]| {
        let mut alerts = alerts.iter();
        alerts.any(|alert| alert.rule == AlertRule::ExpiringSoon && !alert.is_open())
    };
    let both = until(&ledger, is_over).await;
    assert!(
        both.iter()
            .any(|alert| alert.rule == AlertRule::Idle && alert.is_open())
    );
}

#[tokio::test]
async fn what_a_ledger_did_not_take_is_written_when_it_is_back() {
    let clock = ManualClock::at(Timestamp::from_millis(1_785_232_800_000));
    let ledger = Away::default();
    let keys = watched(&ledger, &clock).await;
    let mut events = keys.events();
    let manager = keys.manager();
    let idle = manager.issue(NewKey::named("idle")).await.unwrap();
    ledger.is_away.store(true, Ordering::SeqCst);
    later(&keys, &clock, DAY * 100).await;
    // It is told all the same.
    let told = tokio::time::timeout(Duration::from_secs(15), async {
        loop {
            if let Some(mcp_api_keys::event::Heard::Event(event)) = events.next().await
                && event.data.kind() == "alert.raised"
            {
                return event.data.key();
            }
        }
    });
    assert_eq!(told.await.unwrap(), Some(idle.info().id));
    assert_eq!(keys.open_alerts(), Some(1));
    let error = manager.alerts(&AlertRequest::latest(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    // Keys are verified and managed meanwhile.
    manager.disable(idle.info().id).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    ledger.is_away.store(false, Ordering::SeqCst);
    let known = until(&ledger, |alerts| !alerts.is_empty()).await;
    assert_eq!(known[0].key, idle.info().id);
}
