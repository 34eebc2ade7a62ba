//! Ending an answer that goes on for long when its key is no longer admitted.
//!
//! 1. Only an answer of unknown length is watched. One whose length was announced has an end, and could
//!    not be ended in order before it.
//! 2. The key is looked at twice a second, while the next part is waited for, and else before it is
//!    asked for: an answer that never pauses, or whose reader is slow, is watched too. What no reader
//!    asks for is not sent either, so it waits.
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

/// Watches one answer.
#[derive(Debug)]
pub(super) struct Guard {
    admission: Admission,
    ending: Ending,
    /// Made when the answer turns out to go on for long. Most do not, and stay small.
    watching: Option<Box<Watching>>,
}

#[derive(Debug)]
struct Watching {
    state: State,
    /// The last bytes of what was sent so far. They tell whether that ends between two events.
    tail: Tail,
}

#[derive(Debug)]
enum State {
    On(Watch),
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
    /// It stops with an event, made from the reason.
    Event(EventData),
}

/// Makes the last event; its data is one line.
#[derive(Debug)]
pub(super) enum EventData {
    /// As an API says it: `error`.
    Api,
    /// As an answer to the JSON-RPC request with this id, which is raw JSON: `message`.
    JsonRpc(Box<str>),
}

impl EventData {
    fn event(&self, rejection: &Rejection) -> String {
        let (name, data) = match self {
            Self::Api => ("error", StandardResponder::event_data(rejection)),
            Self::JsonRpc(id) => ("message", json_rpc_answer(rejection, id)),
        };
        format!("event: {name}\ndata: {data}\n\n")
    }
}

/// The answer to the request with this id (raw JSON) that it is refused.
pub(super) fn json_rpc_answer(rejection: &Rejection, id: &str) -> String {
    let kind = rejection.kind().rejection_type();
    let error = StandardResponder::new().json_rpc_error(rejection, kind);
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#)
}

impl Ending {
    /// What the type of an answer allows.
    pub(super) fn of(headers: &HeaderMap, data: EventData) -> Self {
        let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        let is = |prefix: &str| {
            content_type.is_some_and(|value| {
                value
                    .get(..prefix.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
            })
        };
        if is("text/event-stream") {
            Self::Event(data)
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
            admission,
            ending,
            watching: None,
        }
    }

    fn watching(&mut self) -> &mut Watching {
        self.watching.get_or_insert_with(|| {
            Box::new(Watching {
                state: State::On(Watch::new(self.admission.clone())),
                tail: Tail::default(),
            })
        })
    }

    /// Once the answer has been ended: the last frame, if it has not been sent yet.
    pub(super) fn last_words(&mut self) -> Option<Option<Frame<Bytes>>> {
        match &mut self.watching.as_mut()?.state {
            State::Ended(last) => Some(last.take()),
            State::On(_) => None,
        }
    }

    /// Notes what was sent.
    pub(super) fn note(&mut self, data: &[u8]) {
        if matches!(self.ending, Ending::Event(_)) {
            self.watching().tail.add(data);
        }
    }

    /// Before the next frame is asked for: ready when the key is no longer admitted, and the answer
    /// therefore ended.
    pub(super) fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_with(|watch| watch.poll_due(cx))
    }

    /// The same, while the next frame is waited for.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_with(|watch| watch.poll_end(cx))
    }

    fn poll_with(&mut self, poll: impl FnOnce(&mut Watch) -> Poll<Rejection>) -> Poll<()> {
        let State::On(watch) = &mut self.watching().state else {
            return Poll::Ready(());
        };
        let rejection = std::task::ready!(poll(watch));
        tracing::debug!(
            code = rejection.code(),
            key = rejection.key_id().map(tracing::field::display),
            "an answer is ended"
        );
        let last = self.ending_for(&rejection);
        self.watching().state = State::Ended(last);
        Poll::Ready(())
    }

    fn is_between_events(&self) -> bool {
        let watching = self.watching.as_ref();
        watching.is_none_or(|watching| watching.tail.is_between_events())
    }

    fn ending_for(&self, rejection: &Rejection) -> Option<Frame<Bytes>> {
        match &self.ending {
            Ending::Event(data) if self.is_between_events() => {
                Some(Frame::data(Bytes::from(data.event(rejection))))
            }
            Ending::Stop | Ending::Event(_) => None,
            Ending::Grpc => {
                let mut trailers = HeaderMap::new();
                grpc_status(&mut trailers, rejection);
                Some(Frame::trailers(trailers))
            }
        }
    }
}

/// The last bytes of a stream: an event may end in another frame than it began to end in.
#[derive(Debug, Default)]
struct Tail {
    bytes: [u8; 4],
    length: usize,
}

impl Tail {
    fn add(&mut self, data: &[u8]) {
        for byte in data.get(data.len().saturating_sub(4)..).unwrap_or(data) {
            self.bytes.rotate_left(1);
            if let Some(last) = self.bytes.last_mut() {
                *last = *byte;
            }
        }
        self.length = self.length.saturating_add(data.len());
    }

    fn is_between_events(&self) -> bool {
        let ends = [&b"\n\n"[..], b"\r\n\r\n", b"\r\r"];
        self.length == 0 || ends.iter().any(|end| self.bytes.ends_with(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_event_is_seen_however_it_is_cut() {
        for (text, ends) in [
            ("", true),
            ("data: a\n\n", true),
            ("data: a\r\n\r\n", true),
            ("data: a\r\r", true),
            (": still here\n\n", true),
            ("data: a\n", false),
            ("data: a\r\n", false),
            ("data: a\n\nd", false),
            ("data: a\n\ndata: b", false),
            ("\n", false),
        ] {
            for cut in 0..=text.len() {
                for again in cut..=text.len() {
                    let mut tail = Tail::default();
                    for part in [&text[..cut], &text[cut..again], &text[again..]] {
                        tail.add(part.as_bytes());
                    }
                    assert_eq!(tail.is_between_events(), ends, "{text:?} {cut} {again}");
                }
            }
        }
    }
}
