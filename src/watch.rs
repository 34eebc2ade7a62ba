//! The rules of alerts at work: fed with usage, heard as events and in the log, kept in a ledger.
//!
//! 1. Requests do not wait for it: it hears of them from the recorder of usage, about a second later.
//! 2. A ledger or store that does not answer delays what is written, and costs nothing else. What could
//!    not be written is tried again; beyond [`WAITING`] alerts the oldest are given up.

mod sweep;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crate::alert::{
    Alert, AlertLedger, AlertRequest, AlertRule, AlertSettings, AlertState, Notice, Rules, Tally,
};
use crate::clock::{Clock, Timestamp};
use crate::error::Error;
use crate::event::{EventData, Events};
use crate::key::KeyId;
use crate::live::Live;
use crate::store::{KeyStore, QuotaLedger};
use crate::usage::{UsageObserver, UsageOutcome, UsageStatus, UsageUpdate};

/// How often the rules are looked at.
const TICK: Duration = Duration::from_secs(1);

/// How often the store is searched for keys that expire soon or are idle, and first after the start.
const SWEEP_EVERY: Duration = Duration::from_secs(3_600);
const FIRST_SWEEP: Duration = Duration::from_secs(30);

/// How long the store or the ledger may take for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many keys are asked for in a second.
const QUESTIONS: usize = 32;

/// How many alerts, or habits, are written at once.
const BATCH: usize = 500;

/// How many alerts may wait to be written.
const WAITING: usize = 20_000;

/// The words of usage for the reasons that have an event or a rule of their own.
const REVOKED: &str = "revoked";
const EXPIRED: &str = "expired";
const LIMITED: [&str; 2] = ["rate_limited", "quota_exceeded"];

/// Tells listeners what requests met with.
#[derive(Debug)]
pub(crate) struct Teller {
    pub(crate) events: Events,
}

impl UsageObserver for Teller {
    fn listens(&self) -> bool {
        self.events.is_heard()
    }

    fn observed(&self, update: &UsageUpdate<'_>) {
        for refusal in update.refusals {
            let (key, address, reason) = (refusal.key, refusal.address, refusal.reason);
            let data = match reason {
                REVOKED => EventData::RevokedPresented { key, address },
                EXPIRED => EventData::ExpiredPresented { key, address },
                _ if LIMITED.contains(&reason) => EventData::Limited { key, reason },
                _ => EventData::Denied {
                    key,
                    reason,
                    address,
                },
            };
            self.events.tell(refusal.at, data);
        }
    }
}

/// Watches keys.
#[derive(Debug)]
pub(crate) struct Watch {
    rules: Mutex<Rules>,
    ledger: Arc<dyn AlertLedger>,
    store: Arc<dyn KeyStore>,
    quotas: Arc<dyn QuotaLedger>,
    live: Weak<Live>,
    events: Events,
    clock: Arc<dyn Clock>,
    /// How many alerts were raised, in the order of [`AlertRule::ALL`].
    raised: [AtomicU64; AlertRule::ALL.len()],
}

/// What the watching task keeps to itself.
#[derive(Debug, Default)]
struct Desk {
    waiting: VecDeque<Alert>,
    sweep_at: Option<Timestamp>,
    is_failing: bool,
}

impl UsageObserver for Watch {
    fn listens(&self) -> bool {
        true
    }

    fn observed(&self, update: &UsageUpdate<'_>) {
        let mut rules = self.rules();
        for refusal in update.refusals {
            let rule = match refusal.reason {
                REVOKED => AlertRule::RevokedUsed,
                EXPIRED => AlertRule::ExpiredUsed,
                _ => continue,
            };
            rules.presented(refusal.key, rule, refusal.address, 1, update.at);
        }
        for (key, last) in update.uses {
            if let Some(address) = last.address {
                rules.seen_from(*key, address, update.at);
            }
        }
        let mut tallies: HashMap<KeyId, Tally> = HashMap::new();
        for delta in update.deltas {
            let Some(key) = delta.key else { continue };
            let tally = tallies.entry(key).or_default();
            let requests = u32::try_from(delta.requests).unwrap_or(u32::MAX);
            let add = |count: &mut u32| *count = count.saturating_add(requests);
            match delta.outcome {
                UsageOutcome::Denied(REVOKED) => add(&mut tally.revoked),
                UsageOutcome::Denied(EXPIRED) => add(&mut tally.expired),
                outcome => {
                    add(&mut tally.requests);
                    match outcome {
                        UsageOutcome::Denied(reason) if LIMITED.contains(&reason) => {
                            add(&mut tally.limited);
                        }
                        UsageOutcome::Denied(_) => add(&mut tally.failed),
                        UsageOutcome::Allowed => match delta.status {
                            UsageStatus::ServerError | UsageStatus::Failed => {
                                add(&mut tally.failed);
                            }
                            _ => {}
                        },
                    }
                }
            }
        }
        for (key, tally) in tallies {
            rules.used(key, tally, update.at);
        }
    }
}

impl Watch {
    pub(crate) fn new(
        settings: AlertSettings,
        ledger: Arc<dyn AlertLedger>,
        store: Arc<dyn KeyStore>,
        quotas: Arc<dyn QuotaLedger>,
        live: &Arc<Live>,
        events: Events,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        Arc::new(Self {
            rules: Mutex::new(Rules::new(settings)),
            ledger,
            store,
            quotas,
            live: Arc::downgrade(live),
            events,
            clock,
            raised: Default::default(),
        })
    }

