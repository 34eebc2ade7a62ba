//! A request on its way past the MCP layer: judged, paid for, passed on.

use std::future::Future;
use std::pin::Pin;

use http::header::ACCEPT_ENCODING;
use http::request::Parts;
use http::{HeaderValue, Request, response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::McpLayer;
use super::answer::Refusal;
use super::exchange::Exchange;
use super::judge::{Begins, Verdict};
use crate::context::KeyContext;
use crate::gate::{Admission, Costs, Gate};
use crate::key::LimitStatus;
use crate::layer::ReadBody;
use crate::layer::reading::{Read, Reading};
use crate::layer::ticket::Slot;
use crate::layer::turned_away::TurnedAway;
use crate::mcp::ListFilter;
use crate::rejection::{Rejection, RejectionKind};

pin_project! {
    /// Where the answer to a request stands.
    #[project = StateProjection]
    pub(super) enum State<S, B, R, F> {
        Refused { turned_away: TurnedAway<B> },
        Reading { asked: Pin<Box<Asked<S, B>>> },
        Charging { charge: Charge, passing: Option<Box<Passing<S, B>>> },
        Inner { #[pin] future: F, exchange: Option<Exchange> },
        Collecting { answered: Pin<Box<Answered<R>>> },
    }
}

// These are boxed above: they are large, and a request that needs neither is moved several times.
pin_project! {
    /// A request whose body is being read.
    pub(super) struct Asked<S, B> {
        #[pin]
        pub(super) reading: Reading<B>,
        pub(super) call: Option<Call<S>>,
    }
}

pin_project! {
    /// An answer whose body is being read.
    pub(super) struct Answered<R> {
        #[pin]
        pub(super) reading: Reading<R>,
        pub(super) collected: Option<Collected>,
    }
}

/// Asking the store for more of a quota, or for the key again: boxed, as everything a store does is.
type Charge = Pin<Box<dyn Future<Output = Result<Option<LimitStatus>, Rejection>> + Send>>;

/// Who asks, and the layer that judges what they ask.
pub(super) struct Caller {
    pub(super) admission: Admission,
    pub(super) key: KeyContext,
    /// Where to leave word of what is asked, if anybody wants to know.
    pub(super) slot: Option<Slot>,
    pub(super) layer: McpLayer,
}

/// The service that was ready, and what to call it with besides the body.
pub(super) struct Call<S> {
    service: S,
    head: Parts,
    caller: Caller,
}

/// What is known of a message.
#[derive(Default)]
pub(super) struct Known {
    pub(super) id: Option<Box<str>>,
    pub(super) batch: Vec<Box<str>>,
    pub(super) filter: Option<Box<ListFilter>>,
    pub(super) begins: Option<Begins>,
    /// Whether the message was not read although it could be.
    pub(super) is_stated: bool,
}

/// A request that may pass once it is paid for.
pub(super) struct Passing<S, B> {
    call: Call<S>,
    body: ReadBody<B>,
    known: Known,
}

/// What goes with an answer whose body is being read.
pub(super) struct Collected {
    pub(super) exchange: Exchange,
    pub(super) head: response::Parts,
    pub(super) filter: Box<ListFilter>,
}

impl<S, B, R> State<S, B, R, S::Future>
where
    S: Service<Request<ReadBody<B>>>,
    B: Body,
{
    /// What need not be read, or not yet. It passes as it is, if it can be paid for.
    #[inline]
    pub(super) fn unread(
        service: &mut S,
        head: Parts,
        body: ReadBody<B>,
        caller: Caller,
        known: Known,
        costs: Costs,
    ) -> Self
    where
        S: Clone,
    {
        match caller.charge(&costs) {
            Some(Ok(limit)) => pass_on(service, head, body, caller, known, limit),
            charged => {
                let call = Call::taking(service, head, caller);
                Passing { call, body, known }.unpaid(charged, costs)
            }
        }
    }
}

/// Calls the service with a request that may pass.
#[inline]
fn pass_on<S, B, R>(
    service: &mut S,
    head: Parts,
    body: ReadBody<B>,
    caller: Caller,
    known: Known,
    limit: Option<LimitStatus>,
) -> State<S, B, R, S::Future>
where
    S: Service<Request<ReadBody<B>>>,
{
    let method = head.method.clone();
    State::Inner {
        future: service.call(Request::from_parts(head, body)),
        exchange: Some(Exchange {
            layer: caller.layer,
            admission: Some(caller.admission),
            key: caller.key,
            method,
            id: known.id,
            filter: known.filter,
            begins: known.begins,
            limit,
        }),
    }
}

impl Caller {
    /// Charges what a request costs, if that can be done without waiting, and leaves word of it.
    fn charge(&self, costs: &Costs) -> Option<Result<Option<LimitStatus>, Rejection>> {
        if let Some(slot) = &self.slot {
            slot.cost(costs.total());
        }
        self.admission.try_charge(costs)
    }

    /// Where to leave word of what the message asks.
    pub(super) fn word(&self) -> Option<(&Slot, &Gate)> {
        self.slot.as_ref().map(|slot| (slot, self.admission.gate()))
    }
}

impl<S> Call<S> {
    /// Takes the service that is ready with it. A fresh clone, which is not ready, stays for the next
    /// `poll_ready`.
    pub(super) fn taking(service: &mut S, head: Parts, caller: Caller) -> Self
    where
        S: Clone,
    {
        let fresh = service.clone();
        Self {
            service: std::mem::replace(service, fresh),
            head,
            caller,
        }
    }

    pub(super) fn reading<B: Body, R>(self, body: B) -> State<S, B, R, S::Future>
    where
        S: Service<Request<ReadBody<B>>>,
    {
        let settings = &self.caller.layer.settings;
        let deadline = Some(settings.body_deadline);
        State::Reading {
            asked: Box::pin(Asked {
                reading: Reading::new(body, (), settings.max_body, deadline),
                call: Some(self),
            }),
        }
    }

    /// What follows on a body that was read, or could not be.
    pub(super) fn judged<B: Body, R>(
        mut self,
        read: Result<Read, RejectionKind>,
    ) -> State<S, B, R, S::Future>
    where
        S: Service<Request<ReadBody<B>>>,
    {
        let read = match read {
            Ok(read) => read,
            Err(kind) => return self.refused(Refusal::Request(Rejection::new(kind))),
        };
        let caller = &self.caller;
        let judged = caller.layer.judge(&read.data, &caller.key, caller.word());
        let Verdict {
            costs,
            id,
            batch,
            filter,
            begins,
            is_plain_wanted,
        } = match judged {
            Ok(verdict) => verdict,
            Err(refusal) => return self.refused(refusal),
        };
        if is_plain_wanted {
            let plain = HeaderValue::from_static("identity");
            self.head.headers.insert(ACCEPT_ENCODING, plain);
        }
        let known = Known {
            id,
            batch,
            filter,
            begins,
            is_stated: false,
        };
        let body = ReadBody::buffered(read.data, read.trailers);
        match self.caller.charge(&costs) {
            Some(Ok(limit)) => self.paid(body, known, limit),
            charged => {
                let call = self;
                Passing { call, body, known }.unpaid(charged, costs)
            }
        }
    }

    #[inline]
    fn paid<B, R>(
        self,
        body: ReadBody<B>,
        known: Known,
        limit: Option<LimitStatus>,
    ) -> State<S, B, R, S::Future>
    where
        S: Service<Request<ReadBody<B>>>,
    {
        let Self {
            mut service,
            head,
            caller,
        } = self;
        pass_on(&mut service, head, body, caller, known, limit)
    }

    fn refused<B, R, F>(&self, refusal: Refusal) -> State<S, B, R, F> {
        let caller = &self.caller;
        let answer = caller.layer.refuse(refusal, &self.head, caller.key.brief());
        State::Refused {
            turned_away: TurnedAway::with(answer),
        }
    }
}

impl<S, B: Body> Passing<S, B> {
    /// What cannot be paid for, or not without waiting.
    #[cold]
    fn unpaid<R>(
        self,
        charged: Option<Result<Option<LimitStatus>, Rejection>>,
        costs: Costs,
    ) -> State<S, B, R, S::Future>
    where
        S: Service<Request<ReadBody<B>>>,
    {
        match charged {
            Some(charged) => self.charged(charged),
            None => State::Charging {
                charge: Box::pin(self.call.caller.admission.clone().charge(costs)),
                passing: Some(Box::new(self)),
            },
        }
    }

    pub(super) fn charged<R>(
        self,
        charged: Result<Option<LimitStatus>, Rejection>,
    ) -> State<S, B, R, S::Future>
    where
        S: Service<Request<ReadBody<B>>>,
    {
        let Self { call, body, known } = self;
        let rejection = match charged {
            Ok(limit) => return call.paid(body, known, limit),
            Err(rejection) => rejection,
        };
        let is_limit = matches!(
            rejection.kind(),
            RejectionKind::RateLimited | RejectionKind::QuotaExceeded
        );
        if !is_limit {
            return call.refused(Refusal::Request(rejection));
        }
        // The answer is to name the request, which only the body does.
        if known.is_stated {
            return match body.into_unread() {
                Some(body) => call.reading(body),
                None => call.refused(Refusal::Request(rejection)),
            };
        }
        let Known { id, batch, .. } = known;
        call.refused(Refusal::Limited {
            id,
            batch,
            rejection,
        })
    }
}
