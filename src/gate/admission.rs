//! What is left to do for a key once it was admitted: charging a request when it is known what it
//! is, and ending what goes on for long.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Sleep;

use super::refused::Refused;
use super::waiting::Waiting;
use super::{Gate, PATIENCE, unavailable};
use crate::error::Error;
use crate::key::{LimitStatus, RateLimit, ServerName};
use crate::rejection::Rejection;
use crate::verify::Pass;

/// A key that was admitted, and by which gate.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    pub(super) gate: Gate,
    pub(super) pass: Arc<Pass>,
}

/// What a request costs.
#[derive(Clone, Debug)]
pub(crate) enum Costs {
    /// So much, whatever it is.
    Request(u32),
    /// So much, and it may be a call of any tool.
    Unread(u32),
    /// So much for each call, of a tool if one is named.
    Calls(Vec<(Option<Box<str>>, u32)>),
}

impl Costs {
    pub(crate) fn total(&self) -> u32 {
        match self {
            Self::Request(cost) | Self::Unread(cost) => *cost,
            Self::Calls(calls) => calls
                .iter()
                .fold(0, |sum, (_, cost)| sum.saturating_add(*cost)),
        }
    }

    /// How much of it a limit counts.
    pub(super) fn of(&self, rule: &RateLimit, server: Option<&ServerName>) -> u32 {
        match self {
            Self::Request(cost) if rule.applies(server, None) => *cost,
            Self::Unread(cost) if rule.concerns(server) => *cost,
            Self::Request(_) | Self::Unread(_) => 0,
            Self::Calls(calls) => calls
                .iter()
                .filter(|(tool, _)| rule.applies(server, tool.as_deref()))
                .fold(0, |sum, (_, cost)| sum.saturating_add(*cost)),
        }
    }
}

impl Admission {
    pub(super) fn new(gate: Gate, pass: Arc<Pass>) -> Self {
        Self { gate, pass }
    }

    /// Decides whether a request with this head may pass `gate` with the key that was admitted: for
    /// a caller who holds something that stands for the key, such as a session. Nothing is
    /// presented, so nothing is proven again; everything else is judged as ever.
    #[cfg(any(feature = "admin", feature = "oauth"))]
    pub(crate) async fn readmit(
        &self,
        gate: &Gate,
        head: &mut http::request::Parts,
    ) -> Result<super::Permit, Rejection> {
        let since = gate.core.shared.clock.now().ticks;
        let pass = Arc::clone(&self.pass);
        gate.judge_renewed(head, pass, since).await
    }

    /// Charges what the request costs, if that can be done without waiting.
    pub(crate) fn try_charge(
        &self,
        costs: &Costs,
    ) -> Option<Result<Option<LimitStatus>, Rejection>> {
        match self.charge_once(costs, None) {
            Ok(limit) => Some(Ok(limit)),
            Err(Refused::By(rejection)) => Some(Err(rejection)),
            Err(Refused::Aged | Refused::NotHeld | Refused::Unasked) => None,
        }
    }

    /// Charges what the request costs; asks the store or the shared limiter first where that is
    /// needed.
    pub(crate) async fn charge(self, costs: Costs) -> Result<Option<LimitStatus>, Rejection> {
        let mut waiting = Waiting::since(self.gate.core.shared.clock.now().ticks);
        for _ in 0..PATIENCE {
            let renewed = match self.charge_once(&costs, Some(&waiting)) {
                Ok(limit) => {
                    waiting.end();
                    return Ok(limit);
                }
                Err(Refused::By(rejection)) => return Err(rejection),
                Err(Refused::Aged) => self.renew().await,
                Err(Refused::NotHeld) => {
                    let now = self.gate.core.shared.clock.now();
                    let live = self.gate.core.shared.verifier.live();
                    live.replenish(self.pass.proof().live(), costs.total(), now)
                        .await
                }
                Err(Refused::Unasked) => {
                    let now = self.gate.core.shared.clock.now();
                    let proof = self.pass.proof();
                    waiting.answer = self.gate.ask_limiter(proof, &costs, now).await;
                    Ok(())
                }
            };
            if renewed.is_err() {
                break;
            }
        }
        Err(unavailable())
    }

