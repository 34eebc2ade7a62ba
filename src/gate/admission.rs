//! What is left to do for a key once it was admitted: charging a request when it is known what it
//! is, and ending what goes on for long.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::judge::Refused;
use super::{Gate, PATIENCE, unavailable};
use crate::error::Error;
use crate::key::{LimitStatus, RateLimit, ServerName};
use crate::rejection::Rejection;
use crate::verify::Proof;

/// A key that was admitted, and by which gate.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    gate: Gate,
    proof: Proof,
}

/// What a request costs.
#[derive(Clone, Debug)]
pub(crate) enum Costs {
    /// So much, whatever it is.
    Request(u32),
    /// So much for each call, of a tool if one is named.
    Calls(Vec<(Option<Box<str>>, u32)>),
}

impl Costs {
    pub(super) fn total(&self) -> u32 {
        match self {
            Self::Request(cost) => *cost,
            Self::Calls(calls) => calls
                .iter()
                .fold(0, |sum, (_, cost)| sum.saturating_add(*cost)),
        }
    }

    /// How much of it a limit counts.
    pub(super) fn of(&self, rule: &RateLimit, server: Option<&ServerName>) -> u32 {
        match self {
            Self::Request(cost) if rule.applies(server, None) => *cost,
            Self::Request(_) => 0,
            Self::Calls(calls) => calls
                .iter()
                .filter(|(tool, _)| rule.applies(server, tool.as_deref()))
                .fold(0, |sum, (_, cost)| sum.saturating_add(*cost)),
        }
    }
}

impl Admission {
    pub(super) fn new(gate: Gate, proof: Proof) -> Self {
        Self { gate, proof }
    }

    /// Charges what the request costs, if that can be done without waiting.
    pub(crate) fn try_charge(
        &self,
        costs: &Costs,
    ) -> Option<Result<Option<LimitStatus>, Rejection>> {
        match self.charge_once(costs) {
            Ok(limit) => Some(Ok(limit)),
            Err(Refused::By(rejection)) => Some(Err(rejection)),
            Err(Refused::Aged | Refused::NotHeld) => None,
        }
    }

    /// Charges what the request costs; asks the store first where that is needed.
    pub(crate) async fn charge(self, costs: Costs) -> Result<Option<LimitStatus>, Rejection> {
        for _ in 0..PATIENCE {
            let renewed = match self.charge_once(&costs) {
                Ok(limit) => return Ok(limit),
                Err(Refused::By(rejection)) => return Err(rejection),
                Err(Refused::Aged) => self.renew().await,
                Err(Refused::NotHeld) => {
                    let now = self.gate.shared.clock.now();
                    self.gate.replenish(&self.proof, costs.total(), now).await
                }
            };
            if renewed.is_err() {
                break;
            }
        }
        Err(unavailable())
    }

    /// The key may have changed since it was admitted, so that is looked at again.
    fn charge_once(&self, costs: &Costs) -> Result<Option<LimitStatus>, Refused> {
        let now = self.gate.shared.clock.now();
        let live = self.gate.shared.verifier.live();
        if !live.is_fresh(now.ticks) {
            return Err(unavailable().into());
        }
        let state = self.proof.live().state();
        if !state.is_reliable(live.epoch(), now.ticks) {
            return Err(Refused::Aged);
        }
        self.gate.still_admits(&state, self.proof.secret(), now)?;
        self.gate.charge(&state, costs, now)
    }

    async fn renew(&self) -> Result<(), Error> {
        self.gate.shared.verifier.renew(&self.proof).await
    }

    /// Whether the key would still be admitted; nothing if that has to be found out.
    fn look(&self) -> Option<Result<(), Rejection>> {
        let now = self.gate.shared.clock.now();
        let live = self.gate.shared.verifier.live();
        if !live.is_fresh(now.ticks) {
            return Some(Err(unavailable()));
        }
        let state = self.proof.live().state();
        if !state.is_reliable(live.epoch(), now.ticks) {
            return None;
        }
        Some(self.gate.still_admits(&state, self.proof.secret(), now))
    }
}

/// How often a key is looked at whose request goes on for long.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Looks at a key from time to time while an answer to it goes on.
pub(crate) struct Watch {
    admission: Arc<Admission>,
    pause: Pin<Box<tokio::time::Sleep>>,
    /// In a task of its own, so that the watch can be shared between threads as bodies are.
    renewing: Option<JoinHandle<()>>,
}

impl Watch {
    pub(crate) fn new(admission: Admission) -> Self {
        Self {
            admission: Arc::new(admission),
            pause: Box::pin(tokio::time::sleep(LOOK_EVERY)),
            renewing: None,
        }
    }

    /// Ready when the key would no longer be admitted.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Rejection> {
        loop {
            if let Some(renewing) = &mut self.renewing {
                // A store that does not answer is asked again; how long to go on without it is the
                // node's freshness to say.
                let _ = ready!(Pin::new(renewing).poll(cx));
                self.renewing = None;
                if let Some(Err(rejection)) = self.admission.look() {
                    return Poll::Ready(rejection);
                }
                self.pause();
            }
            ready!(self.pause.as_mut().poll(cx));
            match self.admission.look() {
                Some(Err(rejection)) => return Poll::Ready(rejection),
                Some(Ok(())) => self.pause(),
                None => {
                    let admission = Arc::clone(&self.admission);
                    self.renewing = Some(tokio::spawn(async move {
                        let _ = admission.renew().await;
                    }));
                }
            }
        }
    }

    fn pause(&mut self) {
        let next = tokio::time::Instant::now() + LOOK_EVERY;
        self.pause.as_mut().reset(next);
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}
