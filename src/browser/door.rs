//! Signing in with a key, and what becomes of the session.
//!
//! 1. The key goes through the same gate as with any other request: failures are counted by address,
//!    its own rules on addresses hold.
//! 2. Every request judges the key behind its session again. Once that is revoked, replaced, disabled or
//!    expired, or its owner is suspended, the session is over. What a session asks for is charged to
//!    nobody.

use std::fmt;

use http::Request;
use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;

use super::cookie::Cookie;
use super::sessions::{Found, Lasts, Sessions};
use crate::context::KeyContext;
use crate::gate::{Admission, Gate};
use crate::layer::ApiKeyLayer;
use crate::rejection::{Rejection, RejectionKind};

static API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Lets people in, and keeps their sessions, each with what the page notes of it.
pub(crate) struct Door<T> {
    /// Signing in is a use of the key like any other.
    outside: Gate,
    inside: Gate,
    cookie: Cookie,
    pub(crate) sessions: Sessions<T>,
}

/// Who makes a request.
pub(crate) enum Standing {
    /// Whoever the session is of.
    Known(KeyContext, Found),
    /// There is no session, or none any more.
    Nobody,
    /// The key behind the session is not admitted any more; the session is over.
    Ended(Rejection),
    /// The key may be as good as ever, but that cannot be told at the moment.
    NoAnswer,
}

/// A key that was admitted.
pub(crate) struct Presented {
    admission: Admission,
    pub(crate) key: KeyContext,
}

impl<T: Default> Door<T> {
    /// A door for the keys of `layer`, whose sessions have this cookie.
    pub(crate) fn new(layer: ApiKeyLayer, cookie: Cookie, lasts: Lasts) -> Self {
        Self {
            outside: layer.gate().clone(),
            inside: layer.cost(0).gate().clone(),
            cookie,
            sessions: Sessions::new(lasts),
        }
    }

    /// Who makes this request at `now`, in ticks.
    pub(crate) async fn who(&self, head: &Parts, tls: bool, now: u64) -> Standing {
        let Some(found) = self.session(&head.headers, tls, now) else {
            return Standing::Nobody;
        };
        let mut bare = bare(head);
        if let Err(rejection) = found.admission.readmit(&self.inside, &mut bare).await {
            if is_passing(&rejection) {
                return Standing::NoAnswer;
            }
            self.sessions.end(&found.hash);
            return Standing::Ended(rejection);
        }
        match bare.extensions.remove::<KeyContext>() {
            Some(key) => Standing::Known(key, found),
            None => Standing::NoAnswer,
        }
    }

    /// Judges a key that was written into a form of this request.
    pub(crate) async fn present(&self, head: &Parts, key: &str) -> Result<Presented, Rejection> {
        let mut bare = bare(head);
        if let Some(value) = bearer(key) {
            bare.headers.insert(AUTHORIZATION, value);
        }
        let permit = self.outside.admit(&mut bare).await?;
        let admitted = permit
            .into_admission()
            .zip(bare.extensions.remove::<KeyContext>());
        let (admission, key) =
            admitted.ok_or_else(|| Rejection::new(RejectionKind::Unavailable))?;
        Ok(Presented { admission, key })
    }

    /// Begins a session, and returns its id. Whoever was signed in with this browser is not any more.
    pub(crate) fn begin(&self, head: &Parts, tls: bool, proof: Presented, now: u64) -> String {
        if let Some(old) = self.session(&head.headers, tls, now) {
            self.sessions.end(&old.hash);
        }
        let key = proof.key.key_id();
        self.sessions.begin(proof.admission, key, now)
    }

    /// Whether a text could be a key.
    #[cfg(feature = "admin")]
    pub(crate) fn might_be_a_key(&self, text: &str) -> bool {
        self.inside.might_be_a_key(text)
    }

    fn session(&self, headers: &HeaderMap, tls: bool, now: u64) -> Option<Found> {
        let id = self.cookie.read(headers, tls)?;
        self.sessions.find(id, now)
    }
}

impl<T> fmt::Debug for Door<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door")
            .field("sessions", &self.sessions)
            .finish_non_exhaustive()
    }
}

