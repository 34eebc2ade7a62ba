//! What happens to keys, told to whoever listens.
//!
//! 1. **Nobody waits for a listener.** One that is slow loses the oldest events, and is told how many.
//! 2. **No secret is in an event**: ids, times, who acted, why it was refused, from where.
//! 3. An act of a manager is told after it was committed. What requests met with is told about a second
//!    later, once for a key and a reason in that time, and only where usage is recorded.
//! 4. It is this process's acts and requests that are told. What others did stands in the audit trail.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::alert::Alert;
use crate::audit::AuditAction;
use crate::clock::Timestamp;
use crate::key::{KeyId, fill_random};

/// Something that happened. As JSON it is `{"id", "type", "timestamp", "data"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// Its name, by which it is known again.
    pub id: EventId,
    /// When.
    pub at: Timestamp,
    /// What.
    pub data: EventData,
}

/// The name of an event: `evt_` and 32 hexadecimal digits, drawn at random.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventId(u128);

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum EventData {
    /// Somebody did something to a key.
    Act {
        /// Which key.
        key: KeyId,
        /// What was done. It is told in the event's type only.
        #[serde(skip)]
        action: AuditAction,
        /// Who did it.
        actor: String,
    },
    /// Requests with a genuine key were refused.
    Denied {
        /// Which key.
        key: KeyId,
        /// Why: [`RejectionKind::as_str`](crate::RejectionKind::as_str).
        reason: &'static str,
        /// From where the last of them came, if that is known.
        address: Option<IpAddr>,
    },
    /// Requests with a genuine key were over a rate limit or a quota of it.
    Limited {
        /// Which key.
        key: KeyId,
        /// What is used up: `rate_limited` or `quota_exceeded`.
        reason: &'static str,
    },
    /// A key was presented that is revoked, or a secret that was replaced.
    RevokedPresented {
        /// Which key.
        key: KeyId,
        /// From where, if that is known.
        address: Option<IpAddr>,
    },
    /// A key was presented that has expired.
    ExpiredPresented {
        /// Which key.
        key: KeyId,
        /// From where, if that is known.
        address: Option<IpAddr>,
    },
    /// Something looks wrong about a key.
    AlertRaised(Alert),
    /// It does not any more.
    AlertResolved(Alert),
    /// So many alerts more were raised in the last minute than are told one by one.
    AlertsHeldBack {
        /// How many.
        alerts: u64,
    },
}

impl EventData {
    /// Every word that [`kind`](Self::kind) may give.
    pub const KINDS: [&'static str; 20] = [
        "key.created",
        "key.imported",
        "key.updated",
        "key.enabled",
        "key.disabled",
        "key.rotated",
        "key.grace_started",
        "key.grace_ended",
        "key.revoked",
        "key.deleted",
        "key.connected",
        "key.renewed",
        "key.reused",
        "key.denied",
        "key.limited",
        "key.revoked_presented",
        "key.expired_presented",
        "alert.raised",
        "alert.resolved",
        "alert.held_back",
    ];

    /// What happened, in a word such as `key.revoked`: the `type` of the event's JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Act { action, .. } => match action {
                AuditAction::Issued => "key.created",
                AuditAction::Imported => "key.imported",
                AuditAction::Enabled => "key.enabled",
                AuditAction::Disabled => "key.disabled",
                AuditAction::Rotated => "key.rotated",
                AuditAction::GraceStarted => "key.grace_started",
                AuditAction::GraceEnded => "key.grace_ended",
                AuditAction::Revoked => "key.revoked",
                AuditAction::Deleted => "key.deleted",
                AuditAction::Connected => "key.connected",
                AuditAction::Renewed => "key.renewed",
                AuditAction::Reused => "key.reused",
                AuditAction::Updated
                | AuditAction::Defined
                | AuditAction::Registered
                | AuditAction::Consented
                | AuditAction::Exchanged => "key.updated",
            },
            Self::Denied { .. } => "key.denied",
            Self::Limited { .. } => "key.limited",
            Self::RevokedPresented { .. } => "key.revoked_presented",
            Self::ExpiredPresented { .. } => "key.expired_presented",
            Self::AlertRaised(_) => "alert.raised",
            Self::AlertResolved(_) => "alert.resolved",
            Self::AlertsHeldBack { .. } => "alert.held_back",
        }
    }

    /// Which key it is about, if it is about one.
    pub fn key(&self) -> Option<KeyId> {
        match self {
            Self::Act { key, .. }
            | Self::Denied { key, .. }
            | Self::Limited { key, .. }
            | Self::RevokedPresented { key, .. }
            | Self::ExpiredPresented { key, .. } => Some(*key),
            Self::AlertRaised(alert) | Self::AlertResolved(alert) => Some(alert.key),
            Self::AlertsHeldBack { .. } => None,
        }
    }
}

impl Event {
    fn new(at: Timestamp, data: EventData) -> Self {
        let mut bytes = [0; 16];
        fill_random(&mut bytes);
        Self {
            id: EventId(u128::from_le_bytes(bytes)),
            at,
            data,
        }
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;

        let mut shown = serializer.serialize_struct("Event", 4)?;
        shown.serialize_field("id", &self.id)?;
        shown.serialize_field("type", self.data.kind())?;
        shown.serialize_field("timestamp", &self.at)?;
        shown.serialize_field("data", &self.data)?;
        shown.end()
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "evt_{:032x}", self.0)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where events are told.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    channel: broadcast::Sender<Arc<Event>>,
}

