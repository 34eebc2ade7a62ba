//! Connections by OAuth (feature `oauth`): a program is connected with a click, on a key of its own.
//!
//! Claude, ChatGPT and other MCP clients that speak OAuth reach a server behind the layer without
//! anybody pasting a key. A person signs in, is asked once, and the program is given tokens. Each
//! connection is a key of its owner: listed, limited, watched and cut like any other.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Router, body::Body, routing::post};
//! use http::Request;
//! use mcp_api_keys::oauth::{KeySignIn, OAuth, Resource};
//! use mcp_api_keys::{ApiKeys, store::MemoryStore};
//! use tower::ServiceExt;
//!
//! let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
//! let oauth = OAuth::new(&keys, "https://mcp.example.com")?
//!     .resource(Resource::new("/mcp").server("files").scopes(["files:read", "files:write"]))
//!     .sign_in(KeySignIn::new(&keys))
//!     .build()?;
//!
//! let layer = keys.layer().server("files").responder(oauth.responder("/mcp")?);
//! let app: Router = Router::new()
//!     .route("/mcp", post(|| async { "pong" }).layer(layer))
//!     .merge(oauth.router());
//!
//! // A program that comes without a token is told where to begin.
//! let request = Request::post("/mcp").body(Body::empty())?;
//! let refused = app.clone().oneshot(request).await?;
//! let challenge = refused.headers()["www-authenticate"].to_str()?;
//! let metadata = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp";
//! assert!(challenge.contains(&format!("resource_metadata=\"{metadata}\"")));
//!
//! let request = Request::get("/.well-known/oauth-protected-resource/mcp").body(Body::empty())?;
//! assert_eq!(app.oneshot(request).await?.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! It speaks what the MCP revisions 2025-11-25 and 2026-07-28 ask for: OAuth 2.1 with codes and PKCE,
//! metadata of the resource (RFC 9728) and of the authorization server (RFC 8414), the `resource`
//! parameter (RFC 8707), `iss` in answers (RFC 9207), registration (RFC 7591), revocation (RFC 7009)
//! and Client ID Metadata Documents.
//!
//! 1. A connection does no more than was asked for, than the person consented to, than their role lets
//!    connections do, and than they may do themselves at present: at each request. Full access is for
//!    admins to choose; the connections of all others are read-only.
//! 2. An access token is a secret of the connection's key, in the crate's own format, verified by the
//!    same gate. It opens the one server that it was asked for.
//! 3. Nothing is sent to a redirect URI that the client has not registered, to the byte; the port of a
//!    loopback address alone may differ.
//! 4. Codes live for a minute and are spent by whoever presents them. One that is presented again ends
//!    the connection that was made from it. PKCE is required, by `S256`.
//! 5. A refresh token is good once. One that is presented again ends the connection.
//! 6. Nobody consents unseen: the form comes from the page, was sealed for this person, session and
//!    question, and the page cannot be framed. It shows the host that a program is known by and the
//!    place where the answer goes, not only the name that the program has given itself.
//! 7. What strangers may fill has bounds: registered programs, documents, attempts by address.
//!
//! # Full access
//!
//! `access/full` stands among the scopes for the right to change things. A connection that may only read
//! and is refused for that is told by the challenge to ask for it, beside the scopes that it has, if its
//! owner may let programs do more at present; otherwise there is no challenge, and nobody is asked in vain.
//! Where a program asks for it, the page says so and leaves the choice to the person, who has to make it;
//! whoever may not give it gives what they may. It is granted no sooner than that: an admin chooses, at the
//! moment of consent and by a key that may do as much.
//!
//! It is not a [`Scope`](crate::key::Scope), which has no slash in it. So no resource can offer one of that
//! name, no layer require it and no key hold it: keys and their scopes have nothing to do with it.
//!
//! # Client documents
//!
//! With [`client_documents`](OAuthBuilder::client_documents) a client's id may be an `https` URL, at
//! which a document describes it. Strangers name that URL, so this process asks
//!
//! * hosts by name only, and only where all addresses of the name are of the public internet: not
//!   itself, no private, link-local, carriers' or otherwise reserved network, in IPv4 or IPv6, nor an
//!   IPv6 address that stands for such an IPv4 address. It connects to the addresses that were judged;
//! * without following redirects, for three seconds and 16 KiB at most, eight documents at a time and
//!   30 a minute for one address.
//!
//! # What is left to you
//!
//! The router belongs outside the key layer, on the host that the issuer names. Where several
//! processes serve it, give all of them the same [`secret`](OAuthBuilder::secret), and keep a person on
//! one of them while they sign in: the sessions of [`KeySignIn`] are in the process that began them.
//! Codes, registered programs and tokens are in the store, and good everywhere.

mod answer;
mod authorize;
mod body;
mod builder;
mod client;
mod consent;
mod document;
mod issuer;
mod key_sign_in;
mod metadata;
mod page;
mod params;
mod pkce;
mod redirect;
mod register;
mod request;
mod resource;
mod revoke;
mod router;
mod seal;
mod server;
mod sign_in;
mod token;
mod vault;

pub use self::builder::{OAuth, OAuthBuilder};
pub use self::consent::Question;
pub use self::document::{ClientDocuments, FetchDocument, FetchFault, Fetched};
pub use self::key_sign_in::KeySignIn;
pub use self::page::ConsentPage;
pub use self::register::Registration;
pub use self::resource::Resource;
pub use self::sign_in::{Person, SignIn, Visit, Visitor};