    /// Takes over what was known before a restart.
    pub(crate) async fn remember(&self) -> Result<(), Error> {
        let (open, keys) = {
            let rules = self.rules();
            let settings = rules.settings();
            (settings.most_open(), settings.most_keys())
        };
        let standing = AlertRequest::latest(open).open();
        let mut alerts = self.ledger.read(&standing).await?;
        // Those that are resolved are silent for a while.
        let resolved = AlertRequest::latest(BATCH).in_state(AlertState::Resolved);
        alerts.extend(self.ledger.read(&resolved).await?);
        let habits = self.ledger.habits(keys / 2).await?;
        self.rules().remember(alerts, &habits);
        Ok(())
    }

    /// How many alerts were raised since the start, in the order of [`AlertRule::ALL`].
    #[cfg(feature = "metrics")]
    pub(crate) fn raised(&self) -> [u64; AlertRule::ALL.len()] {
        self.raised
            .each_ref()
            .map(|count| count.load(Ordering::Relaxed))
    }

    /// How many alerts are open, as far as this process knows.
    pub(crate) fn open(&self) -> usize {
        self.rules().open()
    }

    /// Watches until the last reference is dropped.
    pub(crate) async fn keep_watching(watch: Weak<Self>) {
        let mut desk = Desk::default();
        loop {
            tokio::time::sleep(TICK).await;
            let Some(this) = watch.upgrade() else { return };
            // In a task of its own: a store or ledger that panics must not end this one.
            let round = tokio::spawn(async move {
                this.round(&mut desk).await;
                desk
            });
            desk = round.await.unwrap_or_default();
        }
    }

    async fn round(&self, desk: &mut Desk) {
        let now = self.now();
        let sweep_at = desk.sweep_at.get_or_insert(now.saturating_add(FIRST_SWEEP));
        if now >= *sweep_at {
            *sweep_at = now.saturating_add(SWEEP_EVERY);
            self.sweep(now).await;
        }
        let questions = self.rules().questions(QUESTIONS);
        for key in questions {
            self.ask(key, now).await;
        }
        self.tell(desk, now);
        let written = self.write_down(desk, now).await;
        match &written {
            Err(error) if !desk.is_failing => {
                tracing::warn!(%error, "alerts cannot be written down; they are told all the same");
            }
            _ => {}
        }
        desk.is_failing = written.is_err();
    }

    /// Tells what the rules found out.
    fn tell(&self, desk: &mut Desk, now: Timestamp) {
        let notices = self.rules().tick(now);
        for notice in notices {
            if let Notice::Raised(alert) | Notice::Changed(alert) = &notice
                && alert.is_open()
            {
                let place = AlertRule::ALL.iter().position(|rule| *rule == alert.rule);
                if let Some(count) = place.and_then(|place| self.raised.get(place)) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
            match notice {
                Notice::Raised(alert) => {
                    tracing::warn!(
                        target: "mcp_api_keys::alert",
                        key = %alert.key,
                        rule = alert.rule.as_str(),
                        value = alert.value,
                        threshold = alert.threshold,
                        "alert raised: {}", alert.message()
                    );
                    self.events.tell(now, EventData::AlertRaised(alert.clone()));
                    desk.waiting.push_back(alert);
                }
                Notice::Resolved(alert) => {
                    tracing::info!(
                        target: "mcp_api_keys::alert",
                        key = %alert.key,
                        rule = alert.rule.as_str(),
                        "alert resolved"
                    );
                    self.events
                        .tell(now, EventData::AlertResolved(alert.clone()));
                    desk.waiting.push_back(alert);
                }
                Notice::Changed(alert) => desk.waiting.push_back(alert),
                Notice::HeldBack(alerts) => {
                    tracing::warn!(
                        target: "mcp_api_keys::alert",
                        alerts,
                        "{alerts} more alerts were raised within a minute"
                    );
                    self.events.tell(now, EventData::AlertsHeldBack { alerts });
                }
            }
        }
        let surplus = desk.waiting.len().saturating_sub(WAITING);
        desk.waiting.drain(..surplus);
    }

    async fn write_down(&self, desk: &mut Desk, now: Timestamp) -> Result<(), Error> {
        while !desk.waiting.is_empty() {
            let count = desk.waiting.len().min(BATCH);
            // The last word on a key and a rule is the one that counts, and no statement may hold two.
            let mut batch: HashMap<(KeyId, AlertRule), Alert> = HashMap::new();
            for alert in desk.waiting.iter().take(count) {
                batch.insert((alert.key, alert.rule), alert.clone());
            }
            let batch: Vec<Alert> = batch.into_values().collect();
            match in_time(self.ledger.put(&batch)).await {
                // What is refused for good would stand in the way of what comes after it.
                Err(error) if error.is_temporary() => return Err(error),
                outcome => {
                    desk.waiting.drain(..count);
                    outcome?;
                }
            }
        }
        let habits = self.rules().take_unsaved(BATCH, now);
        if !habits.is_empty() {
            in_time(self.ledger.put_habits(&habits)).await?;
        }
        Ok(())
    }

    fn now(&self) -> Timestamp {
        self.clock.now().wall
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn in_time<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(PATIENCE, call)
        .await
        .unwrap_or_else(|_| {
            let kind = crate::error::ErrorKind::Unavailable;
            Err(Error::new(kind, "the store did not answer in time"))
        })
}
