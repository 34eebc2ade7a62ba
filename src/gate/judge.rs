//! What is asked of a proven key, on every request.

use std::sync::Arc;

use http::request::Parts;

use super::admission::Costs;
use super::refused::Refused;
use super::waiting::Waiting;
use super::{Admission, Gate, Permit, unavailable};
use crate::clock::Moment;
use crate::context::KeyContext;
use crate::key::{Carrier, KeyInfo, LimitStatus, RateLimit};
use crate::limit::{Answer, Taking, Withdrawal};
use crate::live::{KeyState, SecretRef, Standing};
use crate::policy::{Facts, check_full_access, check_lifetime, check_network, check_signing};
use crate::rejection::{Rejection, RejectionKind};
use crate::signing::PresentedSecret;
use crate::verify::Proof;

impl Gate {
    /// Steps 4 and on, for a proven key. A request that had to wait tells what for.
    pub(super) fn judge(
        &self,
        head: &mut Parts,
        proof: &Proof,
        carrier: Carrier,
        now: Moment,
        waiting: Option<&Waiting>,
    ) -> Result<Permit, Refused> {
        let live = self.shared.verifier.live();
        if !live.is_fresh(now.ticks) {
            return Err(unavailable().into());
        }
        let mut state = proof.live().state();
        let since = waiting.map(|waiting| waiting.since);
        if !state.is_reliable(live.epoch(), now.ticks, since) {
            return Err(Refused::Aged);
        }
        self.check(head, &state, proof, now)?;
        let limit = if self.rules.charged_inside {
            self.guard_free_requests(&state, now)?
        } else {
            let answer = waiting.and_then(|waiting| waiting.answer.as_ref());
            self.charge(&state, &Costs::Request(self.rules.cost), now, answer)?
        };
        // A change that was announced meanwhile holds for this request already.
        let latest = proof.live().state();
        if !Arc::ptr_eq(&latest, &state) {
            self.check(head, &latest, proof, now)?;
            state = latest;
        }
        state.note_use(proof.secret(), now.wall);
        live.note_use(proof.live());
        let context = KeyContext::new(Arc::clone(&state.info), proof.secret().id, carrier);
        if self.rules.signatures_inside {
            self.hand_on(head, now);
        }
        self.strip(head, carrier);
        head.extensions.insert(context);
        let admission = Admission::new(self.clone(), proof.clone());
        // What charges behind the gate watches the answer as well.
        let admission = if self.rules.charged_inside {
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
        let receipt = match state.quotas.take(total, now) {
            Withdrawal::Made(receipt) => receipt,
            Withdrawal::NotHeld => return Err(Refused::NotHeld),
            Withdrawal::Exhausted(quota, resets_at) => {
                let wait = resets_at.saturating_since(now.wall);
                let rejection = Rejection::quota_exceeded(quota, wait).of_key(state.info.id);
                return Err(rejection.into());
            }
        };
        let server = self.rules.server.name();
        let cost = |rule: &RateLimit| costs.of(rule, server);
        let taken = match &self.shared.shared_limits {
            None => Ok(state.limits.take(now.ticks, cost)),
            Some(shared) => match shared.take(&state.limits, now.ticks, cost, answer) {
                Taking::Decided(taken) => Ok(taken),
                Taking::Unasked => Err(Refused::Unasked),
                Taking::Unavailable => Err(unavailable().of_key(state.info.id).into()),
            },
        };
        let taken = taken.and_then(|taken| {
            taken.map_err(|exhausted| {
                Rejection::rate_limited(exhausted.status, exhausted.retry_after)
                    .of_key(state.info.id)
                    .into()
            })
        });
        if taken.is_err() {
            state.quotas.untake(total, receipt);
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
        let shared = self.shared.shared_limits.as_ref()?;
        let (key, limits) = {
            let state = proof.live().state();
            (state.info.id, Arc::clone(&state.limits))
        };
        let server = self.rules.server.name();
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
        let server = self.rules.server.name();
        let cost = |rule: &RateLimit| u32::from(rule.concerns(server));
        match state.limits.ceiling().take(now.ticks, cost) {
            Ok(_) => Ok(None),
            Err(exhausted) => Err(Rejection::new(RejectionKind::RateLimited)
                .retry_after_wait(exhausted.retry_after)
                .of_key(state.info.id)),
        }
    }

    /// The checks that spend nothing.
    fn check(
        &self,
        head: &Parts,
        state: &KeyState,
        proof: &Proof,
        now: Moment,
    ) -> Result<(), Rejection> {
        let info = &*state.info;
        let checked = (|| {
            check_standing(state, proof.secret(), now)?;
            if !info.networks.is_empty() {
                let client = self.client(head);
                if client.is_none() {
                    self.shared.missing_peer.report(self.peer(head));
                }
                check_network(&info.networks, client)?;
            }
            self.check_grants(info)?;
            check_signing(info.signing, self.rules.signatures_inside)?;
            if !self.rules.policies.is_empty() {
                let facts = Facts::new(info, head, self.client(head), now);
                for policy in &self.rules.policies {
                    policy.check(&facts)?;
                }
            }
            Ok(())
        })();
        checked.map_err(|rejection: Rejection| rejection.of_key(info.id))
    }

    /// What a key must be granted here.
    fn check_grants(&self, info: &KeyInfo) -> Result<(), Rejection> {
        self.rules.server.check(&info.servers)?;
        if self.rules.full_access {
            check_full_access(info.access)?;
        }
        let mut scopes = self.rules.scopes.iter();
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
    fn hand_on(&self, head: &mut Parts, now: Moment) {
        // Read once more, since most requests do without: the head is as it was when it was judged.
        let key = self.find(head).ok();
        let secret = key.map(|(_, key)| PresentedSecret::new(key.secret_text(), now));
        if let Some(secret) = secret {
            head.extensions.insert(secret);
        }
    }
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
