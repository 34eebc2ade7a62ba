//! The request path: one visible sequence from the bytes of a request to a permit or a refusal.
//!
//! ```text
//! find the key  →  is it well formed?  →  is it proven?  →  in force?  →  from here?  →
//! for this server?  →  for this scope?  →  your policies  →  within its limits?  →  permit
//! ```
//!
//! 1. What costs nothing comes first; a store is asked only for a well-formed key that is not
//!    remembered.
//! 2. The secret is proven before any status is named.
//! 3. Everything after the proof is judged on every request, remembered or not.
//! 4. Limits come last: what is refused has spent nothing.
//! 5. The key leaves the request here. It goes no further than to the layer that verifies
//!    signatures, if there is one, in a place that nobody outside the crate can name.

mod admission;
mod core;
mod judge;
mod refused;
mod rules;
mod shared;
mod told;
mod trace;
mod usage;
mod waiting;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use tracing::Span;

pub(crate) use self::admission::{Admission, Costs, Watch};
use self::core::Core;
use self::refused::Refused;
pub(crate) use self::rules::Rules;
pub(crate) use self::shared::{MissingPeer, Shared};
use self::told::Told;
pub(crate) use self::usage::Caller;
use self::waiting::Waiting;
use crate::client_ip::AddressBucket;
use crate::extract::{ExtractKey, Found, without_attempts};
use crate::key::{Carrier, LimitStatus, ParsedKey};
use crate::limit::Standing;
use crate::rejection::{Rejection, RejectionKind};
use crate::verify::{Fingerprint, Outcome, Pass, Presented, Proof, Recall};

/// How often a key's row may be read again and its quotas asked for, for one request. Others may be
/// quicker to use what was asked for.
const PATIENCE: usize = 16;

/// How long to tell callers to wait while the store or the hashing pool does not answer.
const UNAVAILABLE_FOR: Duration = Duration::from_secs(1);

/// Decides whether a request may pass.
///
/// The layer asks it for every request; it can be used without tower as well. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Gate {
    core: Arc<Core>,
}

/// Leave for one request to pass.
///
/// The key is out of the request and the [`KeyContext`](crate::KeyContext) in its extensions.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    limit: Option<Told>,
    carrier: Carrier,
    /// When it was given, in ticks.
    since: u64,
    /// None if it was handed on with the request.
    admission: Option<Admission>,
}

impl Permit {
    /// The key and the gate, to look at again, unless that is done behind the gate.
    pub(crate) fn into_admission(self) -> Option<Admission> {
        self.admission
    }

    /// The most restrictive of the key's limits after this request.
    pub fn limit(&self) -> Option<LimitStatus> {
        self.standing().map(Standing::status)
    }

    /// The same, for who only looks at it.
    #[inline]
    pub(crate) fn standing(&self) -> Option<Standing<'_>> {
        // Where others charge, there is nothing to tell here.
        let (told, admission) = self.limit.as_ref().zip(self.admission.as_ref())?;
        told.standing(&admission.pass.allowance())
    }

    /// Where the key was presented.
    pub fn carrier(&self) -> Carrier {
        self.carrier
    }
}

/// What could be decided without waiting.
pub(crate) enum Attempt {
    Decided(Result<Permit, Rejection>),
    /// Something has to be found out first; [`Gate::resume`] does.
    Unproven(Unproven),
}

/// A request whose key is well formed, but not remembered, or remembered too long ago.
pub(crate) struct Unproven {
    carrier: Carrier,
    question: Question,
    span: Span,
}

impl Unproven {
    fn attempt(carrier: Carrier, question: Question) -> Attempt {
        let span = Span::none();
        Attempt::Unproven(Self {
            carrier,
            question,
            span,
        })
    }
}

enum Question {
    New(Fingerprint, Presented),
    Aged(Arc<Pass>),
}

/// What is remembered of a well-formed key.
enum Memory {
    Key(Arc<Pass>),
    /// Nothing, so it has to be proven.
    New(Fingerprint, Presented),
}

impl Gate {
    /// Decides whether the request with this head may pass. If so, the key is taken out of the
    /// head and a [`KeyContext`](crate::KeyContext) put into its extensions.
    ///
    /// # Errors
    ///
    /// A [`Rejection`], if it may not. The head is then to be used for the answer only.
    pub async fn admit(&self, head: &mut Parts) -> Result<Permit, Rejection> {
        match self.try_admit(head) {
            Attempt::Decided(decision) => decision,
            Attempt::Unproven(unproven) => self.resume(head, unproven).await,
        }
    }

