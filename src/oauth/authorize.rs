//! Asking a person: the authorization endpoint.
//!
//! 1. What is asked is read and judged first; see [`request`](super::request).
//! 2. Then whoever makes the request is asked for: the sign-in says who it is, or where to go.
//! 3. A GET shows the question. A POST answers it: it comes from the page, was sealed for this
//!    person, session and question, and is judged by what the person may do at that moment.

use std::sync::Arc;

use axum::extract::{Request, State};
use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};

use super::answer::{Refusal, see_other};
use super::body::{self, FORM, Fault};
use super::consent::{Offer, Question};
use super::metadata::{AUTHORIZE, SIGN_IN};
use super::page::problem;
use super::params::{Params, encoded};
use super::request::Asked;
use super::router::{Answer, served};
use super::server::Server;
use super::sign_in::{Person, Visit, Visitor};
use crate::browser::is_of_origin;
use crate::error::{Error, ErrorKind};
use crate::key::Access;

/// The longest query in bytes.
const LONGEST: usize = 8 * 1_024;

const AGAIN: &str = "Your answer was not accepted: the page was open for too long, or you have signed \
                     in anew. Please answer again.";

pub(super) async fn show(State(server): State<Arc<Server>>, request: Request) -> Answer {
    let head = request.into_parts().0;
    served(asked(&server, &head).await)
}

async fn asked(server: &Server, head: &Parts) -> Response<Bytes> {
    let query = head.uri.query().unwrap_or_default();
    if query.len() > LONGEST {
        let text = "It is too long.";
        return problem(StatusCode::URI_TOO_LONG, "This link is broken", text);
    }
    let params = Params::parse(query.as_bytes());
    let asked = match Asked::read(server, &params, server.caller(head)).await {
        Ok(asked) => asked,
        Err(answer) => return *answer,
    };
    match who(server, head, &asked).await {
        Ok(person) => ask(server, &asked, &person, None).await,
        Err(answer) => *answer,
    }
}

pub(super) async fn decide(State(server): State<Arc<Server>>, request: Request) -> Answer {
    let (head, body) = request.into_parts();
    if !is_of_origin(&head.headers, server.issuer().origin()) {
        return served(foreign());
    }
    let form = match body::read(&head.headers, body, FORM).await {
        Ok(form) => Params::parse(&form),
        Err(fault) => return served(unreadable(fault)),
    };
    served(decided(&server, &head, &form).await)
}

async fn decided(server: &Server, head: &Parts, form: &Params) -> Response<Bytes> {
    let asked = match Asked::read(server, form, server.caller(head)).await {
        Ok(asked) => asked,
        Err(answer) => return *answer,
    };
    let person = match who(server, head, &asked).await {
        Ok(person) => person,
        Err(answer) => return *answer,
    };
    let seal = form.get("seal").unwrap_or_default();
    let now = server.clock().now().wall;
    let is_sealed = sealed(&asked, &person, |parts| server.seal.holds(seal, parts, now));
    if !is_sealed {
        return ask(server, &asked, &person, Some(AGAIN)).await;
    }
    match form.get("decision") {
        Some("allow") => {}
        Some("deny") => {
            let text = "the person has refused";
            return asked.back.with_error("access_denied", text);
        }
        _ => return unclear(),
    }
    let Some(access) = form
        .get("access")
        .and_then(|word| word.parse::<Access>().ok())
    else {
        return unclear();
    };
    let offer = match Offer::to(&person, &asked, server).await {
        Ok(offer) => offer,
        Err(error) => return refused(&error),
    };
    if access > offer.most {
        let text = "You may connect programs that look only. Nothing was connected.";
        return problem(StatusCode::FORBIDDEN, "Not allowed", text);
    }
    match server
        .vault()
        .consent(server, &asked, &person, &offer, access)
        .await
    {
        Ok(code) => {
            tracing::info!(
                client = asked.client.id().as_str(),
                owner = person.owner().as_str(),
                server = asked.place.server.as_str(),
                %access,
                "somebody allowed a program to be connected"
            );
            asked.back.with_code(&code)
        }
        Err(error) => refused(&error),
    }
}

/// Who makes the request; otherwise what they are answered.
async fn who(server: &Server, head: &Parts, asked: &Asked) -> Result<Person, Refusal> {
    let (authorize, sign_in) = (
        server.issuer().path(AUTHORIZE),
        server.issuer().path(SIGN_IN),
    );
    let fields = asked.fields();
    let query = encoded(fields.iter().map(|(name, value)| (*name, value.as_str())));
    let back = format!("{authorize}?{query}");
    let visit = Visit::new(head, &back, &sign_in, server.issuer().is_tls());
    match server.sign_in.who(&visit).await {
        Visitor::Known(person) => Ok(person),
        Visitor::Unknown(answer) => Err(answer.into()),
    }
}

