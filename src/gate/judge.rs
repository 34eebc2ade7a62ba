//! What is asked of a proven key, on every request.

use std::sync::Arc;

use http::request::Parts;

use super::{Gate, Permit, unavailable};
use crate::clock::Moment;
use crate::context::KeyContext;
use crate::key::{Carrier, LimitStatus};
use crate::limit::Withdrawal;
use crate::live::{KeyState, Standing};
use crate::policy::{Facts, check_full_access, check_lifetime, check_network, check_signing};
use crate::rejection::{Rejection, RejectionKind};
use crate::signing::PresentedSecret;
use crate::verify::Proof;

/// Why a proven key could not be judged at once.
pub(super) enum Refused {
    By(Rejection),
    /// What is known of it has grown old.
    Aged,
    /// More of a quota has to be asked for.
    NotHeld,
}

impl From<Rejection> for Refused {
    fn from(rejection: Rejection) -> Self {
        Self::By(rejection)
    }
}

impl Gate {
    /// Steps 4 and on, for a proven key. A request that waits for something tells since when (in
    /// ticks).
    pub(super) fn judge(
        &self,
        head: &mut Parts,
        proof: &Proof,
        carrier: Carrier,
        now: Moment,
        waiting_since: Option<u64>,
    ) -> Result<Permit, Refused> {
        let live = self.shared.verifier.live();
        if !live.is_fresh(now.ticks) {
            return Err(unavailable().into());
        }
        let mut state = proof.live().state();
        if !state.is_reliable(live.epoch(), now.ticks, waiting_since) {
            return Err(Refused::Aged);
        }
        self.check(head, &state, proof, now)?;
        let limit = self.charge(&state, now)?;
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
        Ok(Permit { limit, carrier })
    }

    /// Takes the cost of the request from every limit and quota of the key, or from none. What is
    /// taken of a quota can be put back exactly, so the quotas come first.
    fn charge(&self, state: &KeyState, now: Moment) -> Result<Option<LimitStatus>, Refused> {
        let cost = self.rules.cost;
        let receipt = match state.quotas.take(cost, now) {
            Withdrawal::Made(receipt) => receipt,
            Withdrawal::NotHeld => return Err(Refused::NotHeld),
            Withdrawal::Exhausted(quota, resets_at) => {
                let wait = resets_at.saturating_since(now.wall);
                let rejection = Rejection::quota_exceeded(quota, wait).of_key(state.info.id);
                return Err(rejection.into());
            }
        };
        state.limits.take(now.ticks, cost).map_err(|exhausted| {
            state.quotas.untake(cost, receipt);
            Rejection::rate_limited(exhausted.status, exhausted.retry_after)
                .of_key(state.info.id)
                .into()
        })
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
            if !state.has(proof.secret(), now.wall) {
                return Err(Rejection::new(RejectionKind::Revoked));
            }
            match state.standing {
                Standing::Active => {}
                Standing::Revoked => return Err(Rejection::new(RejectionKind::Revoked)),
                Standing::Disabled => return Err(Rejection::new(RejectionKind::Disabled)),
                Standing::OwnerBarred => return Err(Rejection::new(RejectionKind::OwnerBarred)),
            }
            check_lifetime(state.expires_at, now.wall)?;
            if !info.networks.is_empty() {
                let client = self.client(head);
                if client.is_none() {
                    self.shared.missing_peer.report(self.peer(head));
                }
                check_network(&info.networks, client)?;
            }
            self.rules.server.check(&info.servers)?;
            if self.rules.full_access {
                check_full_access(info.access)?;
            }
            for rule in &self.rules.scopes {
                rule.check(&info.scopes)?;
            }
            check_signing(info.signing, self.rules.signatures_inside)?;
            if !self.rules.policies.is_empty() {
                let facts = Facts::new(info, head, self.client(head), now);
                for policy in &self.rules.policies {
                    policy.check(&facts)?;
                }
            }
            Ok(())
        })();
        checked.map_err(|rejection| rejection.of_key(info.id))
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