    /// The part that never waits; enough for every remembered key.
    fn decide(&self, head: &mut Parts) -> Attempt {
        let decision = match self.remember(head) {
            Err(rejection) => Err(rejection),
            Ok((carrier, Memory::New(fingerprint, presented))) => {
                return Unproven::attempt(carrier, Question::New(fingerprint, presented));
            }
            Ok((carrier, Memory::Key(pass))) => {
                let now = self.core.shared.clock.now();
                match self.judge(head, pass, now, None) {
                    Ok(permit) => return Attempt::Decided(Ok(permit)),
                    Err((refused, pass)) => match self.again(head, refused, pass) {
                        Ok(question) => return Unproven::attempt(carrier, question),
                        Err(rejection) => Err(rejection),
                    },
                }
            }
        };
        Attempt::Decided(decision.map_err(|rejection| self.turn_away(head, rejection)))
    }

    /// Whether a key that was not admitted has to be looked at again.
    #[cold]
    fn again(
        &self,
        head: &Parts,
        refused: Refused,
        pass: Arc<Pass>,
    ) -> Result<Question, Rejection> {
        match refused {
            // The key was deleted. The same text may have been taken over as a key again, under
            // another id.
            Refused::By(rejection) if pass.proof().live().has_ended() => match self.find(head) {
                Ok((_, key)) => Ok(Question::New(pass.fingerprint(), key.into())),
                Err(_) => Err(rejection),
            },
            Refused::By(rejection) => Err(rejection),
            Refused::Aged | Refused::NotHeld | Refused::Unasked => Ok(Question::Aged(pass)),
        }
    }

    /// Steps 1 and 2, and what is remembered of the key. What this thread has at hand is not read for
    /// its form again: it was good when it was proven.
    fn remember(&self, head: &Parts) -> Result<(Carrier, Memory), Rejection> {
        let Shared {
            verifier, formats, ..
        } = &*self.core.shared;
        let (carrier, text) = self.locate(head)?;
        if !formats.may_fit(text) {
            return Err(Rejection::new(RejectionKind::Malformed));
        }
        let fingerprint = verifier.fingerprint(text);
        if let Some(pass) = verifier.at_hand(fingerprint, carrier) {
            return Ok((carrier, Memory::Key(pass)));
        }
        let memory = self.ask_cache(text, fingerprint, carrier)?;
        Ok((carrier, memory))
    }

    #[inline(never)]
    fn ask_cache(
        &self,
        text: &[u8],
        fingerprint: Fingerprint,
        carrier: Carrier,
    ) -> Result<Memory, Rejection> {
        let key = self.read(text)?;
        match self.core.shared.verifier.recall(fingerprint, carrier) {
            Recall::Pass(pass) => Ok(Memory::Key(pass)),
            Recall::Failure(kind) => Err(Rejection::new(kind)),
            Recall::Nothing => Ok(Memory::New(fingerprint, key.into())),
        }
    }

    /// Finds out what [`decide`](Self::decide) could not know, then decides.
    async fn find_out(
        &self,
        head: &mut Parts,
        carrier: Carrier,
        question: Question,
    ) -> Result<Permit, Rejection> {
        let since = self.core.shared.clock.now().ticks;
        let pass = match question {
            Question::Aged(pass) => Ok(pass),
            Question::New(fingerprint, presented) => self
                .prove(head, fingerprint, presented)
                .await
                .map(|proof| self.core.shared.verifier.admit(fingerprint, proof, carrier)),
        };
        let decision = match pass {
            Ok(pass) => self.judge_renewed(head, pass, since).await,
            Err(rejection) => Err(rejection),
        };
        decision.map_err(|rejection| self.turn_away(head, rejection))
    }

