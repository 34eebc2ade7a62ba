//! The one thing that this room has to be told: who is signed in.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use http::Response;
use http::request::Parts;

use super::consent::Question;
use crate::context::KeyContext;
use crate::key::OwnerId;

/// How people sign in, and how they are asked.
///
/// [`KeySignIn`](super::KeySignIn) is the one that comes with the crate. To use the sign-in of your
/// own application, implement this: [`who`](Self::who) reads your session,
/// [`page`](Self::page) answers nothing, and [`ask`](Self::ask) hands on to a
/// [`ConsentPage`](super::ConsentPage).
///
/// ```
/// use bytes::Bytes;
/// use http::Response;
/// use http::header::LOCATION;
/// use mcp_api_keys::oauth::{ConsentPage, Person, Question, SignIn, Visit, Visitor};
///
/// /// People who have signed in to the application around this.
/// #[derive(Debug)]
/// struct OurSession;
///
/// # fn user_of(_: &http::HeaderMap) -> Option<(String, String)> { None }
/// #[async_trait::async_trait]
/// impl SignIn for OurSession {
///     async fn who(&self, visit: &Visit<'_>) -> Visitor {
///         // The user's name is the owner of their keys; the session's id binds what they are shown.
///         if let Some((user, session)) = user_of(&visit.head().headers)
///             && let Ok(owner) = user.parse()
///         {
///             return Visitor::Known(Person::new(owner).in_session(session));
///         }
///         let back: String = form_urlencoded::byte_serialize(visit.back().as_bytes()).collect();
///         let mut answer = Response::new(Bytes::new());
///         *answer.status_mut() = http::StatusCode::SEE_OTHER;
///         if let Ok(place) = format!("/login?next={back}").parse() {
///             answer.headers_mut().insert(LOCATION, place);
///         }
///         Visitor::Unknown(answer)
///     }
///
///     async fn page(&self, _: &Visit<'_>, _: Option<&[u8]>) -> Option<Response<Bytes>> {
///         None
///     }
///
///     fn ask(&self, question: &Question<'_>) -> Response<Bytes> {
///         ConsentPage::new().answer(question)
///     }
/// }
/// ```
#[async_trait]
pub trait SignIn: fmt::Debug + Send + Sync + 'static {
    /// Who makes this request. For somebody who has not signed in, the answer that sends them to do so
    /// and then to [`Visit::back`].
    ///
    /// It is asked for each request, so whoever may no longer act is to be unknown at once.
    async fn who(&self, visit: &Visit<'_>) -> Visitor;

    /// The answer of the page at `/oauth/sign-in`, if signing in is done there: to a GET, or to a form
    /// that was posted. Nothing if it is done elsewhere. [`Visit::back`] is where to go afterwards.
    async fn page(&self, visit: &Visit<'_>, form: Option<&[u8]>) -> Option<Response<Bytes>>;

    /// The page that asks a person for their consent.
    fn ask(&self, question: &Question<'_>) -> Response<Bytes>;
}

/// What came of asking who makes a request.
#[derive(Debug)]
#[non_exhaustive]
pub enum Visitor {
    /// Somebody who has signed in.
    Known(Person),
    /// Somebody who has to sign in first; with what they are answered.
    Unknown(Response<Bytes>),
}

/// Somebody who has signed in.
#[derive(Clone, Debug)]
#[must_use]
pub struct Person {
    owner: OwnerId,
    key: Option<KeyContext>,
    session: String,
    elsewhere: Option<String>,
}

impl Person {
    /// The owner that connections are made for.
    pub fn new(owner: OwnerId) -> Self {
        Self {
            owner,
            key: None,
            session: String::new(),
            elsewhere: None,
        }
    }

    /// Somebody who has signed in with a key: nothing they consent to reaches further than it.
    pub fn by_key(mut self, key: KeyContext) -> Self {
        self.key = Some(key);
        self
    }

    /// Something that differs from session to session. A question that was shown in one cannot be
    /// answered in another.
    pub fn in_session(mut self, session: impl Into<String>) -> Self {
        self.session = session.into();
        self
    }

    /// Where the page leads those who want to be somebody else: a path or URL to sign in at.
    pub fn sign_in_anew_at(mut self, place: impl Into<String>) -> Self {
        self.elsewhere = Some(place.into());
        self
    }

    /// Whom the connection will belong to.
    pub fn owner(&self) -> &OwnerId {
        &self.owner
    }

    /// The key that they have signed in with.
    pub fn key(&self) -> Option<&KeyContext> {
        self.key.as_ref()
    }

    /// What differs from session to session.
    pub fn session(&self) -> &str {
        &self.session
    }

    /// Where to sign in as somebody else.
    pub fn elsewhere(&self) -> Option<&str> {
        self.elsewhere.as_deref()
    }
}

/// A request of somebody who is asked for their consent, or is about to be.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'a> {
    head: &'a Parts,
    back: &'a str,
    sign_in: &'a str,
    is_tls: bool,
}

impl<'a> Visit<'a> {
    pub(super) fn new(head: &'a Parts, back: &'a str, sign_in: &'a str, is_tls: bool) -> Self {
        Self {
            head,
            back,
            sign_in,
            is_tls,
        }
    }

    /// The head of the request.
    pub fn head(&self) -> &'a Parts {
        self.head
    }

    /// Where the question is asked: a path on this host with its query.
    pub fn back(&self) -> &'a str {
        self.back
    }

    /// The path of the page that [`SignIn::page`] answers.
    pub fn sign_in_path(&self) -> &'a str {
        self.sign_in
    }

    /// Whether the issuer is reached over TLS, so that cookies can be kept to it.
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }
}
