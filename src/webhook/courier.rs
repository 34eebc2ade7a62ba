//! Who carries messages to a receiver: a queue, attempts, dead letters.
//!
//! What is given up is put into the ledger a moment later. While that does not answer it is held here,
//! as far as there is room, and tried again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::Value;
use tokio::sync::{Mutex as Turn, Notify};

use super::Webhook;
use super::client::{Attempt, Client};
use crate::clock::Clock;
use crate::error::Error;
use crate::event::{Event, EventStream, Heard};
use crate::key::fill_random;
use crate::store::{DeadLetter, LetterLedger};

/// The longest pause between two attempts.
const LONGEST: Duration = Duration::from_secs(300);

/// How many dead letters are held while the ledger does not take them.
const HELD: usize = 1_000;

/// How many of them are put into the ledger at once.
const AT_ONCE: usize = 100;

/// The pause after the ledger has not taken them.
const PAUSE: Duration = Duration::from_secs(5);

/// How often it is tried when no more events will come.
const LAST_TRIES: u32 = 12;

/// How many characters a reason may have.
const REASON: usize = 500;

/// What posting has come to in this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebhookStats {
    /// Messages that were taken.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Messages that were given up.
    pub dead: u64,
    /// Events that were not heard in time to be queued.
    pub missed: u64,
    /// Of those that were given up, how many are in no list, because the ledger did not take them for
    /// too long.
    pub unlisted: u64,
    /// Messages that wait.
    pub waiting: usize,
}

/// Carries the messages of one webhook.
#[derive(Debug)]
pub(crate) struct Courier {
    webhook: Webhook,
    client: Client,
    ledger: Arc<dyn LetterLedger>,
    clock: Arc<dyn Clock>,
    desk: Mutex<Desk>,
    more: Notify,
    given_up: Notify,
    filing: Turn<()>,
}

#[derive(Debug, Default)]
struct Desk {
    waiting: VecDeque<Arc<Event>>,
    /// What the ledger does not have yet, the oldest first.
    dead: VecDeque<DeadLetter>,
    stats: WebhookStats,
    /// No more events will come.
    is_closed: bool,
    /// Nothing more will be given up.
    is_done: bool,
}

