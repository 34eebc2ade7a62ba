//! What a form to sign in says when that did not work.

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderMap, HeaderValue, RETRY_AFTER};

use crate::rejection::{Rejection, RejectionKind};

/// What a form says beside its field.
#[derive(Debug, Default)]
pub(crate) struct Word {
    status: StatusCode,
    text: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
}

impl Word {
    /// A word of the page's own.
    pub(crate) fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            text: Some(text.into()),
            retry_after: None,
        }
    }

    /// The form did not carry what it was shown with.
    pub(crate) fn stale() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "The form was open for too long, or cookies are switched off. Try again.",
        )
    }

    /// The key was not admitted. Unknown, malformed, wrong and revoked: no difference is told.
    pub(crate) fn refused(rejection: &Rejection) -> Self {
        use RejectionKind as Kind;

        let (status, text) = match rejection.kind() {
            Kind::Expired => (StatusCode::UNAUTHORIZED, "The key has expired."),
            Kind::Disabled | Kind::OwnerBarred => (
                StatusCode::UNAUTHORIZED,
                "The key, or its owner, is switched off.",
            ),
            Kind::AddressDenied => (
                StatusCode::FORBIDDEN,
                "The key may not be used from this address.",
            ),
            // The gate has one policy: a key for signed requests is none for a browser.
            Kind::Policy => (
                StatusCode::FORBIDDEN,
                "Requests with this key must be signed, which a browser does not do.",
            ),
            Kind::RateLimited | Kind::QuotaExceeded => (
                StatusCode::TOO_MANY_REQUESTS,
                "The limits of this key are used up. Try again later.",
            ),
            Kind::TooManyFailures => (
                StatusCode::TOO_MANY_REQUESTS,
                "Too many attempts from this address. Try again later.",
            ),
            Kind::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The key cannot be verified at the moment. Try again.",
            ),
            _ => (StatusCode::UNAUTHORIZED, "This is not a valid key."),
        };
        Self {
            retry_after: rejection.retry_after(),
            ..Self::new(status, text)
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// Says how long to wait before trying again, if waiting helps: in whole seconds, rounded up.
    pub(crate) fn tell_wait(&self, headers: &mut HeaderMap) {
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_tells_no_difference_between_keys_that_are_none() {
        let word = |kind| Word::refused(&Rejection::new(kind));
        for kind in [
            RejectionKind::Missing,
            RejectionKind::Malformed,
            RejectionKind::Unknown,
            RejectionKind::WrongSecret,
            RejectionKind::Revoked,
        ] {
            let word = word(kind);
            assert_eq!(word.status(), StatusCode::UNAUTHORIZED);
            assert_eq!(word.text(), Some("This is not a valid key."), "{kind:?}");
        }
        let expired = word(RejectionKind::Expired);
        assert_ne!(expired.text(), word(RejectionKind::Unknown).text());
    }

    #[test]
    fn waits_are_told_in_whole_seconds() {
        let mut headers = HeaderMap::new();
        Word::stale().tell_wait(&mut headers);
        assert!(headers.is_empty());
        let rejection = Rejection::new(RejectionKind::TooManyFailures);
        for (millis, told) in [(0, "1"), (1_001, "2"), (3_000, "3")] {
            let wait = Duration::from_millis(millis);
            let word = Word::refused(&rejection.clone().retry_after_wait(wait));
            assert_eq!(word.status(), StatusCode::TOO_MANY_REQUESTS);
            word.tell_wait(&mut headers);
            assert_eq!(headers[RETRY_AFTER], told);
        }
    }
}
