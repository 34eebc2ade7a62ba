//! Signing in with a key.
//!
//! 1. The key goes through the same gate as with any other request: failures are counted by address,
//!    its own rules on addresses hold. It is not kept; a session holds the proof that it was presented.
//! 2. It belongs to somebody, and is no connection itself: no program lets another one in.
//! 3. Every request judges the key behind the session again. Once it is revoked, replaced, disabled or
//!    expired, or its owner is suspended, the session is over.
//! 4. A session ends 15 minutes after its last request and an hour after it began. Its cookie is for
//!    this host alone, hidden from scripts, and `SameSite=Lax`: people are sent here by other sites.

mod cookie;
mod form;
mod sessions;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue, SET_COOKIE};
use http::request::Parts;
use http::{Request, Response};
use subtle::ConstantTimeEq;

use self::cookie::{Cookie, new_token};
use self::form::{Word, form};
use self::sessions::Sessions;
use super::answer::see_other;
use super::authorize::{sign_in_place, to_sign_in};
use super::consent::Question;
use super::page::{ConsentPage, problem};
use super::params::Params;
use super::sign_in::{Person, SignIn, Visit, Visitor};
use crate::context::KeyContext;
use crate::gate::Gate;
use crate::keys::ApiKeys;
use crate::rejection::{Rejection, RejectionKind};

static API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Lets people sign in with a key they have, and connects programs for the key's owner.
///
/// What they consent to never reaches further than that key.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use mcp_api_keys::oauth::{ConsentPage, KeySignIn};
/// use mcp_api_keys::{ApiKeys, store::MemoryStore};
///
/// let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
/// let sign_in = KeySignIn::new(&keys).consent_page(ConsentPage::new().service("Example Files"));
/// # let _ = sign_in;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use]
pub struct KeySignIn {
    keys: ApiKeys,
    /// Signing in is a use of the key like any other.
    door: Gate,
    /// What a session asks for is charged to nobody.
    inside: Gate,
    sessions: Sessions,
    page: ConsentPage,
}

impl KeySignIn {
    /// Signs people in with these keys.
    pub fn new(keys: &ApiKeys) -> Self {
        let layer = keys.layer().any_server();
        Self {
            door: layer.gate().clone(),
            inside: layer.cost(0).gate().clone(),
            keys: keys.clone(),
            sessions: Sessions::default(),
            page: ConsentPage::new(),
        }
    }

    /// Asks people with this page.
    pub fn consent_page(mut self, page: ConsentPage) -> Self {
        self.page = page;
        self
    }

    async fn person(&self, visit: &Visit<'_>) -> Found {
        let (head, tls) = (visit.head(), visit.is_tls());
        let now = self.keys.clock().now().ticks;
        let found = Cookie::Session
            .read(&head.headers, tls)
            .and_then(|id| self.sessions.find(id, now));
        let Some(found) = found else {
            return Found::Nobody;
        };
        let mut bare = bare(head);
        if let Err(rejection) = found.admission.readmit(&self.inside, &mut bare).await {
            if is_passing(&rejection) {
                return Found::NoAnswer;
            }
            self.sessions.end(&found.hash);
            return Found::Nobody;
        }
        let key = bare.extensions.remove::<KeyContext>();
        let owner = key.as_ref().and_then(|key| key.owner().cloned());
        match key.zip(owner) {
            Some((key, owner)) => Found::Person(
                Person::new(owner)
                    .by_key(key)
                    .in_session(found.token)
                    .sign_in_anew_at(sign_in_place(visit)),
            ),
            None => Found::Nobody,
        }
    }

    /// Begins a session with the key of a form.
    async fn begin(&self, visit: &Visit<'_>, fields: &Params) -> Result<String, Word> {
        let head = visit.head();
        let expected = Cookie::Form.read(&head.headers, visit.is_tls());
        let sent = fields.get("token").unwrap_or_default();
        if !expected.is_some_and(|token| sent.as_bytes().ct_eq(token.as_bytes()).into()) {
            return Err(Word::stale());
        }
        let mut bare = bare(head);
        if let Some(value) = fields.get("key").and_then(bearer) {
            bare.headers.insert(AUTHORIZATION, value);
        }
        let permit = self.door.admit(&mut bare).await;
        let permit = permit.map_err(|rejection| Word::refused(&rejection))?;
        let admitted = permit
            .into_admission()
            .zip(bare.extensions.remove::<KeyContext>());
        let Some((admission, key)) = admitted else {
            return Err(Word::no_answer());
        };
        if key.owner().is_none() {
            return Err(Word::not_entitled(
                "This key belongs to nobody, so nothing can be connected with it.",
            ));
        }
        if key.key().connection.is_some() {
            return Err(Word::not_entitled(
                "This is the token of a connected program. Sign in with a key of your own.",
            ));
        }
        tracing::info!(key = %key.key_id(), "somebody signed in to connect a program");
        let now = self.keys.clock().now().ticks;
        // Whoever was signed in with this browser is not any more.
        if let Some(old) = Cookie::Session.read(&head.headers, visit.is_tls())
            && let Some(found) = self.sessions.find(old, now)
        {
            self.sessions.end(&found.hash);
        }
        Ok(self.sessions.begin(admission, key.key_id(), now))
    }
}

/// Who makes a request.
enum Found {
    Person(Person),
    Nobody,
    NoAnswer,
}

#[async_trait]
impl SignIn for KeySignIn {
    async fn who(&self, visit: &Visit<'_>) -> Visitor {
        match self.person(visit).await {
            Found::Person(person) => Visitor::Known(person),
            Found::Nobody => Visitor::Unknown(to_sign_in(visit)),
            Found::NoAnswer => Visitor::Unknown(problem(
                http::StatusCode::SERVICE_UNAVAILABLE,
                "No answer",
                "Your key cannot be looked up at the moment. Try again in a while.",
            )),
        }
    }

    async fn page(&self, visit: &Visit<'_>, sent: Option<&[u8]>) -> Option<Response<Bytes>> {
        let tls = visit.is_tls();
        let known = Cookie::Form.read(&visit.head().headers, tls);
        let token = known.map_or_else(new_token, str::to_owned);
        let word = match sent {
            None => Word::default(),
            Some(sent) => match self.begin(visit, &Params::parse(sent)).await {
                Err(word) => word,
                Ok(session) => {
                    let mut answer = see_other(visit.back());
                    let cookies = [Cookie::Session.set(&session, tls), Cookie::Form.clear(tls)];
                    for cookie in cookies.into_iter().flatten() {
                        answer.headers_mut().append(SET_COOKIE, cookie);
                    }
                    return Some(answer);
                }
            },
        };
        let mut answer = form(&sign_in_place(visit), &token, &word);
        if let Some(cookie) = Cookie::Form.set(&token, tls) {
            answer.headers_mut().append(SET_COOKIE, cookie);
        }
        Some(answer)
    }

    fn ask(&self, question: &Question<'_>) -> Response<Bytes> {
        self.page.answer(question)
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