impl Courier {
    /// Starts to carry what is heard. It goes on until what `events` is about is gone and nothing waits.
    pub(crate) fn start(
        webhook: Webhook,
        events: EventStream,
        ledger: Arc<dyn LetterLedger>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, Error> {
        let courier = Arc::new(Self {
            webhook,
            client: Client::new()?,
            ledger,
            clock,
            desk: Mutex::default(),
            more: Notify::new(),
            given_up: Notify::new(),
            filing: Turn::default(),
        });
        tokio::spawn(Arc::clone(&courier).listen(events));
        tokio::spawn(Arc::clone(&courier).carry());
        tokio::spawn(Arc::clone(&courier).keep_filing());
        Ok(courier)
    }

    pub(crate) fn stats(&self) -> WebhookStats {
        let desk = self.desk();
        WebhookStats {
            waiting: desk.waiting.len(),
            ..desk.stats
        }
    }

    /// Puts what was given up into the ledger.
    ///
    /// # Errors
    ///
    /// `Unavailable`: it is held then.
    pub(crate) async fn file(&self) -> Result<(), Error> {
        let _turn = self.filing.lock().await;
        loop {
            let batch: Vec<_> = self.desk().dead.iter().take(AT_ONCE).cloned().collect();
            let Some(last) = batch.last() else {
                return Ok(());
            };
            self.ledger.keep(&batch).await?;
            let mut desk = self.desk();
            // Some may have had to make room meanwhile, from the oldest on.
            let is_taken = |letter: &DeadLetter| batch.iter().any(|one| one.id == letter.id);
            while desk.dead.front().is_some_and(is_taken) {
                desk.dead.pop_front();
            }
            tracing::debug!(
                letter = last.id,
                letters = batch.len(),
                "dead letters are listed"
            );
        }
    }

    async fn keep_filing(self: Arc<Self>) {
        let mut tries = 0;
        loop {
            let (is_empty, is_done) = {
                let desk = self.desk();
                (desk.dead.is_empty(), desk.is_done)
            };
            if is_done && (is_empty || tries >= LAST_TRIES) {
                return;
            }
            if is_empty {
                self.given_up.notified().await;
                continue;
            }
            match self.file().await {
                Ok(()) => tries = 0,
                Err(error) => {
                    if tries == 0 {
                        tracing::warn!(%error, "dead letters are not listed for the time being");
                    }
                    tries = if is_done { tries + 1 } else { 1 };
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn listen(self: Arc<Self>, mut events: EventStream) {
        while let Some(heard) = events.next().await {
            match heard {
                Heard::Event(event) if self.webhook.wants(event.data.kind()) => {
                    let crowded_out = {
                        let mut desk = self.desk();
                        desk.waiting.push_back(event);
                        let is_full = desk.waiting.len() > self.webhook.queue;
                        // The one at the head is being tried; the next one has waited longest.
                        if is_full {
                            desk.waiting.remove(1)
                        } else {
                            None
                        }
                    };
                    if let Some(event) = crowded_out {
                        self.give_up(&event, 0, "there was no room to wait");
                    }
                    self.more.notify_one();
                }
                Heard::Event(_) => {}
                Heard::Missed(count) => {
                    self.desk().stats.missed += count;
                    tracing::warn!(count, "events were missed and are not posted");
                }
            }
        }
        self.desk().is_closed = true;
        self.more.notify_one();
    }

    async fn carry(self: Arc<Self>) {
        loop {
            let (next, is_closed) = {
                let desk = self.desk();
                (desk.waiting.front().cloned(), desk.is_closed)
            };
            match next {
                Some(event) => {
                    self.deliver(&event).await;
                    self.desk().waiting.pop_front();
                }
                None if is_closed => {
                    self.desk().is_done = true;
                    self.given_up.notify_one();
                    return;
                }
                None => self.more.notified().await,
            }
        }
    }

    async fn deliver(&self, event: &Event) {
        let body = match serde_json::to_vec(event) {
            Ok(body) => Bytes::from(body),
            Err(_) => return self.give_up(event, 0, "it cannot be written"),
        };
        let mut pause = self.webhook.pause;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let attempt = match self.message(event, &body) {
                Ok(message) => self.client.post(message, self.webhook.timeout).await,
                Err(error) => Attempt::Failed(error.to_string()),
            };
            let reason = match attempt {
                Attempt::Taken => {
                    self.desk().stats.delivered += 1;
                    return;
                }
                Attempt::Gone => {
                    self.desk().stats.failed += 1;
                    return self.give_up(event, attempts, "status 410");
                }
                Attempt::Failed(reason) => reason,
            };
            self.desk().stats.failed += 1;
            if attempts >= self.webhook.attempts {
                return self.give_up(event, attempts, &reason);
            }
            tracing::debug!(event = %event.id, reason, attempts, "a webhook message was not taken");
            tokio::time::sleep(with_chance(pause)).await;
            pause = pause.saturating_mul(4).min(LONGEST);
        }
    }

    fn message(&self, event: &Event, body: &Bytes) -> Result<Request<Full<Bytes>>, http::Error> {
        let id = event.id.to_string();
        let timestamp = self.clock.now().wall.as_millis().div_euclid(1_000);
        Request::post(self.webhook.url.clone())
            .header("content-type", "application/json")
            .header(
                "user-agent",
                concat!("mcp-api-keys/", env!("CARGO_PKG_VERSION")),
            )
            .header(
                "webhook-signature",
                self.webhook.secret.sign(&id, timestamp, body),
            )
            .header("webhook-timestamp", timestamp)
            .header("webhook-id", id)
            .body(Full::new(body.clone()))
    }

    fn give_up(&self, event: &Event, attempts: u32, reason: &str) {
        tracing::warn!(
            event = %event.id,
            kind = event.data.kind(),
            attempts,
            reason,
            "a webhook message is given up"
        );
        let letter = DeadLetter {
            id: name(),
            event: serde_json::to_value(event).unwrap_or(Value::Null),
            attempts,
            reason: reason.chars().take(REASON).collect(),
            at: self.clock.now().wall,
        };
        {
            let mut desk = self.desk();
            desk.stats.dead += 1;
            desk.dead.push_back(letter);
            if desk.dead.len() > HELD {
                desk.dead.pop_front();
                desk.stats.unlisted += 1;
            }
        }
        self.given_up.notify_one();
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A name for a letter.
fn name() -> String {
    let mut bytes = [0; 16];
    fill_random(&mut bytes);
    format!("ltr_{:032x}", u128::from_le_bytes(bytes))
}

/// Between half and one and a half times as long, so that many senders do not come at once.
fn with_chance(pause: Duration) -> Duration {
    let mut byte = [0; 2];
    fill_random(&mut byte);
    let part = f64::from(u16::from_le_bytes(byte)) / f64::from(u16::MAX);
    pause.mul_f64(0.5 + part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_vary_within_bounds() {
        let second = Duration::from_secs(1);
        let pauses: Vec<_> = (0..100).map(|_| with_chance(second)).collect();
        assert!(
            pauses
                .iter()
                .all(|pause| *pause >= second / 2 && *pause <= second * 3 / 2)
        );
        assert!(pauses.iter().any(|pause| *pause != pauses[0]));
    }
}