    /// The key may have changed since it was admitted, so that is looked at again.
    fn charge_once(
        &self,
        costs: &Costs,
        waiting: Option<&Waiting>,
    ) -> Result<Option<LimitStatus>, Refused> {
        let now = self.gate.core.shared.clock.now();
        let live = self.gate.core.shared.verifier.live();
        if !live.is_fresh(now.ticks) {
            return Err(unavailable().into());
        }
        let state = self.pass.proof().live().state();
        let since = waiting.map(|waiting| waiting.since);
        if !state.is_reliable(live.epoch(), now.ticks, since) {
            return Err(Refused::Aged);
        }
        let secret = self.pass.proof().secret();
        self.gate.still_admits(&state, secret, now)?;
        let answer = waiting.and_then(|waiting| waiting.answer.as_ref());
        let allowance = state.allowance();
        let told = self.gate.charge(allowance, costs, now, answer)?;
        Ok(told.and_then(|told| told.status(&allowance)))
    }

    async fn renew(&self) -> Result<(), Error> {
        self.gate
            .core
            .shared
            .verifier
            .renew(self.pass.proof())
            .await
    }

    /// Whether the key would still be admitted; nothing if that has to be found out.
    fn look(&self) -> Option<Result<(), Rejection>> {
        let now = self.gate.core.shared.clock.now();
        let live = self.gate.core.shared.verifier.live();
        if !live.is_fresh(now.ticks) {
            return Some(Err(unavailable()));
        }
        let state = self.pass.proof().live().state();
        if !state.is_reliable(live.epoch(), now.ticks, None) {
            return None;
        }
        Some(
            self.gate
                .still_admits(&state, self.pass.proof().secret(), now),
        )
    }
}

/// How often a key is looked at whose request goes on for long.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Looks at a key from time to time while an answer to it goes on.
pub(crate) struct Watch {
    admission: Admission,
    /// When the key was last looked at between two parts of the answer, on the gate's clock.
    looked_at: Option<u64>,
    /// Runs while the answer is waited for.
    pause: Option<Pin<Box<Sleep>>>,
    /// In a task of its own, so that the watch can be shared between threads as bodies are.
    renewing: Option<JoinHandle<()>>,
}

impl Watch {
    pub(crate) fn new(admission: Admission) -> Self {
        Self {
            admission,
            looked_at: None,
            pause: None,
            renewing: None,
        }
    }

    /// Before a part of the answer is asked for: ready when the key would no longer be admitted, as
    /// far as it is time to look. Parts that are always there, and a reader who is slow to take
    /// them, leave no pause to look in.
    pub(crate) fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<Rejection> {
        let now = self.admission.gate.core.shared.clock.now().ticks;
        let last = *self.looked_at.get_or_insert(now);
        if u128::from(now.saturating_sub(last)) < LOOK_EVERY.as_nanos() {
            return Poll::Pending;
        }
        self.looked_at = Some(now);
        self.poll_look(cx)
    }

    /// While the answer is waited for: ready when the key would no longer be admitted.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Rejection> {
        loop {
            if self.renewing.is_some() {
                match self.poll_look(cx) {
                    Poll::Ready(rejection) => return Poll::Ready(rejection),
                    Poll::Pending if self.renewing.is_some() => return Poll::Pending,
                    Poll::Pending => self.pause_anew(),
                }
            }
            let pause = self
                .pause
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(LOOK_EVERY)));
            ready!(pause.as_mut().poll(cx));
            if let Poll::Ready(rejection) = self.poll_look(cx) {
                return Poll::Ready(rejection);
            }
            self.pause_anew();
        }
    }

    fn poll_look(&mut self, cx: &mut Context<'_>) -> Poll<Rejection> {
        if let Some(renewing) = &mut self.renewing {
            // A store that does not answer is asked again; how long to go on without it is the
            // node's freshness to say.
            let _ = ready!(Pin::new(renewing).poll(cx));
            self.renewing = None;
            return match self.admission.look() {
                Some(Err(rejection)) => Poll::Ready(rejection),
                Some(Ok(())) | None => Poll::Pending,
            };
        }
        match self.admission.look() {
            Some(Err(rejection)) => Poll::Ready(rejection),
            Some(Ok(())) => Poll::Pending,
            None => {
                let admission = self.admission.clone();
                self.renewing = Some(tokio::spawn(async move {
                    let _ = admission.renew().await;
                }));
                Poll::Pending
            }
        }
    }

    fn pause_anew(&mut self) {
        if let Some(pause) = &mut self.pause {
            pause.set(tokio::time::sleep(LOOK_EVERY));
        }
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}
