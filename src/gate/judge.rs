//! What is asked of a proven key, on every request.

use std::sync::Arc;

use http::request::Parts;

use super::admission::Costs;
use super::refused::Refused;
use super::waiting::Waiting;
use super::{Admission, Gate, Permit, unavailable};
use crate::clock::{Moment, Timestamp};
use crate::context::KeyContext;
use crate::key::{Carrier, KeyInfo, LimitStatus, Quota, RateLimit};
use crate::limit::{Answer, Exhausted, Standing as LimitStanding, Taking, Withdrawal};
use crate::live::{KeyState, SecretRef, Standing};
use crate::policy::{Facts, check_full_access, check_lifetime, check_network, check_signing};
use crate::rejection::{Rejection, RejectionKind};
use crate::signing::PresentedSecret;
use crate::verify::{Pass, Proof};

impl Gate {
    /// Steps 4 and on, for a proven key. A request that had to wait tells what for. What is not
    /// admitted gives its pass back.
    pub(super) fn judge(
        &self,
        head: &mut Parts,
        pass: Arc<Pass>,
        carrier: Carrier,
        now: Moment,
        waiting: Option<&Waiting>,
    ) -> Result<Permit, (Refused, Arc<Pass>)> {
        let (context, limit) = match self.pass(head, &pass, carrier, now, waiting) {
            Ok(passed) => passed,
            Err(refused) => return Err((refused, pass)),
        };
        if self.core.rules.signatures_inside {
            self.hand_on(head, now);
        }
        self.strip(head, carrier);
        head.extensions.insert(context);
        let admission = Admission::new(self.lend(), pass);
        // What charges behind the gate watches the answer as well.
        let admission = if self.core.rules.charged_inside {
            head.extensions.insert(admission);
            None
        } else {
            Some(admission)
        };
        Ok(Permit {
            limit,
            carrier,
            admission,
        })
    }

    /// Checks and charges: what handlers are told of the key, and how its limits stand.
    fn pass(
        &self,
        head: &Parts,
        pass: &Pass,
        carrier: Carrier,
        now: Moment,
        waiting: Option<&Waiting>,
    ) -> Result<(KeyContext, Option<LimitStatus>), Refused> {
        let live = self.core.shared.verifier.live();
        if !live.is_fresh(now.ticks) {
            return Err(unavailable().into());
        }
        let (proof, key) = (pass.proof(), pass.proof().live());
        let mut newer = None;
        let mut seen = pass.seen();
        let is_current = key.is_as(seen);
        if !is_current {
            seen = newer.insert(key.snapshot());
        }
        let state = seen.value();
        let since = waiting.map(|waiting| waiting.since);
        if !state.is_reliable(live.epoch(), now.ticks, since) {
            return Err(Refused::Aged);
        }
        self.check(head, state, proof, is_current.then_some(pass), now)?;
        let limit = if self.core.rules.charged_inside {
            self.guard_free_requests(state, now)?
        } else {
            let answer = waiting.and_then(|waiting| waiting.answer.as_ref());
            let costs = Costs::Request(self.core.rules.cost);
            self.charge(state, &costs, now, answer)?
        };
        // A change that was announced meanwhile holds for this request already.
        if !key.is_as(seen) {
            seen = newer.insert(key.snapshot());
            self.check(head, seen.value(), proof, None, now)?;
        }
        if pass.is_use_news(now.wall) {
            seen.value().note_use(proof.secret(), now.wall);
            live.note_use(key);
            self.sight(head, pass.context(), now);
        }
        let context = match newer {
            None => pass.context().clone(),
            Some(newer) => {
                let info = Arc::clone(&newer.value().info);
                KeyContext::new(info, proof.secret().id, carrier)
            }
        };
        Ok((context, limit))
    }

    /// Takes the cost of the request from every limit and quota of the key, or from none. What is
    /// taken of a quota can be put back exactly, so the quotas come first. Limits that are shared are
    /// charged by whoever counts them, who may have answered already.
    pub(super) fn charge(
        &self,
        state: &KeyState,
        costs: &Costs,
        now: Moment,
        answer: Option<&Answer>,
    ) -> Result<Option<LimitStatus>, Refused> {
        let total = costs.total();
        let quotas = state.quotas.as_deref();
        let receipt = match quotas.map(|quotas| quotas.take(total, now)) {
            None => None,
            Some(Withdrawal::Made(receipt)) => Some(receipt),
            Some(Withdrawal::NotHeld) => return Err(Refused::NotHeld),
            Some(Withdrawal::Exhausted(quota, resets_at)) => {
                return Err(quota_exceeded(quota, resets_at, state, now).into());
            }
        };
        let server = self.core.rules.server.name();
        let cost = |rule: &RateLimit| costs.of(rule, server);
        let tell = self.core.rules.tell_limits;
        let taken = match &self.core.shared.shared_limits {
            None => match state.limits.take_whole(now.ticks, total, cost) {
                Ok(standing) => {
                    return Ok(standing.filter(|_| tell).map(LimitStanding::status));
                }
                Err(exhausted) => Err(rate_limited(exhausted, state).into()),
            },
            Some(shared) => match shared.take(&state.limits, now.ticks, cost, answer) {
                Taking::Decided(Ok(limit)) => Ok(limit),
                Taking::Decided(Err(exhausted)) => Err(rate_limited(exhausted, state).into()),
                Taking::Unasked => Err(Refused::Unasked),
                Taking::Unavailable => Err(unavailable().of_key(state.info.id).into()),
            },
        };
        if let (true, Some(quotas), Some(receipt)) = (taken.is_err(), quotas, receipt) {
            quotas.untake(total, receipt);
        }
        taken
    }

