//! Asking the replay guard.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::SignedRequestLayer;
use super::judge::Claimed;
use crate::rejection::{Rejection, RejectionKind};
use crate::signing::{ReplayGuard, Seen, SignatureFault, SignatureId};

/// How long a guard may take to answer.
const DEADLINE: Duration = Duration::from_secs(2);

/// For how much longer a signature is kept than a request with it can be in time and its body on the
/// way: seconds are whole, and time passes between the judging of a request and the asking.
const MARGIN: Duration = Duration::from_secs(10);

/// How long to tell callers to wait while the guard does not answer.
const UNAVAILABLE_FOR: Duration = Duration::from_secs(1);

/// The guard of a layer, and whether it answered when it was last asked.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    guard: Arc<dyn ReplayGuard>,
    failing: Arc<AtomicBool>,
}

impl Guard {
    pub(super) fn new(guard: impl ReplayGuard) -> Self {
        Self {
            guard: Arc::new(guard),
            failing: Arc::default(),
        }
    }

    async fn ask(self, claimed: Claimed, code: [u8; 32], keep: Duration) -> Result<(), Rejection> {
        let signature = SignatureId::new(claimed.key, code);
        let answer = self.guard.remember(&signature, claimed.now, keep);
        match tokio::time::timeout(DEADLINE, answer).await {
            Ok(Ok(seen)) => {
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("the replay guard answers again");
                }
                match seen {
                    Seen::First => Ok(()),
                    Seen::Again => Err(claimed.refuse(SignatureFault::Replayed)),
                }
            }
            failure => {
                if !self.failing.swap(true, Ordering::Relaxed) {
                    let error = failure.ok().and_then(Result::err);
                    let error = error.as_ref().map(tracing::field::display);
                    tracing::error!(
                        error,
                        "signed requests are refused: no replay guard answers"
                    );
                }
                let rejection = Rejection::new(RejectionKind::Unavailable);
                Err(rejection
                    .retry_after_wait(UNAVAILABLE_FOR)
                    .of_key(claimed.key))
            }
        }
    }
}

impl SignedRequestLayer {
    /// Asks whether a verified signature is new; nothing to ask if there is no guard.
    pub(super) fn ask_guard(
        &self,
        claimed: Claimed,
        code: [u8; 32],
    ) -> Option<impl Future<Output = Result<(), Rejection>> + Send + use<>> {
        let keep = self.tolerance.saturating_mul(2);
        let keep = keep
            .saturating_add(self.body_deadline)
            .saturating_add(MARGIN);
        let guard = self.guard.clone()?;
        Some(guard.ask(claimed, code, keep))
    }
}
