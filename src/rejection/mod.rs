//! Why a request is turned away, without a word of HTTP.
//!
//! The layer turns a [`Rejection`] into an answer and attaches it to the response's extensions,
//! so that outer layers can tell what happened. It holds more than the answer shows: four
//! [kinds](RejectionKind) share the answer "invalid key", byte for byte.

mod kind;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use self::kind::{RejectionKind, RejectionType};
use crate::key::{Carrier, Connection, KeyId, LimitStatus, Quota, Scope, ScopeSet};

/// Why a request is turned away.
#[derive(Clone)]
pub struct Rejection {
    kind: RejectionKind,
    carrier: Option<Carrier>,
    /// None if it says what rejections of its kind say, and nothing else: a flood of wrong keys is
    /// answered without memory for each.
    more: Option<Arc<More>>,
}

#[derive(Clone)]
struct More {
    code: &'static str,
    message: Cow<'static, str>,
    key: Option<KeyId>,
    scopes: Arc<[Scope]>,
    retry_after: Option<Duration>,
    limit: Option<LimitStatus>,
    quota: Option<Quota>,
    step_up: Option<StepUp>,
}

/// What would help a connection that may only read.
#[derive(Clone, Debug)]
pub(crate) enum StepUp {
    /// That its owner lets it do more, which they may. These are the scopes that it has.
    FullAccess(ScopeSet),
    /// Nothing that its owner could do.
    Nothing,
}

impl More {
    /// What rejections of this kind say.
    fn usual(kind: RejectionKind) -> Self {
        Self {
            code: kind.code(),
            message: Cow::Borrowed(kind.message()),
            key: None,
            scopes: Arc::default(),
            retry_after: None,
            limit: None,
            quota: None,
            step_up: None,
        }
    }
}

// Most requests are admitted: whatever makes a rejection is kept out of their way.
impl Rejection {
    /// A rejection with the standard code and message of its kind.
    #[cold]
    pub fn new(kind: RejectionKind) -> Self {
        Self {
            kind,
            carrier: None,
            more: None,
        }
    }

    #[cold]
    fn more_mut(&mut self) -> &mut More {
        let usual = || Arc::new(More::usual(self.kind));
        Arc::make_mut(self.more.get_or_insert_with(usual))
    }

    fn more(&self) -> Option<&More> {
        self.more.as_deref()
    }

    /// A refusal by a policy of your own, under your own code (such as `outside_office_hours`).
    pub fn by_policy(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        let mut rejection = Self::new(RejectionKind::Policy);
        let more = rejection.more_mut();
        more.code = code;
        more.message = message.into();
        rejection
    }

    /// A refusal because a scope of `required` is missing.
    #[cold]
    pub fn scope_missing(required: Arc<[Scope]>) -> Self {
        let mut rejection = Self::new(RejectionKind::ScopeMissing);
        rejection.more_mut().scopes = required;
        rejection
    }

    /// A refusal because a rate limit is used up.
    #[cold]
    pub fn rate_limited(limit: LimitStatus, retry_after: Duration) -> Self {
        let mut rejection = Self::new(RejectionKind::RateLimited).retry_after_wait(retry_after);
        rejection.more_mut().limit = Some(limit);
        rejection
    }

    /// A refusal because a quota is used up.
    #[cold]
    pub fn quota_exceeded(quota: Quota, retry_after: Duration) -> Self {
        let mut rejection = Self::new(RejectionKind::QuotaExceeded).retry_after_wait(retry_after);
        rejection.more_mut().quota = Some(quota);
        rejection
    }

    /// Whether it says what rejections of its kind say, and nothing else.
    pub(crate) fn says_the_usual(&self) -> bool {
        self.code() == self.kind.code() && self.message() == self.kind.message()
    }

    /// The same rejection with a sentence of its own.
    #[must_use]
    pub(crate) fn saying(mut self, message: String) -> Self {
        self.more_mut().message = message.into();
        self
    }

    /// The same rejection with a time to wait before trying again.
    #[must_use]
    #[cold]
    pub fn retry_after_wait(mut self, wait: Duration) -> Self {
        self.more_mut().retry_after = Some(wait);
        self
    }

    /// The same rejection, of the (proven) key `id`.
    #[must_use]
    #[cold]
    pub fn of_key(mut self, id: KeyId) -> Self {
        self.more_mut().key = Some(id);
        self
    }

    /// The same rejection, of the proven key `id`, which may be a connection, with these scopes.
    #[must_use]
    #[cold]
    pub(crate) fn of(self, id: KeyId, connection: Option<&Connection>, scopes: &ScopeSet) -> Self {
        let mut rejection = self.of_key(id);
        if let (RejectionKind::ReadOnly, Some(connection)) = (rejection.kind(), connection) {
            rejection.more_mut().step_up = Some(match connection.may_have_full {
                true => StepUp::FullAccess(scopes.clone()),
                false => StepUp::Nothing,
            });
        }
        rejection
    }

    /// The same rejection, of a key that was presented in this place.
    #[must_use]
    #[cold]
    pub(crate) fn presented_in(mut self, carrier: Carrier) -> Self {
        self.carrier = Some(carrier);
        self
    }

    /// Why.
    pub fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// The stable word for programs, such as `invalid_api_key`.
    pub fn code(&self) -> &'static str {
        self.more().map_or(self.kind.code(), |more| more.code)
    }

    /// The sentence for people.
    pub fn message(&self) -> &str {
        self.more()
            .map_or(self.kind.message(), |more| &more.message)
    }

    /// The key, if the caller proved to hold it.
    pub fn key_id(&self) -> Option<KeyId> {
        self.more().and_then(|more| more.key)
    }

    /// Where a key was presented, if one was; the path, if one was presented there.
    pub fn carrier(&self) -> Option<Carrier> {
        self.carrier
    }

    /// What the request needs, if a scope is missing. Never what the key holds.
    pub fn required_scopes(&self) -> &[Scope] {
        self.more().map_or(&[], |more| &more.scopes)
    }

    /// What would help, if it is known: where a connection may only read.
    pub(crate) fn step_up(&self) -> Option<&StepUp> {
        self.more().and_then(|more| more.step_up.as_ref())
    }

    /// How long to wait before trying again, if waiting helps. For a quota, until its next period.
    pub fn retry_after(&self) -> Option<Duration> {
        self.more().and_then(|more| more.retry_after)
    }

    /// The limit that is used up, if one is.
    pub fn limit(&self) -> Option<&LimitStatus> {
        self.more().and_then(|more| more.limit.as_ref())
    }

    /// The quota that is used up, if one is.
    pub fn quota(&self) -> Option<&Quota> {
        self.more().and_then(|more| more.quota.as_ref())
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("kind", &self.kind())
            .field("code", &self.code())
            .field("key", &self.key_id())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Rejection {}
