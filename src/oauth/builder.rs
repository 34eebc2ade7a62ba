//! Setting up an authorization server.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;

use super::document::{ClientDocuments, Documents};
use super::issuer::Issuer;
use super::metadata::OF_RESOURCE;
use super::register::{Registrar, Registration};
use super::resource::{FULL_ACCESS, Place, Resource, joined};
use super::router::router;
use super::seal::Seal;
use super::server::{Lifetimes, Server};
use super::sign_in::SignIn;
use crate::error::Error;
use crate::key::RateLimit;
use crate::keys::ApiKeys;
use crate::layer::StandardResponder;
use crate::limit::FailureLimiter;

/// How many documents of clients are fetched for one address.
const FETCHES_A_MINUTE: u32 = 30;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// An authorization server for MCP servers behind these keys. Cloning is cheap.
///
/// The [module](super) has an example.
#[derive(Clone, Debug)]
#[must_use]
pub struct OAuth {
    server: Arc<Server>,
}

/// Sets up [`OAuth`].
#[derive(Debug)]
#[must_use]
pub struct OAuthBuilder {
    keys: ApiKeys,
    issuer: Issuer,
    resources: Vec<Resource>,
    sign_in: Option<Arc<dyn SignIn>>,
    documents: Option<ClientDocuments>,
    registration: Option<Registration>,
    lifetimes: Lifetimes,
    seal: Seal,
}

impl OAuth {
    /// Starts to set up the authorization server at this URL: the address that people and programs
    /// reach this process by. It may have a path; then everything is served below that path, as it is
    /// asked for from outside, but for the well-known documents.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, if it is no URL of `https`, or of `http` at a loopback host.
    #[expect(
        clippy::new_ret_no_self,
        reason = "what is needed to go on is in the builder, which makes one"
    )]
    pub fn new(keys: &ApiKeys, issuer: &str) -> Result<OAuthBuilder, Error> {
        Ok(OAuthBuilder {
            keys: keys.clone(),
            issuer: Issuer::parse(issuer)?,
            resources: Vec::new(),
            sign_in: None,
            documents: None,
            registration: Some(Registration::new()),
            lifetimes: Lifetimes {
                access: Duration::from_secs(3_600),
                refresh: 30 * DAY,
                longest: Some(365 * DAY),
            },
            seal: Seal::random(),
        })
    }

    /// Metadata, pages and endpoints: to be merged into the router of the application, which serves
    /// the issuer's host. It must not stand behind the key layer.
    ///
    /// Serve with the peer's address
    /// (`into_make_service_with_connect_info::<SocketAddr>()`): what fails is counted by it.
    pub fn router(&self) -> Router {
        router(&self.server)
    }

    /// The standard answers for the layer in front of a resource: challenges tell programs that they
    /// can connect, and with what scopes. Keys work as ever.
    ///
    /// # Errors
    ///
    /// `NotFound`, if there is no resource at this path.
    pub fn responder(&self, path: &str) -> Result<StandardResponder, Error> {
        let path = path.trim_end_matches('/');
        let mut places = self.server.places.iter();
        let place = places.find(|place| place.path == path).ok_or_else(|| {
            let message = "there is no resource at this path";
            Error::new(crate::error::ErrorKind::NotFound, message)
        })?;
        let issuer = self.server.issuer();
        let metadata = issuer.well_known_path(OF_RESOURCE, &place.path);
        let responder = StandardResponder::new()
            .resource_metadata(format!("{}{metadata}", issuer.origin()))
            .full_access(FULL_ACCESS, &place.scopes);
        Ok(match place.defaults.as_slice() {
            [] => responder,
            scopes => responder.challenge_scope(joined(scopes, false)),
        })
    }
}

impl OAuthBuilder {
    /// Adds a server that programs can be connected to.
    pub fn resource(mut self, resource: Resource) -> Self {
        self.resources.push(resource);
        self
    }

    /// Says how people sign in: with a key, by [`KeySignIn`](super::KeySignIn), or as your application
    /// has it.
    pub fn sign_in(mut self, sign_in: impl SignIn) -> Self {
        self.sign_in = Some(Arc::new(sign_in));
        self
    }

    /// Takes programs that are known by a document on their own site. Off by default.
    pub fn client_documents(mut self, documents: ClientDocuments) -> Self {
        self.documents = Some(documents);
        self
    }

    /// Lets programs register themselves like this. On by default, within the bounds that
    /// [`Registration`] has by default.
    pub fn registration(mut self, registration: Registration) -> Self {
        self.registration = Some(registration);
        self
    }

    /// Lets no program register itself. Those that have may go on.
    pub fn without_registration(mut self) -> Self {
        self.registration = None;
        self
    }

    /// Sets how long an access token lives, and how long a connection may be left unused. Default: an
    /// hour, and 30 days.
    pub fn lifetimes(mut self, access: Duration, refresh: Duration) -> Self {
        self.lifetimes.access = access;
        self.lifetimes.refresh = refresh;
        self
    }

    /// Sets how long after consent a connection ends, however much it is used; nothing for never.
    /// Default: 365 days.
    pub fn longest(mut self, time: Option<Duration>) -> Self {
        self.lifetimes.longest = time;
        self
    }

    /// Sets the secret that consent forms are sealed with: at least 32 bytes, the same for all
    /// processes that serve the issuer. Default: one of this process alone, so that a form has to be
    /// answered where it was shown.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, if it is too short.
    pub fn secret(mut self, secret: &[u8]) -> Result<Self, Error> {
        self.seal = Seal::shared(secret)?;
        Ok(self)
    }

    /// Puts it together.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, if there is no resource or no sign-in, if two resources have the same path or
    /// the same server, or if a setting makes no sense.
    pub fn build(self) -> Result<OAuth, Error> {
        let sign_in = self
            .sign_in
            .ok_or_else(|| Error::invalid("sign_in", "must be given"))?;
        let mut places: Vec<Arc<Place>> = Vec::new();
        for resource in self.resources {
            let place = resource.at(&self.issuer)?;
            let is_taken =
                |known: &Arc<Place>| known.path == place.path || known.server == place.server;
            if places.iter().any(is_taken) {
                let message = "must have a path and a server of its own";
                return Err(Error::invalid("resource", message));
            }
            places.push(Arc::new(place));
        }
        if places.is_empty() {
            return Err(Error::invalid("resource", "must be given"));
        }
        let Lifetimes {
            access,
            refresh,
            longest,
        } = self.lifetimes;
        let fits = (SECOND..=DAY).contains(&access) && (access..=366 * DAY).contains(&refresh);
        if !fits || longest.is_some_and(|longest| longest < access) {
            let message = "must be a second to a day for access tokens, that of refresh tokens no \
                           shorter and at most 366 days, and the longest no shorter";
            return Err(Error::invalid("lifetimes", message));
        }
        let server = Server {
            keys: self.keys,
            issuer: self.issuer,
            places,
            sign_in,
            seal: self.seal,
            documents: self.documents.map(Documents::new).transpose()?,
            registrar: self.registration.map(Registrar::new).transpose()?,
            fetches: FailureLimiter::new(&RateLimit::per_minute(FETCHES_A_MINUTE)),
            lifetimes: self.lifetimes,
        };
        Ok(OAuth {
            server: Arc::new(server),
        })
    }
}
