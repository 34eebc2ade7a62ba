//! Signing in with a key.
//!
//! 1. The key goes through the same gate as with any other request: failures are counted by address,
//!    its own rules on addresses hold. It is not kept; a session holds the proof that it was presented.
//! 2. It belongs to somebody, and is no connection itself: no program lets another one in.
//! 3. Every request judges the key behind the session again. Once it is revoked, replaced, disabled or
//!    expired, or its owner is suspended, the session is over.
//! 4. A session ends 15 minutes after its last request and an hour after it began. Its cookie is for
//!    this host alone, hidden from scripts, and `SameSite=Lax`: people are sent here by other sites.

mod form;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::SET_COOKIE;
use http::{Response, StatusCode};

use self::form::form;
use super::answer::see_other;
use super::authorize::{sign_in_place, to_sign_in};
use super::consent::Question;
use super::page::{ConsentPage, problem};
use super::params::Params;
use super::sign_in::{Person, SignIn, Visit, Visitor};
use crate::browser::{Cookie, Door, Lasts, Standing, Word, is_same, new_token};
use crate::keys::ApiKeys;

/// Stands for somebody who has signed in.
const SESSION: Cookie = Cookie::lax("__Host-mcp-keys-oauth");

/// Stands for a browser that was shown the form to sign in, so that nobody else can send it.
const SIGN_IN: Cookie = Cookie::lax("__Host-mcp-keys-oauth-form");

const LASTS: Lasts = Lasts {
    idle: Duration::from_secs(15 * 60),
    longest: Duration::from_secs(3_600),
};

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
    door: Door<()>,
    page: ConsentPage,
}

impl KeySignIn {
    /// Signs people in with these keys.
    pub fn new(keys: &ApiKeys) -> Self {
        Self {
            door: Door::new(keys.layer().any_server(), SESSION, LASTS),
            keys: keys.clone(),
            page: ConsentPage::new(),
        }
    }

    /// Asks people with this page.
    pub fn consent_page(mut self, page: ConsentPage) -> Self {
        self.page = page;
        self
    }

    async fn person(&self, visit: &Visit<'_>) -> Found {
        let now = self.keys.clock().now().ticks;
        let (key, session) = match self.door.who(visit.head(), visit.is_tls(), now).await {
            Standing::Known(key, session) => (key, session),
            Standing::Nobody => return Found::Nobody,
            Standing::Ended(rejection) => {
                tracing::debug!(reason = %rejection, "a session has ended with its key");
                return Found::Nobody;
            }
            Standing::NoAnswer => return Found::NoAnswer,
        };
        let Some(owner) = key.owner().cloned() else {
            return Found::Nobody;
        };
        Found::Person(
            Person::new(owner)
                .by_key(key)
                .in_session(session.token)
                .sign_in_anew_at(sign_in_place(visit)),
        )
    }

    /// Begins a session with the key of a form.
    async fn begin(&self, visit: &Visit<'_>, fields: &Params) -> Result<String, Word> {
        let head = visit.head();
        let expected = SIGN_IN.read(&head.headers, visit.is_tls());
        let sent = fields.get("token").unwrap_or_default();
        if !is_same(sent, expected.unwrap_or_default()) {
            return Err(Word::stale());
        }
        let sent = fields.get("key").unwrap_or_default();
        let proof = self.door.present(head, sent).await;
        let proof = proof.map_err(|rejection| Word::refused(&rejection))?;
        let key = &proof.key;
        if key.owner().is_none() {
            return Err(not_entitled(
                "This key belongs to nobody, so nothing can be connected with it.",
            ));
        }
        if key.key().connection.is_some() {
            return Err(not_entitled(
                "This is the token of a connected program. Sign in with a key of your own.",
            ));
        }
        tracing::info!(key = %key.key_id(), "somebody signed in to connect a program");
        let now = self.keys.clock().now().ticks;
        Ok(self.door.begin(head, visit.is_tls(), proof, now))
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
                StatusCode::SERVICE_UNAVAILABLE,
                "No answer",
                "Your key cannot be looked up at the moment. Try again in a while.",
            )),
        }
    }

    async fn page(&self, visit: &Visit<'_>, sent: Option<&[u8]>) -> Option<Response<Bytes>> {
        let tls = visit.is_tls();
        let known = SIGN_IN.read(&visit.head().headers, tls);
        let token = known.map_or_else(new_token, str::to_owned);
        let word = match sent {
            None => Word::default(),
            Some(sent) => match self.begin(visit, &Params::parse(sent)).await {
                Err(word) => word,
                Ok(session) => {
                    let mut answer = see_other(visit.back());
                    let cookies = [SESSION.set(&session, tls), SIGN_IN.clear(tls)];
                    for cookie in cookies.into_iter().flatten() {
                        answer.headers_mut().append(SET_COOKIE, cookie);
                    }
                    return Some(answer);
                }
            },
        };
        let mut answer = form(&sign_in_place(visit), &token, &word);
        if let Some(cookie) = SIGN_IN.set(&token, tls) {
            answer.headers_mut().append(SET_COOKIE, cookie);
        }
        Some(answer)
    }

    fn ask(&self, question: &Question<'_>) -> Response<Bytes> {
        self.page.answer(question)
    }
}

fn not_entitled(text: &'static str) -> Word {
    Word::new(StatusCode::FORBIDDEN, text)
}
