//! A request of somebody who has signed in.

use std::sync::Arc;

use axum::extract::{FromRequestParts, OriginalUri};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{Method, StatusCode};
use maud::Markup;

use super::desk::{Desk, SESSION};
use super::fields::{Fields, query};
use super::notes::Notes;
use super::rights;
use super::shell::{COUNTED, Notice, Section, Shell, SignedIn};
use super::{problem, sign_in};
use crate::admin::redacted::redacted;
use crate::admin::rights::Act;
use crate::browser::{SessionHash, Standing};
use crate::clock::Timestamp;
use crate::context::KeyContext;
use crate::error::Error;
use crate::manager::KeyManager;
use crate::rejection::{Rejection, RejectionKind};

/// A request whose session is good, and whose key was judged again.
///
/// Handlers that take one cannot be reached without.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) desk: Arc<Desk>,
    /// In the hands of whoever has signed in.
    pub(super) manager: KeyManager,
    pub(super) key: KeyContext,
    pub(super) is_admin: bool,
    pub(super) base: String,
    pub(super) tls: bool,
    pub(super) now: Timestamp,
    pub(super) query: Fields,
    /// What every form of the session carries.
    pub(super) token: String,
    pub(super) session: SessionHash,
    /// How many alerts are open, where that is told.
    open_alerts: Option<usize>,
    actor: String,
}

impl FromRequestParts<Arc<Desk>> for Visit {
    type Rejection = Response;

    async fn from_request_parts(head: &mut Parts, desk: &Arc<Desk>) -> Result<Self, Response> {
        let (base, tls, now) = (base(head), desk.is_tls(head), desk.now());
        let signed_out = |why| signed_out(head, &base, tls, why);
        let (key, found) = match desk.door.who(head, tls, now.ticks).await {
            Standing::Known(key, found) => (key, found),
            Standing::Nobody => return Err(signed_out(None)),
            Standing::Ended(rejection) => return Err(signed_out(Some(&rejection))),
            Standing::NoAnswer => return Err(problem::unavailable(&base)),
        };
        let principal = match rights::principal(desk.manager(), &key, desk.client(head)).await {
            Ok(principal) => principal,
            Err(error) if error.is_temporary() => return Err(problem::unavailable(&base)),
            Err(_) => {
                desk.door.sessions.end(&found.hash);
                let rejection = Rejection::new(RejectionKind::ScopeMissing);
                return Err(signed_out(Some(&rejection)));
            }
        };
        let (is_admin, actor) = (
            principal.confined_to().is_none(),
            principal.actor().to_owned(),
        );
        let manager = desk.manager().acting_as(principal);
        let is_told = head.method == Method::GET && Act::SeeAlerts.is_open_to(key.key());
        // A page is shown without the number where it cannot be read.
        let open_alerts = match is_told {
            true => manager.open_alerts(COUNTED).await.ok().flatten(),
            false => None,
        };
        Ok(Self {
            is_admin,
            actor,
            open_alerts,
            manager,
            key,
            base,
            tls,
            now: now.wall,
            query: query_of(head, desk),
            token: found.token,
            session: found.hash,
            desk: Arc::clone(desk),
        })
    }
}

impl Visit {
    pub(super) fn may(&self, act: Act) -> bool {
        act.is_open_to(self.key.key())
    }

    /// Whether there is anything in it for whoever has signed in: members are not shown the way to what
    /// is for admins.
    pub(super) fn offers(&self, act: Act) -> bool {
        self.may(act) && (self.is_admin || !act.is_for_admins())
    }

    /// # Errors
    ///
    /// `Forbidden`, naming the scope.
    pub(super) fn require(&self, act: Act) -> Result<(), Error> {
        rights::require(act, self.key.key())
    }

    /// A page.
    pub(super) fn page(&self, section: Section, title: &str, content: &Markup) -> Response {
        self.page_as(StatusCode::OK, section, title, content)
    }

    pub(super) fn page_as(
        &self,
        status: StatusCode,
        section: Section,
        title: &str,
        content: &Markup,
    ) -> Response {
        let shell = Shell {
            base: &self.base,
            title,
            section: Some(section),
            notice: self.take_notice(),
            signed_in: Some(SignedIn {
                actor: &self.actor,
                key: self.key.key(),
                is_admin: self.is_admin,
                token: &self.token,
                sees_owners: self.offers(Act::SeeOwners),
                sees_plans: self.offers(Act::SeePlans),
                sees_usage: self.offers(Act::SeeUsage),
                sees_alerts: self.offers(Act::SeeAlerts),
                open_alerts: self.open_alerts,
                sees_audit: self.offers(Act::SeeTrail),
            }),
        };
        (status, shell.around(content)).into_response()
    }

    /// The word that was left for this page.
    fn take_notice(&self) -> Option<Notice> {
        self.desk.note(&self.session, Notes::take_notice).flatten()
    }

    /// The page, or what kept it from being made.
    pub(super) fn answer(&self, answer: Result<Response, Error>) -> Response {
        answer.unwrap_or_else(|error| problem::of(self, &error))
    }

    /// Sends the browser to another page, where it is told what was done.
    pub(super) fn go_with(&self, notice: Notice, path: &str) -> Response {
        let _ended = self.desk.note(&self.session, |notes| notes.leave(notice));
        see_other(&self.base, path)
    }

    /// The link to a page.
    pub(super) fn link(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The link to a page with a query.
    pub(super) fn link_with<'a>(
        &self,
        path: &str,
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> String {
        let query = query(pairs);
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{}{path}{mark}{query}", self.base)
    }
}

/// What was asked for. It is shown again, in filters and links, so a key that was pasted into the wrong
/// field is taken out.
fn query_of(head: &Parts, desk: &Desk) -> Fields {
    let query = head.uri.query().unwrap_or_default();
    Fields::parse(query.as_bytes()).with(|value| {
        let is_key = desk.door.might_be_a_key(value);
        is_key.then(|| redacted(value))
    })
}

/// What the router is nested under, without a slash at its end.
pub(super) fn base(head: &Parts) -> String {
    let inner = head.uri.path();
    let Some(OriginalUri(outer)) = head.extensions.get::<OriginalUri>() else {
        return String::new();
    };
    let outer = outer.path();
    let base = outer
        .strip_suffix(inner)
        .unwrap_or(if inner == "/" { outer } else { "" });
    base.trim_end_matches('/').to_owned()
}

pub(super) fn see_other(base: &str, path: &str) -> Response {
    let location = [(http::header::LOCATION, format!("{base}{path}"))];
    (StatusCode::SEE_OTHER, location).into_response()
}

/// A link leads to the form to sign in; what was sent is not lost without a word.
fn signed_out(head: &Parts, base: &str, tls: bool, why: Option<&Rejection>) -> Response {
    let mut answer = if head.method == Method::GET || head.method == Method::HEAD {
        see_other(base, why.map_or("/sign-in", sign_in::place_after))
    } else {
        problem::signed_out(base)
    };
    if why.is_some()
        && let Some(clear) = SESSION.clear(tls)
    {
        answer.headers_mut().append(http::header::SET_COOKIE, clear);
    }
    answer
}