    /// Steps 1 and 2: the one key that the request presents, if it is well formed.
    fn find<'r>(&self, head: &'r Parts) -> Result<(Carrier, ParsedKey<'r>), Rejection> {
        let (carrier, text) = self.locate(head)?;
        Ok((carrier, self.read(text)?))
    }

    /// Step 2.
    fn read<'r>(&self, text: &'r [u8]) -> Result<ParsedKey<'r>, Rejection> {
        let read = self.core.shared.formats.parse(text);
        read.map_err(|_| Rejection::new(RejectionKind::Malformed))
    }

    /// Step 1: the one text that the request presents as a key.
    fn locate<'r>(&self, head: &'r Parts) -> Result<(Carrier, &'r [u8]), Rejection> {
        let Shared { formats, .. } = &*self.core.shared;
        match self.core.rules.places.find(head, formats) {
            None => Err(Rejection::new(RejectionKind::Missing)),
            Some((carrier, Found::Text(text))) => Ok((carrier, text)),
            Some((_, Found::Ambiguous)) => Err(Rejection::new(RejectionKind::Ambiguous)),
            Some(_) => Err(Rejection::new(RejectionKind::Malformed)),
        }
    }

    /// Step 3 for a key that is not remembered. Failures are counted by address, and an address
    /// that failed too often is not heard; what is remembered never comes here.
    async fn prove(
        &self,
        head: &Parts,
        fingerprint: Fingerprint,
        presented: Presented,
    ) -> Result<Proof, Rejection> {
        let failures = self
            .core
            .shared
            .failures
            .as_ref()
            .zip(self.failure_bucket(head));
        let ticks = self.core.shared.clock.now().ticks;
        if let Some(wait) = failures.and_then(|(limit, from)| limit.blocked_for(from, ticks)) {
            return Err(Rejection::new(RejectionKind::TooManyFailures).retry_after_wait(wait));
        }
        let kind = match self
            .core
            .shared
            .verifier
            .prove(fingerprint, presented)
            .await
        {
            Outcome::Proven(proof) => return Ok(proof),
            Outcome::Unavailable => return Err(unavailable()),
            Outcome::Unknown => RejectionKind::Unknown,
            Outcome::WrongSecret => RejectionKind::WrongSecret,
        };
        if let Some((limit, from)) = failures {
            limit.record(from, self.core.shared.clock.now().ticks);
        }
        Err(Rejection::new(kind))
    }

    /// [`judge`](Self::judge), reading the key's row again where its live state has grown old, and
    /// asking for more of a quota where this node holds too little, and asking the limiter that is
    /// shared, if one is. Whatever was waited for, the key is judged again afterwards.
    async fn judge_renewed(
        &self,
        head: &mut Parts,
        mut pass: Arc<Pass>,
        since: u64,
    ) -> Result<Permit, Rejection> {
        let mut waiting = Waiting::since(since);
        for _ in 0..PATIENCE {
            let now = self.core.shared.clock.now();
            let verifier = &self.core.shared.verifier;
            let (refused, returned) = match self.judge(head, pass, now, Some(&waiting)) {
                Ok(permit) => {
                    waiting.end();
                    return Ok(permit);
                }
                Err(refused) => refused,
            };
            pass = returned;
            let renewed = match refused {
                Refused::By(rejection) => return Err(rejection),
                Refused::Aged => verifier.renew(pass.proof()).await,
                Refused::NotHeld => {
                    let key = pass.proof().live();
                    let live = verifier.live();
                    live.replenish(key, self.core.rules.cost, now).await
                }
                Refused::Unasked => {
                    let costs = Costs::Request(self.core.rules.cost);
                    let proof = pass.proof();
                    waiting.answer = self.ask_limiter(proof, &costs, now).await;
                    Ok(())
                }
            };
            if renewed.is_err() {
                break;
            }
        }
        Err(unavailable())
    }

    /// Takes the key out of an admitted request.
    fn strip(&self, head: &mut Parts, carrier: Carrier) {
        let remove = |head: &mut Parts, place: &dyn ExtractKey| self.remove(head, place);
        self.core.rules.places.strip(head, carrier, remove);
    }

    fn remove(&self, head: &mut Parts, extractor: &dyn ExtractKey) {
        extractor.remove(head, &self.core.shared.formats);
        if matches!(extractor.carrier(), Carrier::Path | Carrier::Other) {
            for copy_of in &self.core.shared.uri_copies {
                if let Some(uri) = copy_of(&mut head.extensions)
                    && let Some(clean) = without_attempts(uri, &self.core.shared.formats)
                {
                    *uri = clean;
                }
            }
        }
    }

    /// Takes every key out of a refused request, so that no responder or log can show one.
    #[cold]
    fn turn_away(&self, head: &mut Parts, rejection: Rejection) -> Rejection {
        let mut rejection = rejection;
        let remove = |head: &mut Parts, place: &dyn ExtractKey| self.remove(head, place);
        let mut carrier = rejection.carrier();
        let was_in = |found| {
            if carrier != Some(Carrier::Path) {
                carrier = Some(found);
            }
        };
        let formats = &self.core.shared.formats;
        self.core.rules.places.clear(head, formats, remove, was_in);
        if let Some(carrier) = carrier {
            rejection = rejection.presented_in(carrier);
        }
        tracing::debug!(
            code = rejection.code(),
            kind = ?rejection.kind(),
            client = self.client(head).map(tracing::field::display),
            key = rejection.key_id().map(tracing::field::display),
            "request turned away"
        );
        rejection
    }

    /// The caller's address, if it is known.
    pub(crate) fn client(&self, head: &Parts) -> Option<IpAddr> {
        self.core
            .shared
            .client_ip
            .resolve(self.peer(head), &head.headers)
    }

    fn peer(&self, head: &Parts) -> Option<IpAddr> {
        let peers = &mut self.core.shared.peers.iter();
        peers
            .find_map(|peer| peer(&head.extensions))
            .map(|address| address.ip())
    }

    /// Under which address a failure is counted: the client's, or that of the proxy that hides it.
    /// Without any address nothing is counted, or one caller could lock out all others.
    fn failure_bucket(&self, head: &Parts) -> Option<AddressBucket> {
        self.client(head)
            .or_else(|| self.peer(head))
            .map(AddressBucket::of)
    }
}

#[cold]
fn unavailable() -> Rejection {
    Rejection::new(RejectionKind::Unavailable).retry_after_wait(UNAVAILABLE_FOR)
}

#[cfg(test)]
mod tests;
