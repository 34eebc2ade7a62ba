//! Who carries messages to a receiver: a queue, attempts, dead letters.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde::Serialize;
use tokio::sync::Notify;

use super::Webhook;
use super::client::{Attempt, Client};
use crate::clock::{Clock, Timestamp};
use crate::error::Error;
use crate::event::{Event, EventStream, Heard};
use crate::key::fill_random;

/// The longest pause between two attempts.
const LONGEST: Duration = Duration::from_secs(300);

/// How many dead letters are kept.
const DEAD: usize = 1_000;

/// A message that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The message.
    pub event: Arc<Event>,
    /// How often it was tried.
    pub attempts: u32,
    /// Why the last attempt failed, or why there was none.
    pub reason: String,
    /// When it was given up.
    pub at: Timestamp,
}

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
    /// Messages that wait.
    pub waiting: usize,
}

/// Carries the messages of one webhook.
#[derive(Debug)]
pub(crate) struct Courier {
    webhook: Webhook,
    client: Client,
    clock: Arc<dyn Clock>,
    desk: Mutex<Desk>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Desk {
    waiting: VecDeque<Arc<Event>>,
    dead: VecDeque<DeadLetter>,
    stats: WebhookStats,
    /// No more events will come.
    is_closed: bool,
}

impl Courier {
    /// Starts to carry what is heard. It goes on until what `events` is about is gone and nothing waits.
    pub(crate) fn start(
        webhook: Webhook,
        events: EventStream,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, Error> {
        let courier = Arc::new(Self {
            webhook,
            client: Client::new()?,
            clock,
            desk: Mutex::default(),
            more: Notify::new(),
        });
        tokio::spawn(Arc::clone(&courier).listen(events));
        tokio::spawn(Arc::clone(&courier).carry());
        Ok(courier)
    }

    pub(crate) fn stats(&self) -> WebhookStats {
        let desk = self.desk();
        WebhookStats {
            waiting: desk.waiting.len(),
            ..desk.stats
        }
    }

    /// What was given up, the last ones at the end.
    pub(crate) fn dead_letters(&self) -> Vec<DeadLetter> {
        self.desk().dead.iter().cloned().collect()
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
                        self.give_up(event, 0, "there was no room to wait");
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
                None if is_closed => return,
                None => self.more.notified().await,
            }
        }
    }

    async fn deliver(&self, event: &Arc<Event>) {
        let body = match serde_json::to_vec(event) {
            Ok(body) => Bytes::from(body),
            Err(_) => return self.give_up(Arc::clone(event), 0, "it cannot be written"),
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
                    return self.give_up(Arc::clone(event), attempts, "status 410");
                }
                Attempt::Failed(reason) => reason,
            };
            self.desk().stats.failed += 1;
            if attempts >= self.webhook.attempts {
                return self.give_up(Arc::clone(event), attempts, &reason);
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

    fn give_up(&self, event: Arc<Event>, attempts: u32, reason: &str) {
        tracing::warn!(
            event = %event.id,
            kind = event.data.kind(),
            attempts,
            reason,
            "a webhook message is given up"
        );
        let letter = DeadLetter {
            event,
            attempts,
            reason: reason.to_owned(),
            at: self.clock.now().wall,
        };
        let mut desk = self.desk();
        desk.stats.dead += 1;
        desk.dead.push_back(letter);
        let surplus = desk.dead.len().saturating_sub(DEAD);
        desk.dead.drain(..surplus);
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