    /// Asks the limiter that is shared, for a request that was judged at `now`.
    pub(super) async fn ask_limiter(
        &self,
        proof: &Proof,
        costs: &Costs,
        now: Moment,
    ) -> Option<Answer> {
        let shared = self.core.shared.shared_limits.as_ref()?;
        let (key, limits) = {
            let state = proof.live().state();
            (state.info.id, Arc::clone(&state.limits))
        };
        let server = self.core.rules.server.name();
        let charges = limits.charges(|rule| costs.of(rule, server));
        Some(shared.ask(key, limits, now.ticks, charges).await)
    }

    /// What is charged behind the gate may cost nothing there, such as a notification. A ceiling of
    /// ten times the key's limits keeps that from being abused. It is no limit of the key, so the
    /// refusal names none.
    fn guard_free_requests(
        &self,
        state: &KeyState,
        now: Moment,
    ) -> Result<Option<LimitStatus>, Rejection> {
        let server = self.core.rules.server.name();
        let cost = |rule: &RateLimit| u32::from(rule.concerns(server));
        match state.limits.ceiling().take_whole(now.ticks, 1, cost) {
            Ok(_) => Ok(None),
            Err(exhausted) => Err(Rejection::new(RejectionKind::RateLimited)
                .retry_after_wait(exhausted.retry_after)
                .of_key(state.info.id)),
        }
    }

    /// The checks that spend nothing. A pass for this very state knows until when the secret is in force.
    fn check(
        &self,
        head: &Parts,
        state: &KeyState,
        proof: &Proof,
        pass: Option<&Pass>,
        now: Moment,
    ) -> Result<(), Rejection> {
        let info = &*state.info;
        let checked = (|| {
            if !pass.is_some_and(|pass| pass.is_in_force(now.wall)) {
                check_standing(state, proof.secret(), now)?;
            }
            if !pass.is_some_and(Pass::is_unbound) && !info.networks.is_empty() {
                let client = self.client(head);
                if client.is_none() {
                    self.core.shared.missing_peer.report(self.peer(head));
                }
                check_network(&info.networks, client)?;
            }
            self.check_grants(info)?;
            check_signing(info.signing, self.core.rules.signatures_inside)?;
            if !self.core.rules.policies.is_empty() {
                let facts = Facts::new(info, head, self.client(head), now);
                for policy in &self.core.rules.policies {
                    policy.check(&facts)?;
                }
            }
            Ok(())
        })();
        checked.map_err(|rejection: Rejection| rejection.of_key(info.id))
    }

    /// What a key must be granted here.
    fn check_grants(&self, info: &KeyInfo) -> Result<(), Rejection> {
        self.core.rules.server.check(&info.servers)?;
        if self.core.rules.full_access {
            check_full_access(info.access)?;
        }
        let mut scopes = self.core.rules.scopes.iter();
        scopes.try_for_each(|rule| rule.check(&info.scopes))
    }

    /// Whether a key that was admitted would be again, as far as that does not depend on the
    /// request: for what goes on for long.
    pub(super) fn still_admits(
        &self,
        state: &KeyState,
        secret: SecretRef,
        now: Moment,
    ) -> Result<(), Rejection> {
        check_standing(state, secret, now)
            .and_then(|()| self.check_grants(&state.info))
            .map_err(|rejection| rejection.of_key(state.info.id))
    }

    /// Keeps the key for the layer that verifies signatures.
    #[inline(never)]
    fn hand_on(&self, head: &mut Parts, now: Moment) {
        // Read once more, since most requests do without: the head is as it was when it was judged.
        let key = self.find(head).ok();
        let secret = key.map(|(_, key)| PresentedSecret::new(key.secret_text(), now));
        if let Some(secret) = secret {
            head.extensions.insert(secret);
        }
    }
}

#[cold]
fn quota_exceeded(quota: Quota, resets_at: Timestamp, state: &KeyState, now: Moment) -> Rejection {
    let wait = resets_at.saturating_since(now.wall);
    Rejection::quota_exceeded(quota, wait).of_key(state.info.id)
}

#[cold]
fn rate_limited(exhausted: Exhausted, state: &KeyState) -> Rejection {
    Rejection::rate_limited(exhausted.status, exhausted.retry_after).of_key(state.info.id)
}

/// Whether the key and the presented one of its secrets are in force.
fn check_standing(state: &KeyState, secret: SecretRef, now: Moment) -> Result<(), Rejection> {
    if !state.has(secret, now.wall) {
        return Err(Rejection::new(RejectionKind::Revoked));
    }
    match state.standing {
        Standing::Active => check_lifetime(state.expires_at, now.wall),
        Standing::Revoked => Err(Rejection::new(RejectionKind::Revoked)),
        Standing::Disabled => Err(Rejection::new(RejectionKind::Disabled)),
        Standing::OwnerBarred => Err(Rejection::new(RejectionKind::OwnerBarred)),
    }
}
