//! What is asked of a proven key, on every request.

use std::sync::Arc;

use http::request::Parts;

use super::admission::Costs;
use super::refused::Refused;
use super::told::Told;
use super::waiting::Waiting;
use super::{Admission, Gate, Permit, unavailable};
use crate::clock::{Moment, Timestamp};
use crate::key::{Grants, KeyId, Quota, RateLimit};
use crate::limit::{Answer, Exhausted, Taking, Withdrawal};
use crate::live::{Allowance, KeyState, SecretRef, Standing};
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
        mut pass: Arc<Pass>,
        now: Moment,
        waiting: Option<&Waiting>,
    ) -> Result<Permit, (Refused, Arc<Pass>)> {
        let limit = match self.pass(head, &mut pass, now, waiting) {
            Ok(limit) => limit,
            Err(refused) => return Err((refused, pass)),
        };
        let carrier = pass.carrier();
        if self.core.rules.signatures_inside {
            self.hand_on(head, now);
        }
        self.strip(head, carrier);
        head.extensions.insert(pass.context());
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
            since: now.ticks,
            admission,
        })
    }

    /// Checks and charges: how the key's limits stand then. A pass that is out of date is replaced.
    fn pass(
        &self,
        head: &Parts,
        pass: &mut Arc<Pass>,
        now: Moment,
        waiting: Option<&Waiting>,
    ) -> Result<Option<Told>, Refused> {
        let live = self.core.shared.verifier.live();
        if !live.is_fresh(now.ticks) {
            return Err(unavailable().into());
        }
        if !pass.is_current() {
            *pass = pass.renewed();
        }
        let since = waiting.map(|waiting| waiting.since);
        if !pass.is_reliable(live.epoch(), now.ticks, since) {
            return Err(Refused::Aged);
        }
        self.check(head, pass, now)?;
        let mut limit = if self.core.rules.charged_inside {
            self.guard_free_requests(pass.allowance(), now)?
        } else {
            let answer = waiting.and_then(|waiting| waiting.answer.as_ref());
            let costs = Costs::Request(self.core.rules.cost);
            self.charge(pass.allowance(), &costs, now, answer)?
        };
        // A change that was announced meanwhile holds for this request already.
        if !pass.is_current() {
            // How it stands is known of the limits that were charged, which may be others by now.
            limit = limit.and_then(|told| told.kept(&pass.allowance()));
            *pass = pass.renewed();
            self.check(head, pass, now)?;
        }
        if pass.note_use(now.wall) {
            live.note_use(pass.proof().live());
            self.core.shared.verifier.note_use(pass, now.wall);
            self.sight(head, pass, now);
        }
        Ok(limit)
    }

    /// Takes the cost of the request from every limit and quota of the key, or from none. What is
    /// taken of a quota can be put back exactly, so the quotas come first. Limits that are shared are
    /// charged by whoever counts them, who may have answered already.
    pub(super) fn charge(
        &self,
        allowance: Allowance<'_>,
        costs: &Costs,
        now: Moment,
        answer: Option<&Answer>,
    ) -> Result<Option<Told>, Refused> {
        let total = costs.total();
        let quotas = allowance.quotas;
        let receipt = match quotas.map(|quotas| quotas.take(total, now)) {
            None => None,
            Some(Withdrawal::Made(receipt)) => Some(receipt),
            Some(Withdrawal::NotHeld) => return Err(Refused::NotHeld),
            Some(Withdrawal::Exhausted(quota, resets_at)) => {
                return Err(quota_exceeded(quota, resets_at, allowance.key, now).into());
            }
        };
        let server = self.core.rules.server.name();
        let cost = |rule: &RateLimit| costs.of(rule, server);
        let tell = self.core.rules.tell_limits;
        let taken = match &self.core.shared.shared_limits {
            None => match allowance.limits.take_whole(now.ticks, total, cost) {
                Ok(left) => return Ok(left.filter(|_| tell).map(Told::Here)),
                Err(exhausted) => Err(rate_limited(exhausted, allowance.key).into()),
            },
            Some(shared) => match shared.take(allowance.limits, now.ticks, cost, answer) {
                Taking::Decided(Ok(limit)) => Ok(limit.map(|limit| Told::Kept(Box::new(limit)))),
                Taking::Decided(Err(exhausted)) => {
                    Err(rate_limited(exhausted, allowance.key).into())
                }
                Taking::Unasked => Err(Refused::Unasked),
                Taking::Unavailable => Err(unavailable().of_key(allowance.key).into()),
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
            (state.id(), Arc::clone(&state.limits))
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
        allowance: Allowance<'_>,
        now: Moment,
    ) -> Result<Option<Told>, Rejection> {
        let server = self.core.rules.server.name();
        let cost = |rule: &RateLimit| u32::from(rule.concerns(server));
        match allowance.limits.ceiling().take_whole(now.ticks, 1, cost) {
            Ok(_) => Ok(None),
            Err(exhausted) => Err(Rejection::new(RejectionKind::RateLimited)
                .retry_after_wait(exhausted.retry_after)
                .of_key(allowance.key)),
        }
    }

    /// The checks that spend nothing.
    fn check(&self, head: &Parts, pass: &Pass, now: Moment) -> Result<(), Rejection> {
        let checked = (|| {
            if !pass.is_in_force(now.wall) {
                check_standing(pass.seen().value(), pass.proof().secret(), now)?;
            }
            let charter = pass.charter();
            let networks = &charter.networks;
            if !networks.is_empty() {
                let client = self.client(head);
                if client.is_none() {
                    self.core.shared.missing_peer.report(self.peer(head));
                }
                check_network(networks, client)?;
            }
            self.check_grants(charter.grants())?;
            check_signing(charter.signing, self.core.rules.signatures_inside)?;
            if !self.core.rules.policies.is_empty() {
                let facts = Facts::new(pass.info(), head, self.client(head), now);
                for policy in &self.core.rules.policies {
                    policy.check(&facts)?;
                }
            }
            Ok(())
        })();
        checked.map_err(|rejection: Rejection| {
            let key = pass.seen().value().brief();
            rejection.of(key.id, key.connection, key.scopes)
        })
    }

    /// What a key must be granted here.
    fn check_grants(&self, granted: Grants<'_>) -> Result<(), Rejection> {
        self.core.rules.server.check(granted.servers)?;
        if self.core.rules.full_access {
            check_full_access(granted.access)?;
        }
        let mut scopes = self.core.rules.scopes.iter();
        scopes.try_for_each(|rule| rule.check(granted.scopes))
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
            .and_then(|()| self.check_grants(state.grants()))
            .map_err(|rejection| rejection.of_key(state.id()))
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
fn quota_exceeded(quota: Quota, resets_at: Timestamp, key: KeyId, now: Moment) -> Rejection {
    let wait = resets_at.saturating_since(now.wall);
    Rejection::quota_exceeded(quota, wait).of_key(key)
}

#[cold]
fn rate_limited(exhausted: Exhausted, key: KeyId) -> Rejection {
    Rejection::rate_limited(exhausted.status, exhausted.retry_after).of_key(key)
}

/// Whether the key and the presented one of its secrets are in force.
fn check_standing(state: &KeyState, secret: SecretRef, now: Moment) -> Result<(), Rejection> {
    if !state.has(secret, now.wall) {
        // The secrets of a connection end by themselves all the time: that is no sign of a leak.
        let is_renewed = state.standing != Standing::Revoked && state.is_connection();
        return Err(Rejection::new(if is_renewed {
            RejectionKind::TokenExpired
        } else {
            RejectionKind::Revoked
        }));
    }
    match state.standing {
        Standing::Active => check_lifetime(state.expires_at(), now.wall),
        Standing::Revoked => Err(Rejection::new(RejectionKind::Revoked)),
        Standing::Disabled => Err(Rejection::new(RejectionKind::Disabled)),
        Standing::OwnerBarred => Err(Rejection::new(RejectionKind::OwnerBarred)),
    }
}
