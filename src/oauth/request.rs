//! An authorization request, read and judged before anybody is asked anything.
//!
//! 1. Until client and redirect URI are known to belong together, nothing is sent anywhere: what is
//!    wrong is told on a page.
//! 2. Afterwards everything that is wrong is told to the client, with its `state`, and with `iss`
//!    (RFC 9207), so that it knows whom it hears it from.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};

use super::answer::{Refusal, see_other};
use super::client::{Client, Unfit};
use super::page::problem;
use super::params::Params;
use super::pkce;
use super::redirect;
use super::resource::{Place, Wanted};
use super::server::Server;

/// What of a request is sent on with forms and ways back.
const NAMES: [&str; 8] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "state",
    "code_challenge",
    "code_challenge_method",
    "resource",
    "scope",
];

/// A request that can be granted.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) client: Client,
    pub(super) back: Back,
    pub(super) challenge: String,
    pub(super) place: Arc<Place>,
    pub(super) wanted: Wanted,
}

/// Where the answer goes.
#[derive(Debug)]
pub(super) struct Back {
    pub(super) redirect_uri: String,
    pub(super) state: Option<String>,
    issuer: String,
}

impl Back {
    /// The code that was asked for.
    pub(super) fn with_code(&self, code: &str) -> Response<Bytes> {
        self.with([("code", code)])
    }

    /// Why there is none.
    pub(super) fn with_error(&self, code: &str, description: &str) -> Response<Bytes> {
        self.with([("error", code), ("error_description", description)])
    }

    fn with<'a>(&'a self, answer: impl IntoIterator<Item = (&'a str, &'a str)>) -> Response<Bytes> {
        let state = self.state.as_deref().map(|state| ("state", state));
        let rest = state.into_iter().chain([("iss", self.issuer.as_str())]);
        let answer = answer.into_iter().chain(rest);
        see_other(&redirect::with_answer(&self.redirect_uri, answer))
    }
}

impl Asked {
    /// Reads a request; otherwise gives what it is answered.
    pub(super) async fn read(
        server: &Server,
        params: &Params,
        from: Option<IpAddr>,
    ) -> Result<Self, Refusal> {
        let client = client(server, params, from).await?;
        let back = Back {
            redirect_uri: redirect_uri(&client, params)?,
            state: params.get("state").map(str::to_owned),
            issuer: server.issuer().as_str().to_owned(),
        };
        let wrong = |code: &str, text: &str| Err(back.with_error(code, text).into());
        if params.one("resource").is_err() {
            return wrong("invalid_target", "only one resource can be asked for");
        }
        if params.check_each_once().is_err() {
            return wrong("invalid_request", "a parameter is repeated");
        }
        match params.get("response_type") {
            Some("code") => {}
            None => return wrong("invalid_request", "response_type is missing"),
            Some(_) => return wrong("unsupported_response_type", "response_type must be code"),
        }
        if params
            .get("response_mode")
            .is_some_and(|mode| mode != "query")
        {
            return wrong("invalid_request", "response_mode must be query");
        }
        let Some(challenge) = params.get("code_challenge") else {
            return wrong(
                "invalid_request",
                "code_challenge is missing: PKCE is required",
            );
        };
        if params.get("code_challenge_method") != Some("S256") {
            return wrong("invalid_request", "code_challenge_method must be S256");
        }
        if !pkce::is_challenge(challenge) {
            return wrong("invalid_request", "code_challenge is no challenge of S256");
        }
        let Some(place) = server.place(params.get("resource")) else {
            return wrong("invalid_target", "the resource is missing or unknown");
        };
        let Some(wanted) = place.wanted(params.get("scope")) else {
            return wrong("invalid_scope", "a scope is not offered by this resource");
        };
        Ok(Self {
            challenge: challenge.to_owned(),
            client,
            back,
            place,
            wanted,
        })
    }

    /// The parameters by which the same is asked again.
    pub(super) fn fields(&self) -> Vec<(&'static str, String)> {
        let scope = self.wanted.text();
        let value = |name: &str| match name {
            "response_type" => Some("code"),
            "client_id" => Some(self.client.id().as_str()),
            "redirect_uri" => Some(self.back.redirect_uri.as_str()),
            "state" => self.back.state.as_deref(),
            "code_challenge" => Some(self.challenge.as_str()),
            "code_challenge_method" => Some("S256"),
            "resource" => Some(self.place.url.as_str()),
            _ => Some(scope.as_str()).filter(|scope| !scope.is_empty()),
        };
        let field = |name: &'static str| value(name).map(|value| (name, value.to_owned()));
        NAMES.into_iter().filter_map(field).collect()
    }
}

fn bad(text: &str) -> Refusal {
    problem(StatusCode::BAD_REQUEST, "This link is broken", text).into()
}

async fn client(server: &Server, params: &Params, from: Option<IpAddr>) -> Result<Client, Refusal> {
    let id = match params.one("client_id") {
        Ok(Some(id)) => id,
        Ok(None) => return Err(bad("It does not say which program asks.")),
        Err(_) => return Err(bad("It names the program that asks more than once.")),
    };
    let unknown = |unfit| match unfit {
        Unfit::Unknown => problem(
            StatusCode::BAD_REQUEST,
            "Unknown program",
            "The program that sent you here is not registered, or no longer. It has to register \
             again.",
        ),
        Unfit::Document(reason) => problem(
            StatusCode::BAD_REQUEST,
            "Unknown program",
            &format!("The document that describes the program cannot be used: {reason}."),
        ),
        Unfit::Unavailable => problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "No answer",
            "The program cannot be looked up at the moment. Try again in a while.",
        ),
    };
    let client = server.client(id, from).await;
    client.map_err(|unfit| unknown(unfit).into())
}

fn redirect_uri(client: &Client, params: &Params) -> Result<String, Refusal> {
    match params.one("redirect_uri") {
        Ok(Some(uri)) if redirect::is_registered(uri, client.redirect_uris()) => Ok(uri.to_owned()),
        Ok(Some(_)) => Err(bad(
            "It would send your answer to a place that the program has not registered.",
        )),
        Ok(None) => Err(bad("It does not say where your answer is to be sent.")),
        Err(_) => Err(bad(
            "It says more than once where your answer is to be sent.",
        )),
    }
}