/// The head of a request from the same place as `head`, which presents nothing.
fn bare(head: &Parts) -> Parts {
    let (mut bare, ()) = Request::new(()).into_parts();
    bare.headers = head.headers.clone();
    bare.extensions = head.extensions.clone();
    for name in [&AUTHORIZATION, &COOKIE, &API_KEY] {
        bare.headers.remove(name);
    }
    bare
}

fn bearer(key: &str) -> Option<HeaderValue> {
    if key.is_empty() {
        return None;
    }
    let mut value = HeaderValue::try_from(format!("Bearer {key}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Whether the key may be as good as ever.
fn is_passing(rejection: &Rejection) -> bool {
    matches!(
        rejection.kind(),
        RejectionKind::Unavailable | RejectionKind::RateLimited | RejectionKind::QuotaExceeded
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::keys::ApiKeys;
    use crate::manager::NewKey;
    use crate::store::MemoryStore;

    const COOKIE_NAME: &str = "__Host-test";

    fn door(keys: &ApiKeys) -> Door<()> {
        #[cfg(feature = "admin")]
        let cookie = Cookie::strict(COOKIE_NAME);
        #[cfg(not(feature = "admin"))]
        let cookie = Cookie::lax(COOKIE_NAME);
        let lasts = Lasts {
            idle: Duration::from_secs(60),
            longest: Duration::from_secs(600),
        };
        Door::new(keys.layer().any_server(), cookie, lasts)
    }

    fn head(id: Option<&str>) -> Parts {
        let mut request = Request::get("/");
        if let Some(id) = id {
            request = request.header(COOKIE, format!("{COOKIE_NAME}={id}"));
        }
        request.body(()).unwrap().into_parts().0
    }

    #[tokio::test]
    async fn a_session_is_as_good_as_its_key() {
        let keys = ApiKeys::builder(MemoryStore::new()).build().await.unwrap();
        let door = door(&keys);
        let issued = keys.manager().issue(NewKey::named("a")).await.unwrap();
        let secret = issued.key().expose_secret();
        let proof = door.present(&head(None), secret).await.unwrap();
        assert_eq!(proof.key.key_id(), issued.info().id);
        let first = door.begin(&head(None), true, proof, 1);
        let who = door.who(&head(Some(&first)), true, 2).await;
        assert!(matches!(who, Standing::Known(key, _) if key.key_id() == issued.info().id));
        // The cookie of one that is not over TLS has another name.
        let who = door.who(&head(Some(&first)), false, 2).await;
        assert!(matches!(who, Standing::Nobody));
        // To sign in anew ends what was.
        let proof = door.present(&head(Some(&first)), secret).await.unwrap();
        let second = door.begin(&head(Some(&first)), true, proof, 3);
        let who = door.who(&head(Some(&first)), true, 4).await;
        assert!(matches!(who, Standing::Nobody));

        keys.manager().revoke(issued.info().id, None).await.unwrap();
        let who = door.who(&head(Some(&second)), true, 5).await;
        assert!(matches!(who, Standing::Ended(why) if why.kind() == RejectionKind::Revoked));
        let who = door.who(&head(Some(&second)), true, 6).await;
        assert!(matches!(who, Standing::Nobody));
    }

    #[tokio::test]
    async fn what_a_request_presents_itself_does_not_count() {
        let keys = ApiKeys::builder(MemoryStore::new()).build().await.unwrap();
        let door = door(&keys);
        let issued = keys.manager().issue(NewKey::named("a")).await.unwrap();
        let secret = issued.key().expose_secret();
        for name in ["authorization", "x-api-key"] {
            let mut head = head(None);
            let value = HeaderValue::try_from(format!("Bearer {secret}")).unwrap();
            head.headers.insert(name, value);
            for wrong in ["", "x", "a\nb"] {
                assert!(door.present(&head, wrong).await.is_err(), "{wrong:?}");
            }
            let who = door.who(&head, true, 1).await;
            assert!(matches!(who, Standing::Nobody));
        }
    }
}