async fn ask(
    server: &Server,
    asked: &Asked,
    person: &Person,
    notice: Option<&'static str>,
) -> Response<Bytes> {
    let offer = match Offer::to(person, asked, server).await {
        Ok(offer) => offer,
        Err(error) => return refused(&error),
    };
    let now = server.clock().now().wall;
    let seal = sealed(asked, person, |parts| server.seal.on(parts, now));
    let mut fields = asked.fields();
    fields.push(("seal", seal));
    server.sign_in.ask(&Question {
        asked,
        offer: &offer,
        person,
        action: server.issuer().path(AUTHORIZE),
        fields,
        notice,
    })
}

/// Everything that a seal is about.
fn sealed<T>(asked: &Asked, person: &Person, with: impl FnOnce(&[&str]) -> T) -> T {
    let fields = asked.fields();
    let mut parts = vec![person.owner().as_str(), person.session()];
    for (name, value) in &fields {
        parts.extend([*name, value.as_str()]);
    }
    with(&parts)
}

/// The page at which people sign in, where the sign-in has one.
pub(super) async fn sign_in(State(server): State<Arc<Server>>, request: Request) -> Answer {
    let (head, body) = request.into_parts();
    let is_form = head.method == http::Method::POST;
    if is_form && !is_of_origin(&head.headers, server.issuer().origin()) {
        return served(foreign());
    }
    let form = if is_form {
        match body::read(&head.headers, body, FORM).await {
            Ok(form) => Some(form),
            Err(fault) => return served(unreadable(fault)),
        }
    } else {
        None
    };
    let query = Params::parse(head.uri.query().unwrap_or_default().as_bytes());
    let authorize = format!("{}?", server.issuer().path(AUTHORIZE));
    // Nowhere else: a link to this page must not lead people astray once they have signed in.
    let Some(back) = query
        .get("back")
        .filter(|back| back.starts_with(&authorize))
    else {
        let text = "It does not say which program you want to connect.";
        return served(problem(
            StatusCode::BAD_REQUEST,
            "This link is broken",
            text,
        ));
    };
    let path = server.issuer().path(SIGN_IN);
    let visit = Visit::new(&head, back, &path, server.issuer().is_tls());
    let answer = server.sign_in.page(&visit, form.as_deref()).await;
    served(
        answer.unwrap_or_else(|| {
            problem(StatusCode::NOT_FOUND, "Not found", "Nobody signs in here.")
        }),
    )
}

/// The way to sign in, and back from there.
pub(super) fn to_sign_in(visit: &Visit<'_>) -> Response<Bytes> {
    see_other(&sign_in_place(visit))
}

pub(super) fn sign_in_place(visit: &Visit<'_>) -> String {
    let query = encoded([("back", visit.back())]);
    format!("{}?{query}", visit.sign_in_path())
}

fn refused(error: &Error) -> Response<Bytes> {
    match error.kind() {
        ErrorKind::Forbidden | ErrorKind::InvalidInput | ErrorKind::NotFound => {
            problem(StatusCode::FORBIDDEN, "Not allowed", &sentence(error))
        }
        _ => {
            tracing::error!(
                error = error as &dyn std::error::Error,
                "a program cannot be connected"
            );
            let text = "Your rights cannot be looked up at the moment. Try again in a while.";
            problem(StatusCode::SERVICE_UNAVAILABLE, "No answer", text)
        }
    }
}

/// An error as a sentence: it begins with a capital letter and ends with a full stop.
fn sentence(error: &Error) -> String {
    let text = error.to_string();
    let mut rest = text.chars();
    let first: String = rest
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .collect();
    let end = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{end}", rest.as_str())
}

fn foreign() -> Response<Bytes> {
    let text = "The form was not sent from the page that asked you.";
    problem(StatusCode::FORBIDDEN, "Not accepted", text)
}

fn unclear() -> Response<Bytes> {
    let text = "The form says neither yes nor no.";
    problem(StatusCode::BAD_REQUEST, "Not accepted", text)
}

fn unreadable(fault: Fault) -> Response<Bytes> {
    let (status, text) = match fault {
        Fault::OtherKind => (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "What was sent is no form.",
        ),
        Fault::TooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "The form is too large, or broke off.",
        ),
        Fault::TooSlow => (
            StatusCode::REQUEST_TIMEOUT,
            "The form did not arrive in time.",
        ),
    };
    problem(status, "Not accepted", text)
}
