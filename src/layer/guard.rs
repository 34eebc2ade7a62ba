//! Ending an answer that goes on for long when its key is no longer admitted.
//!
//! 1. Only an answer of unknown length that has to be waited for is watched: what is there at once
//!    has been sent before anything could change.
//! 2. The key is looked at twice a second, and after every so many frames of an answer that never
//!    pauses.
//! 3. Where the protocol has a word for it the end is said, not only made: an event in a stream of
//!    events, a status in gRPC.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;

use super::respond::{StandardResponder, grpc_status};
use crate::gate::{Admission, Watch};
use crate::rejection::Rejection;

/// After how many frames at once an answer is watched, and its key looked at.
const FRAMES: u8 = 32;

/// Watches one answer.
#[derive(Debug)]
pub(super) struct Guard {
    watch: Watching,
    ending: Ending,
    frames: u8,
    /// Whether what was sent so far ends between two events.
    between_events: bool,
}

#[derive(Debug)]
enum Watching {
    NotYet(Option<Admission>),
    Since(Box<Watch>),
    /// With what is left to be said.
    Ended(Option<Frame<Bytes>>),
}

/// How an answer is ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// It stops.
    Stop,
    /// It stops with a gRPC status.
    Grpc,
    /// It stops with an event of this name, whose data is made from the reason.
    Event(&'static str, EventData),
}

/// Makes the data of the last event: one line.
#[derive(Debug)]
pub(super) enum EventData {
    /// As an API says it.
    Api,
    /// As an answer to the JSON-RPC request with this id, which is raw JSON.
    JsonRpc(Box<str>),
}

impl EventData {
    fn of(&self, rejection: &Rejection) -> String {
        match self {
            Self::Api => StandardResponder::event_data(rejection),
            Self::JsonRpc(id) => json_rpc_answer(rejection, id),
        }
    }
}

/// The answer to the request with this id (raw JSON) that it is refused.
pub(super) fn json_rpc_answer(rejection: &Rejection, id: &str) -> String {
    let kind = rejection.kind().rejection_type();
    let error = StandardResponder::new().json_rpc_error(rejection, kind);
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#)
}

/// That an inner layer watches the answer already.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guarded;

impl Ending {
    /// What the type of an answer allows.
    pub(super) fn of(headers: &HeaderMap, name: &'static str, data: EventData) -> Self {
        let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        let is = |prefix: &str| {
            content_type.is_some_and(|value| {
                value
                    .get(..prefix.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
            })
        };
        if is("text/event-stream") {
            Self::Event(name, data)
        } else if is("application/grpc") {
            Self::Grpc
        } else {
            Self::Stop
        }
    }
}

impl Guard {
    pub(super) fn new(admission: Admission, ending: Ending) -> Self {
        Self {
            watch: Watching::NotYet(Some(admission)),
            ending,
            frames: 0,
            between_events: true,
        }
    }

    /// Once the answer has been ended: the last frame, if it has not been sent yet.
    pub(super) fn last_words(&mut self) -> Option<Option<Frame<Bytes>>> {
        match &mut self.watch {
            Watching::Ended(last) => Some(last.take()),
            _ => None,
        }
    }

    /// Notes what was sent. Returns whether it is time to look at the key.
    pub(super) fn note(&mut self, data: &[u8]) -> bool {
        if matches!(self.ending, Ending::Event(..)) && !data.is_empty() {
            let ends = [&b"\n\n"[..], b"\r\n\r\n", b"\r\r"];
            self.between_events = ends.iter().any(|end| data.ends_with(end));
        }
        self.frames = self.frames.wrapping_add(1);
        self.frames.is_multiple_of(FRAMES)
    }

    /// Ready when the key is no longer admitted, and the answer therefore ended.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Watching::NotYet(admission) = &mut self.watch {
            let Some(admission) = admission.take() else {
                return Poll::Pending;
            };
            self.watch = Watching::Since(Box::new(Watch::new(admission)));
        }
        let Watching::Since(watch) = &mut self.watch else {
            return Poll::Pending;
        };
        let rejection = std::task::ready!(watch.poll_end(cx));
        tracing::debug!(
            code = rejection.code(),
            key = rejection.key_id().map(tracing::field::display),
            "an answer is ended"
        );
        self.watch = Watching::Ended(self.ending_for(&rejection));
        Poll::Ready(())
    }

    fn ending_for(&self, rejection: &Rejection) -> Option<Frame<Bytes>> {
        match &self.ending {
            Ending::Event(name, data) if self.between_events => {
                let event = format!("event: {name}\ndata: {}\n\n", data.of(rejection));
                Some(Frame::data(Bytes::from(event)))
            }
            Ending::Stop | Ending::Event(..) => None,
            Ending::Grpc => {
                let mut trailers = HeaderMap::new();
                grpc_status(&mut trailers, rejection);
                Some(Frame::trailers(trailers))
            }
        }
    }
}
