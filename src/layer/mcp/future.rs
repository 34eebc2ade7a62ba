//! The future of a response behind the MCP layer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::ACCEPT_ENCODING;
use http::request::Parts;
use http::{HeaderValue, Request, Response, response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::McpLayer;
use super::answer::Refusal;
use super::exchange::{Exchange, Reply};
use super::judge::{Begins, Verdict};
use super::stated::Stated;
use crate::context::KeyContext;
use crate::gate::{Admission, Costs, Gate};
use crate::key::LimitStatus;
use crate::layer::reading::{Read, Reading};
use crate::layer::ticket::Slot;
use crate::layer::turned_away::TurnedAway;
use crate::layer::{ReadBody, ResponseBody};
use crate::mcp::ListFilter;
use crate::rejection::{Rejection, RejectionKind};

pin_project! {
    /// The future returned by [`McpService`](super::McpService).
    ///
    /// Dropping it drops the request's body, or the inner service's future or answer.
    pub struct McpFuture<S, B, R>
    where
        S: Service<Request<ReadBody<B>>>,
    {
        #[pin]
        state: State<S, B, R, S::Future>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, B, R, F> {
        Refused { turned_away: TurnedAway<B> },
        Reading { #[pin] reading: Reading<B>, call: Option<Call<S>> },
        Charging { charge: Charge, passing: Option<Passing<S, B>> },
        Inner { #[pin] future: F, exchange: Option<Exchange> },
        Collecting { #[pin] reading: Reading<R>, parts: Option<Collected> },
    }
}

/// Asking the store for more of a quota, or for the key again: boxed, as everything a store does is.
type Charge = Pin<Box<dyn Future<Output = Result<Option<LimitStatus>, Rejection>> + Send>>;

/// The service that was ready, and what to call it with besides the body.
pub(super) struct Call<S> {
    pub(super) service: S,
    pub(super) head: Parts,
    pub(super) admission: Admission,
    pub(super) key: KeyContext,
    /// Where to leave word of what is asked, if anybody wants to know.
    pub(super) slot: Option<Slot>,
    pub(super) layer: McpLayer,
}

/// A request that may pass once it is paid for.
struct Passing<S, B> {
    call: Call<S>,
    body: ReadBody<B>,
    id: Option<Box<str>>,
    batch: Vec<Box<str>>,
    filter: Option<ListFilter>,
    begins: Option<Begins>,
    /// Whether the message was not read although it could be.
    is_stated: bool,
}

/// An answer whose body is being read.
struct Collected {
    exchange: Exchange,
    head: response::Parts,
    filter: Box<ListFilter>,
}

impl<S, B, R> McpFuture<S, B, R>
where
    S: Service<Request<ReadBody<B>>>,
    B: Body,
{
    pub(super) fn refused(response: Response<Bytes>, head: &Parts, body: B) -> Self {
        Self {
            state: State::Refused {
                turned_away: TurnedAway::unread(response, head, body),
            },
        }
    }

    pub(super) fn passed(call: Call<S>, body: ReadBody<B>, costs: Costs) -> Self {
        let passing = Passing::unread(call, body);
        Self {
            state: passing.charged(costs),
        }
    }

    /// What the headers state and the rules permit.
    pub(super) fn stated(call: Call<S>, body: B, costs: Costs, begins: Option<Begins>) -> Self {
        if let (Some((slot, gate)), Some(stated)) = (call.word(), Stated::read(&call.head)) {
            slot.asks_for(gate, stated.operation(&call.head));
        }
        let passing = Passing {
            begins,
            is_stated: true,
            ..Passing::unread(call, ReadBody::passed(body))
        };
        Self {
            state: passing.charged(costs),
        }
    }

    pub(super) fn reading(call: Call<S>, body: B) -> Self {
        Self {
            state: call.reading(body),
        }
    }
}

impl<S, B, R> Future for McpFuture<S, B, R>
where
    S: Service<Request<ReadBody<B>>, Response = Response<R>>,
    B: Body,
    R: Body<Data = Bytes>,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            // In each arm nothing is there any more only if the future is polled again after it was
            // ready, which the contract of futures forbids.
            let next = match state.as_mut().project() {
                StateProjection::Refused { turned_away } => {
                    return turned_away.poll_answer(cx).map(Ok);
                }
                StateProjection::Reading { reading, call } => {
                    let read = ready!(reading.poll_read(cx));
                    let Some(call) = call.take() else {
                        return Poll::Pending;
                    };
                    call.judged(read)
                }
                StateProjection::Charging { charge, passing } => {
                    let charged = ready!(charge.as_mut().poll(cx));
                    let Some(passing) = passing.take() else {
                        return Poll::Pending;
                    };
                    passing.paid(charged)
                }
                StateProjection::Inner { future, exchange } => {
                    let response = ready!(future.poll(cx))?;
                    let Some(mut exchange) = exchange.take() else {
                        return Poll::Pending;
                    };
                    match exchange.reply(response) {
                        Reply::Ready(response) => return Poll::Ready(Ok(response)),
                        Reply::Collect(head, body, filter) => {
                            let most = exchange.layer.settings.max_list;
                            State::Collecting {
                                reading: Reading::new(body, (), most, None),
                                parts: Some(Collected {
                                    exchange,
                                    head,
                                    filter,
                                }),
                            }
                        }
                    }
                }
                StateProjection::Collecting { reading, parts } => {
                    let read = ready!(reading.poll_read(cx));
                    let Some(Collected {
                        mut exchange,
                        head,
                        filter,
                    }) = parts.take()
                    else {
                        return Poll::Pending;
                    };
                    let body = read.ok().map(|read| read.data);
                    return Poll::Ready(Ok(exchange.collected(head, body.as_ref(), &filter)));
                }
            };
            state.set(next);
        }
    }
}

impl<S> Call<S> {
    fn reading<B: Body, R>(self, body: B) -> State<S, B, R, S::Future>
    where
        S: Service<Request<ReadBody<B>>>,
    {
        let settings = &self.layer.settings;
        let deadline = Some(settings.body_deadline);
        State::Reading {
            reading: Reading::new(body, (), settings.max_body, deadline),
            call: Some(self),
        }
    }

    /// What follows on a body that was read, or could not be.
    fn judged<B: Body, R>(mut self, read: Result<Read, RejectionKind>) -> State<S, B, R, S::Future>
    where
        S: Service<Request<ReadBody<B>>>,
    {
        let read = match read {
            Ok(read) => read,
            Err(kind) => return self.refused(Refusal::Request(Rejection::new(kind))),
        };
        let Verdict {
            costs,
            id,
            batch,
            filter,
            begins,
            is_plain_wanted,
        } = match self.layer.judge(&read.data, &self.key, self.word()) {
            Ok(verdict) => verdict,
            Err(refusal) => return self.refused(refusal),
        };
        if is_plain_wanted {
            let plain = HeaderValue::from_static("identity");
            self.head.headers.insert(ACCEPT_ENCODING, plain);
        }
        let passing = Passing {
            id,
            batch,
            filter,
            begins,
            ..Passing::unread(self, ReadBody::buffered(read.data, read.trailers))
        };
        passing.charged(costs)
    }

    /// Where to leave word of what the message asks.
    fn word(&self) -> Option<(&Slot, &Gate)> {
        self.slot.as_ref().map(|slot| (slot, self.admission.gate()))
    }

    fn refused<B, R, F>(&self, refusal: Refusal) -> State<S, B, R, F> {
        let answer = self.layer.refuse(refusal, &self.head, self.key.brief());
        State::Refused {
            turned_away: TurnedAway::with(answer),
        }
    }
}

impl<S, B: Body> Passing<S, B> {
    /// A request of whose message nothing is known.
    fn unread(call: Call<S>, body: ReadBody<B>) -> Self {
        Self {
            call,
            body,
            id: None,
            batch: Vec::new(),
            filter: None,
            begins: None,
            is_stated: false,
        }
    }

    fn charged<R>(self, costs: Costs) -> State<S, B, R, S::Future>
    where
        S: Service<Request<ReadBody<B>>>,
    {
        if let Some(slot) = &self.call.slot {
            slot.cost(costs.total());
        }
        match self.call.admission.try_charge(&costs) {
            Some(charged) => self.paid(charged),
            None => State::Charging {
                charge: Box::pin(self.call.admission.clone().charge(costs)),
                passing: Some(self),
            },
        }
    }

    fn paid<R>(
        mut self,
        charged: Result<Option<LimitStatus>, Rejection>,
    ) -> State<S, B, R, S::Future>
    where
        S: Service<Request<ReadBody<B>>>,
    {
        let limit = match charged {
            Ok(limit) => limit,
            Err(rejection) => {
                let is_limit = matches!(
                    rejection.kind(),
                    RejectionKind::RateLimited | RejectionKind::QuotaExceeded
                );
                // The answer is to name the request, which only the body does.
                if is_limit && self.is_stated {
                    return match self.body.into_unread() {
                        Some(body) => self.call.reading(body),
                        None => self.call.refused(Refusal::Request(rejection)),
                    };
                }
                let id = self.id.take();
                let batch = std::mem::take(&mut self.batch);
                let refusal = if is_limit {
                    Refusal::Limited {
                        id,
                        batch,
                        rejection,
                    }
                } else {
                    Refusal::Request(rejection)
                };
                return self.call.refused(refusal);
            }
        };
        let Call {
            mut service,
            head,
            admission,
            key,
            layer,
            slot: _,
        } = self.call;
        let method = head.method.clone();
        let request = Request::from_parts(head, self.body);
        State::Inner {
            future: service.call(request),
            exchange: Some(Exchange {
                layer,
                admission: Some(admission),
                key,
                method,
                id: self.id,
                filter: self.filter,
                begins: self.begins,
                limit,
            }),
        }
    }
}

impl<S, B, R> std::fmt::Debug for McpFuture<S, B, R>
where
    S: Service<Request<ReadBody<B>>>,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("McpFuture").finish_non_exhaustive()
    }
}
