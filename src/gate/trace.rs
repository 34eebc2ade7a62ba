//! What a trace tells of a decision.
//!
//! At debug level each decision is a span, `api_key`. It is entered while something is done for the
//! decision, the store's answer and the slow hash included, and is closed before the request goes on.
//!
//! 1. Where nobody listens at that level, it costs the comparison of two numbers.
//! 2. It names the key by its id and its public handle, and only one that was proven; nothing else that
//!    was presented is in it.

use http::request::Parts;
use tracing::field::{Empty, display};
use tracing::{Instrument as _, Level, Span};

use super::{Attempt, Gate, Permit, Unproven};
use crate::context::KeyContext;
use crate::rejection::Rejection;

/// The outcome of what was let through; otherwise it is the kind of the rejection.
const ALLOWED: &str = "allowed";

impl Gate {
    /// The part of [`admit`](Self::admit) that never waits; enough for every remembered key.
    #[inline]
    pub(crate) fn try_admit(&self, head: &mut Parts) -> Attempt {
        if tracing::level_enabled!(Level::DEBUG) {
            return self.decide_traced(head);
        }
        self.decide(head)
    }

    /// Finds out what [`try_admit`](Self::try_admit) could not know, then decides.
    pub(crate) async fn resume(
        &self,
        head: &mut Parts,
        unproven: Unproven,
    ) -> Result<Permit, Rejection> {
        let Unproven {
            carrier,
            question,
            span,
        } = unproven;
        let found = self.find_out(head, carrier, question);
        let decision = found.instrument(span.clone()).await;
        tell(&span, head, &decision);
        decision
    }

    #[cold]
    fn decide_traced(&self, head: &mut Parts) -> Attempt {
        let server = self.server_name();
        let span = tracing::debug_span!(
            "api_key",
            server,
            handle = Empty,
            key = Empty,
            outcome = Empty
        );
        match span.in_scope(|| self.decide(head)) {
            Attempt::Decided(decision) => {
                tell(&span, head, &decision);
                Attempt::Decided(decision)
            }
            Attempt::Unproven(unproven) => Attempt::Unproven(Unproven { span, ..unproven }),
        }
    }
}

fn tell(span: &Span, head: &Parts, decision: &Result<Permit, Rejection>) {
    if span.is_disabled() {
        return;
    }
    match decision {
        Ok(_) => {
            if let Some(key) = head.extensions.get::<KeyContext>() {
                span.record("handle", display(key.handle()));
                span.record("key", display(key.key_id()));
            }
            span.record("outcome", ALLOWED);
        }
        Err(rejection) => {
            if let Some(key) = rejection.key_id() {
                span.record("key", display(key));
            }
            span.record("outcome", rejection.kind().as_str());
        }
    }
}
