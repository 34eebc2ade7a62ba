//! What is left of a refused request: an answer, and perhaps a body to be read away first.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http::request::Parts;
use http_body::Body;

use super::ResponseBody;
use super::drain::Drain;

/// A refused request. What an admitted one needs takes as much room as the answer, so that need not
/// stand elsewhere; the body may be large.
#[derive(Debug)]
pub(super) struct TurnedAway<B> {
    answer: Option<Response<Bytes>>,
    rest: Option<Pin<Box<Drain<B>>>>,
}

impl<B> TurnedAway<B> {
    /// After as much of the body was read as is worth it.
    pub(super) fn with(answer: Response<Bytes>) -> Self {
        Self {
            answer: Some(answer),
            rest: None,
        }
    }
}

impl<B: Body> TurnedAway<B> {
    /// Before the body was read.
    pub(super) fn unread(answer: Response<Bytes>, head: &Parts, body: B) -> Self {
        Self {
            answer: Some(answer),
            rest: Drain::of(head, body).map(Box::pin),
        }
    }

    /// The answer, once. Polled again after that, which the contract of futures forbids, it is
    /// pending.
    pub(super) fn poll_answer<R>(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Response<ResponseBody<R>>> {
        if let Some(rest) = &mut self.rest {
            ready!(rest.as_mut().poll_done(cx));
            self.rest = None;
        }
        match self.answer.take() {
            Some(answer) => Poll::Ready(answer.map(ResponseBody::own)),
            None => Poll::Pending,
        }
    }
}