impl Events {
    /// A channel that holds so many events for each listener.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            channel: broadcast::Sender::new(capacity.max(1)),
        }
    }

    /// Whether anybody listens.
    pub(crate) fn is_heard(&self) -> bool {
        self.channel.receiver_count() > 0
    }

    /// Tells everybody who listens.
    pub(crate) fn tell(&self, at: Timestamp, data: EventData) {
        if self.is_heard() {
            let _ = self.channel.send(Arc::new(Event::new(at, data)));
        }
    }

    /// Listens from now on.
    pub(crate) fn listen(&self) -> EventStream {
        EventStream {
            channel: self.channel.subscribe(),
        }
    }
}

/// What happens from when it was made on: [`ApiKeys::events`](crate::ApiKeys::events).
#[derive(Debug)]
pub struct EventStream {
    channel: broadcast::Receiver<Arc<Event>>,
}

/// What is heard of an [`EventStream`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a listener hears or has missed")]
pub enum Heard {
    /// Something happened.
    Event(Arc<Event>),
    /// So many events were lost, because they were not listened to in time.
    Missed(u64),
}

impl EventStream {
    /// Waits for what comes next; nothing when the keys it is about are dropped.
    ///
    /// Nothing is lost if the future is dropped before it is ready.
    pub async fn next(&mut self) -> Option<Heard> {
        match self.channel.recv().await {
            Ok(event) => Some(Heard::Event(event)),
            Err(RecvError::Lagged(count)) => Some(Heard::Missed(count)),
            Err(RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::alert::AlertRule;

    const AT: Timestamp = Timestamp::from_millis(1_785_232_800_000);

    fn every() -> Vec<EventData> {
        let key = KeyId::from_u128(1);
        let alert = Alert::new(key, AlertRule::Spike, AT, 2, 1);
        let acts = [
            AuditAction::Issued,
            AuditAction::Imported,
            AuditAction::Updated,
            AuditAction::Enabled,
            AuditAction::Disabled,
            AuditAction::Rotated,
            AuditAction::GraceStarted,
            AuditAction::GraceEnded,
            AuditAction::Revoked,
            AuditAction::Deleted,
            AuditAction::Connected,
            AuditAction::Renewed,
            AuditAction::Reused,
        ];
        let acts = acts.map(|action| EventData::Act {
            key,
            action,
            actor: "ada".to_owned(),
        });
        let address = None;
        acts.into_iter()
            .chain([
                EventData::Denied {
                    key,
                    reason: "scope_missing",
                    address,
                },
                EventData::Limited {
                    key,
                    reason: "rate_limited",
                },
                EventData::RevokedPresented { key, address },
                EventData::ExpiredPresented { key, address },
                EventData::AlertRaised(alert.clone()),
                EventData::AlertResolved(alert),
                EventData::AlertsHeldBack { alerts: 7 },
            ])
            .collect()
    }

    #[test]
    fn every_kind_has_a_word_of_its_own_from_a_closed_list() {
        let words: Vec<_> = every().iter().map(EventData::kind).collect();
        assert_eq!(words, EventData::KINDS);
        assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), words.len());
    }

    #[test]
    fn an_event_is_an_object_with_id_type_timestamp_and_data() {
        for data in every() {
            let event = Event::new(AT, data.clone());
            let shown = serde_json::to_value(&event).unwrap();
            assert_eq!(shown["type"], data.kind());
            assert_eq!(shown["id"], event.id.to_string());
            assert_eq!(shown["timestamp"], "2026-07-28T10:00:00Z");
            assert!(shown["data"].is_object(), "{shown}");
            assert_eq!(shown.as_object().unwrap().len(), 4);
        }
        let event = Event::new(AT, every().remove(8));
        let shown = serde_json::to_value(&event).unwrap();
        let key = KeyId::from_u128(1);
        assert_eq!(shown["data"], json!({"key": key, "actor": "ada"}));
    }

    #[tokio::test]
    async fn a_slow_listener_loses_the_oldest_and_is_told_how_many() {
        let events = Events::new(4);
        events.tell(AT, EventData::AlertsHeldBack { alerts: 0 });
        let (mut slow, mut quick) = (events.listen(), events.listen());
        for alerts in 1..=10 {
            events.tell(AT, EventData::AlertsHeldBack { alerts });
            let Some(Heard::Event(event)) = quick.next().await else {
                panic!("nothing was heard");
            };
            assert_eq!(event.data, EventData::AlertsHeldBack { alerts });
        }
        drop(events);
        let mut heard = Vec::new();
        while let Some(next) = slow.next().await {
            heard.push(match next {
                Heard::Event(event) => match event.data {
                    EventData::AlertsHeldBack { alerts } => Ok(alerts),
                    ref other => panic!("{other:?}"),
                },
                Heard::Missed(count) => Err(count),
            });
        }
        assert_eq!(heard, [Err(6), Ok(7), Ok(8), Ok(9), Ok(10)]);
    }
}
