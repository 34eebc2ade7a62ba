//! The admin API: every act of the manager as HTTP and JSON.
//!
//! 1. Who calls is established by the crate's own layer, from a key in `Authorization: Bearer` or
//!    `X-API-Key`. There is nothing a browser would send along by itself: no cookie is read.
//! 2. A key does what its scopes say, as far as its owner's role goes, and gives nobody more than
//!    it has itself: see [`rights`](super::rights).
//! 3. An act that has begun is finished, also if the caller hangs up.
//! 4. What is wrong with a request is said in one shape, with the field at fault. No answer repeats
//!    what may be a secret. Bad input is never a 5xx.
//! 5. No answer may be kept by a cache. A key in clear stands in the answers that make one, and
//!    nowhere else.
//! 6. The document at `/openapi.json` is made from the handlers, and names every answer there is.

mod alerts;
mod answer;
mod asked;
mod audit;
mod browser;
mod bulk;
mod caller;
mod choice;
mod connections;
mod document;
mod etag;
mod fault;
mod idempotency;
mod key_acts;
mod keys;
mod links;
mod me;
mod owners;
mod plans;
#[cfg(any(test, feature = "testing"))]
mod probe;
mod read;
mod routes;
mod schema;
mod shown;
mod usage;
mod webhooks;

use std::sync::Arc;

use axum::Router;

use self::browser::Origins;
use self::idempotency::Ledger;
#[cfg(any(test, feature = "testing"))]
pub(crate) use self::probe::read_as_each;
use crate::error::Error;
use crate::keys::ApiKeys;

/// The admin API over a set of keys, as an axum router to nest anywhere.
///
/// ```
/// use axum::Router;
/// use axum::body::Body;
/// use http::Request;
/// use mcp_api_keys::{ApiKeys, NewKey, admin::AdminApi, store::MemoryStore};
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
/// let issued = keys.manager().issue(NewKey::named("admin").scope("keys:*")?).await?;
///
/// let app: Router = Router::new().nest("/api/v1", AdminApi::new(&keys).into_router());
///
/// let bearer = format!("Bearer {}", issued.key().expose_secret());
/// let list = Request::get("/api/v1/keys").header("authorization", bearer).body(Body::empty())?;
/// assert_eq!(app.clone().oneshot(list).await?.status(), 200);
///
/// let without = Request::get("/api/v1/keys").body(Body::empty())?;
/// assert_eq!(app.oneshot(without).await?.status(), 401);
/// # Ok(())
/// # }
/// ```
///
/// Serve it over TLS, or on a loopback address: the answers that make a key hold it in clear. For
/// the addresses in the audit trail, and for rules on addresses, serve with the peer's address, as
/// for [every layer](crate::framework::axum).
///
/// # Scopes
///
/// | scope | what it lets a key do |
/// |---|---|
/// | `keys:admin` | act on all keys, if its owner is an admin or it has none; without it, on its owner's alone |
/// | `keys:read` | list and read keys and connections |
/// | `keys:write` | make, change, rotate and withdraw them |
/// | `owners:read`, `owners:write` | read and define owners |
/// | `plans:read`, `plans:write` | read and define plans |
/// | `usage:read` | read how keys were used |
/// | `audit:read` | read the trail of acts |
/// | `alerts:read` | read what looks wrong about keys, and which webhook messages were given up |
/// | `alerts:write` | acknowledge alerts |
///
/// `keys:*` grants the three that begin so. A `*` grants all of them to a key for all servers; to a
/// key for some servers it grants everything *there*, and nothing here. A read-only key reads. Any
/// key in force may ask `/me` who it is, and end itself; with full access it may rotate itself.
///
/// `owners:write` and `plans:write` reach every key of an owner or plan. Give them as you would give
/// `*`.
#[derive(Clone, Debug)]
#[must_use]
pub struct AdminApi {
    keys: ApiKeys,
    origins: Origins,
}

impl AdminApi {
    /// The API over these keys.
    pub fn new(keys: &ApiKeys) -> Self {
        Self {
            keys: keys.clone(),
            origins: Origins::default(),
        }
    }

    /// Lets pages of `origin`, such as `https://admin.example.com`, call the API, beside pages of the
    /// host that it is asked under. They need a CORS layer outside the router as well.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, if `origin` is not a scheme, a host and perhaps a port.
    pub fn allow_origin(mut self, origin: &str) -> Result<Self, Error> {
        self.origins.allow(origin)?;
        Ok(self)
    }

    /// The router. Its paths begin with `/`; [nest](Router::nest) it where it is to be, by convention
    /// under `/api/v1`.
    pub fn into_router(self) -> Router {
        let office = Arc::new(Office {
            keys: self.keys,
            made: Ledger::default(),
        });
        routes::router(office, self.origins)
    }

    /// The OpenAPI document, of version 3.1 and as JSON, of an API that is nested under `prefix`, such
    /// as `/api/v1`. The router serves it under `/openapi.json`.
    pub fn document(prefix: &str) -> String {
        document::written(prefix)
    }
}

/// What every handler works with.
#[derive(Debug)]
struct Office {
    keys: ApiKeys,
    made: Ledger,
}
