//! What can be decided about a signature before the body is there.

use std::sync::atomic::{AtomicBool, Ordering};

use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http_body::Body;

use super::SignedRequestLayer;
use crate::clock::Moment;
use crate::context::KeyContext;
use crate::key::KeyId;
use crate::rejection::{Rejection, RejectionKind};
use crate::signing::{
    Claim, PresentedSecret, SIGNATURE_HEADER, SignatureFault, TIMESTAMP_HEADER, Verification,
};

/// A well-formed claim in time, and whose it is.
#[derive(Clone, Copy)]
pub(super) struct Claimed {
    pub(super) claim: Claim,
    pub(super) key: KeyId,
    /// When the key was judged.
    pub(super) now: Moment,
}

impl Claimed {
    /// The request is turned away, since its signature has this fault.
    pub(super) fn refuse(&self, fault: SignatureFault) -> Rejection {
        refuse(fault, self.key)
    }
}

impl SignedRequestLayer {
    /// Judges what the head of a request says: it may pass as it is, or only once its body has been
    /// verified, or not at all.
    ///
    /// Takes the presented key out of the request, and the signature, if it is looked at.
    pub(super) fn judge(
        &self,
        head: &mut Parts,
        body: &impl Body,
    ) -> Result<Option<(Claimed, Verification)>, Rejection> {
        let secret = head.extensions.remove::<PresentedSecret>();
        let key = head.extensions.get::<KeyContext>();
        let Some((key, secret)) = key.zip(secret) else {
            self.misplaced.report();
            return Err(Rejection::new(RejectionKind::Unavailable));
        };
        let (id, now) = (key.key_id(), secret.judged_at());
        let mode = self.mode.with_key(key.brief().signing);
        let Some(claim) = mode
            .claim(&head.headers, now.wall, self.tolerance)
            .transpose()
        else {
            return Ok(None);
        };
        // A signature is as good as a hash of the key for trying out guesses of a short one.
        head.headers.remove(TIMESTAMP_HEADER);
        head.headers.remove(SIGNATURE_HEADER);
        let claim = claim.map_err(|fault| refuse(fault, id))?;
        if announced(head, body) > self.max_body as u64 {
            return Err(Rejection::new(RejectionKind::BodyTooLarge).of_key(id));
        }
        let verification = claim.verification(secret.text());
        let verification = verification.map_err(|fault| refuse(fault, id))?;
        let key = id;
        Ok(Some((Claimed { claim, key, now }, verification)))
    }
}

fn refuse(fault: SignatureFault, key: KeyId) -> Rejection {
    let rejection = Rejection::from(fault).of_key(key);
    tracing::debug!(code = rejection.code(), %fault, %key, "signed request turned away");
    rejection
}

/// How many bytes the body will have at the least.
fn announced(head: &Parts, body: &impl Body) -> u64 {
    let length = head.headers.get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    length.unwrap_or(0).max(body.size_hint().lower())
}

/// Says once that the layer does not stand where it can work.
#[derive(Debug, Default)]
pub(super) struct Misplaced(AtomicBool);

impl Misplaced {
    fn report(&self) {
        if !self.0.swap(true, Ordering::Relaxed) {
            tracing::error!(
                "requests are refused because no key reaches SignedRequestLayer; use \
                 `ApiKeyLayer::with_signing`, or put SignedRequestLayer inside an ApiKeyLayer and \
                 call `signed_requests` on that"
            );
        }
    }
}
