//! What a request with a known key is judged by.

use std::sync::Arc;

use super::Proof;
use crate::context::KeyContext;
use crate::key::Carrier;
use crate::live::Snapshot;

/// A proof, the state of its key as it was last seen, and what handlers are told of it.
///
/// The state is only a copy at hand: it counts as long as the live key says that nothing has changed.
#[derive(Debug)]
pub(crate) struct Pass {
    proof: Proof,
    seen: Snapshot,
    context: KeyContext,
}

impl Pass {
    /// A pass for what the key is now.
    pub(crate) fn new(proof: Proof, carrier: Carrier) -> Self {
        let seen = proof.live().snapshot();
        let info = Arc::clone(&seen.value().info);
        let context = KeyContext::new(info, proof.secret().id, carrier);
        Self {
            proof,
            seen,
            context,
        }
    }

    pub(crate) fn proof(&self) -> &Proof {
        &self.proof
    }

    pub(crate) fn seen(&self) -> &Snapshot {
        &self.seen
    }

    pub(crate) fn context(&self) -> &KeyContext {
        &self.context
    }

    /// Whether the key is as the pass says, and was presented where it says.
    pub(crate) fn is_good(&self, carrier: Carrier) -> bool {
        self.proof.live().is_as(&self.seen) && self.context.carrier() == carrier
    }
}
