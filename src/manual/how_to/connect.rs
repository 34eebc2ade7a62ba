//! Let Claude connect to your MCP server (feature `oauth`).
//!
//! * [What people see](#what-people-see)
//! * [Around an rmcp server](#around-an-rmcp-server)
//! * [Through the gateway](#through-the-gateway)
//! * [From outside](#from-outside)
//! * [What a connection may do](#what-a-connection-may-do)
//! * [To see and end connections](#to-see-and-end-connections)
//! * [What each client was seen to do](#what-each-client-was-seen-to-do)
//! * [If it does not work](#if-it-does-not-work)
//!
//! # What people see
//!
//! They give the URL of the server to Claude, or to any other program that speaks OAuth, and nothing else.
//! The program opens a page of yours in their browser. There they sign in, read which program wants to use
//! which server with which rights, and allow it or deny it. Then the program is connected.
//!
//! What it holds from then on is a key of its own, of the kind that is called a connection: it belongs to the
//! person who allowed it, is listed, limited, watched and ended like any other key, and can do no more than
//! that person. Callers with keys go on as before, at the same URL.
//!
//! # Around an rmcp server
//!
//! [`OAuth`](crate::oauth::OAuth) says where the server is reached and what is to be had there. Its router
//! goes beside the server, its responder into the layer: that is what tells a program without a key where to
//! connect. `examples/oauth_server.rs` is the same as a program.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Router, body::Body};
//! use http::Request;
//! use mcp_api_keys::framework::axum::around;
//! use mcp_api_keys::framework::rmcp::read_only_tools;
//! use mcp_api_keys::layer::McpLayer;
//! use mcp_api_keys::oauth::{KeySignIn, OAuth, Resource};
//! use mcp_api_keys::{ApiKeys, store::MemoryStore};
//! use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
//! use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
//! use rmcp::{ServerHandler, tool, tool_handler, tool_router};
//! use tower::ServiceExt;
//!
//! struct Notes;
//!
//! #[tool_router]
//! impl Notes {
//!     #[tool(description = "Reads a note", annotations(read_only_hint = true))]
//!     async fn read_note(&self) -> String {
//!         "a note".to_owned()
//!     }
//! }
//!
//! #[tool_handler]
//! impl ServerHandler for Notes {}
//!
//! let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
//! // Whoever signs in does it with a key here, which belongs to somebody.
//! let first = keys.manager().bootstrap("ada".parse()?).await?;
//!
//! let oauth = OAuth::new(&keys, "https://mcp.example.com")?
//!     .resource(Resource::new("/mcp").server("notes").scopes(["notes:use"]).name("Notes"))
//!     .sign_in(KeySignIn::new(&keys))
//!     .build()?;
//!
//! let mcp = StreamableHttpService::new(
//!     || Ok(Notes),
//!     std::sync::Arc::new(LocalSessionManager::default()),
//!     StreamableHttpServerConfig::default().with_allowed_hosts(["mcp.example.com"]),
//! );
//! let tools = McpLayer::new().read_only_tools(read_only_tools(&Notes::tool_router().list_all()));
//! let layer = keys
//!     .layer()
//!     .server("notes")
//!     .require_scope("notes:use")?
//!     .responder(oauth.responder("/mcp")?)
//!     .with_mcp(tools);
//! let app = around(layer, Router::new().route_service("/mcp", mcp)).merge(oauth.router());
//!
//! // A program without a key is told where to read on, …
//! let request = Request::post("/mcp").header("host", "mcp.example.com").body(Body::empty())?;
//! let refused = app.clone().oneshot(request).await?;
//! assert_eq!(refused.status(), 401);
//! let place = "/.well-known/oauth-protected-resource/mcp";
//! let challenge = refused.headers()["www-authenticate"].to_str()?;
//! assert!(challenge.contains(&format!(r#"resource_metadata="https://mcp.example.com{place}""#)));
//!
//! // … and finds there who gives out connections.
//! let request = Request::get(place).header("host", "mcp.example.com").body(Body::empty())?;
//! let document = app.clone().oneshot(request).await?;
//! assert_eq!(document.status(), 200);
//! # let body = axum::body::to_bytes(document.into_body(), 10_000).await?;
//! # let document: serde_json::Value = serde_json::from_slice(&body)?;
//! # assert_eq!(document["authorization_servers"][0], "https://mcp.example.com");
//! # let _ = first;
//! # Ok(())
//! # }
//! ```
//!
//! If people sign in to your application already, implement [`SignIn`](crate::oauth::SignIn) instead of
//! handing out keys to sign in with: it says who is signed in, and nothing else.
//!
//! # Through the gateway
//!
//! For a server in any language, and without a line of code:
//!
//! ```text
//! mcp-keys bootstrap ada
//! mcp-keys serve --listen 127.0.0.1:8080 --route notes=http://127.0.0.1:9000 \
//!     --read-only-tool list_notes --read-only-tool read_note \
//!     --oauth --oauth-scope notes:use --public-url https://mcp.example.com --trusted-proxy 127.0.0.1
//! ```
//!
//! The URL to give to Claude is then `https://mcp.example.com/notes/mcp`. Each route is a resource of its own: a
//! connection to `/notes/mcp` opens that server and no other. With `--upstream` there is one, under `/mcp`, and
//! `--server` names it.
//!
//! | flag | |
//! |---|---|
//! | `--oauth` | programs may connect; people sign in with a key that has an owner |
//! | `--public-url URL` | where programs and browsers reach the gateway; without it that is the address that it listens on, which must be a loopback address |
//! | `--oauth-scope SCOPE` | a scope that programs may ask for, beside those of `--require-scope`, which every connection needs |
//! | `--oauth-client-documents claude.ai` | accept programs that are known by the URL of a document on this host, which the gateway fetches; `*` for any host |
//! | `--oauth-registration off` | do not let programs register themselves: then only those with such a document can connect |
//! | `--oauth-access-lifetime 15m` | how long a token is good for before the program has to renew it; an hour by default |
//! | `--oauth-refresh-lifetime 7d` | how long a connection that is not used stays; thirty days by default |
//!
//! Without `--oauth` none of it is there, and no challenge names a document. In the file of `--config` the
//! flags have underscores.
//!
//! Servers behind the gateway share its origin with the page on which people consent. So that none of them can
//! act there in a browser, their answers carry `Content-Security-Policy: sandbox` with `--oauth`; programs do not
//! heed it.
//!
//! # From outside
//!
//! *A program on the same machine*, such as Claude Code, gets along with `http://127.0.0.1:8080/mcp`.
//!
//! *Claude on the web, on a phone and in its desktop application* asks from servers of Anthropic, not from the
//! person's device. It needs a name that leads there from the internet, and TLS that the web trusts. Behind a
//! proxy pass on everything: `/mcp`, `/oauth/`, and `/.well-known/` too, which clients ask for at the root of
//! the host.
//!
//! *The name counts.* Clients compare what they were given with what the documents say, character by character.
//! Give them the URL that stands in `resource`, and set the issuer to the name that everybody uses: a server
//! that is known as `127.0.0.1` is another one than `localhost`.
//!
//! # What a connection may do
//!
//! At each request, what all of these allow:
//!
//! * the server that it was made for, and the scopes that the person consented to;
//! * read-only, unless an admin chose full access on the page. Members' connections are always read-only, and
//!   a read-only connection calls the tools that change nothing: name them, with
//!   [`read_only_tools`](crate::layer::McpLayer::read_only_tools) or `--read-only-tool`, or it can call none.
//!   A program may ask for full access, as the scope `access/full`: see [below](#more-than-reading);
//! * what its owner may do *now*. Whoever loses a role, a scope or a server loses it for all their connections
//!   at the next request.
//!
//! The key that somebody signs in with bounds what they can consent to. It must have an owner. Its rules for
//! tools and addresses hold for the connection as well, which ends no later than it does.
//!
//! ## More than reading
//!
//! Where denials are HTTP answers ([`DenialStyle::Http`](crate::layer::DenialStyle::Http), `--denial-style
//! http`), a read-only connection that calls a tool which writes is told to ask for more:
//!
//! ```text
//! HTTP/1.1 403 Forbidden
//! WWW-Authenticate: Bearer error="insufficient_scope", scope="notes:use access/full", resource_metadata="…"
//! ```
//!
//! Programs that step up send the person to the page again, which says that the program asks to look and
//! change, and prefers neither answer. Only an admin who may do that themselves is asked; where the owner
//! of the connection may not, now, there is no challenge, and a program that heeds challenges asks
//! nobody. If the person lets it only read again, it gets what it had, the call fails, and no client that was
//! tried asks again by itself for the same call. The metadata of the authorization server names the scope; that
//! of the resource does not, for a program that has been told nothing asks for all that stands there, and
//! the first question is no place for it.
//!
//! After a step-up the program holds another connection, and the one before stays until it ends by itself or is
//! [ended](#to-see-and-end-connections). It cannot be ended for the program: nothing in a request says what the
//! program holds already, and the same program on two devices of one person looks the same, above all
//! where it is known by a document and so has one id everywhere. A program that has no more use for a
//! connection gives it back by `/oauth/revoke`.
//!
//! # To see and end connections
//!
//! `mcp-keys connections`, the connections of the [admin page](super::admin_page), and
//! [`list`](crate::KeyManager::list) with a filter show who has connected what, since when, and when it was used
//! last. [`disconnect`](crate::KeyManager::disconnect), `mcp-keys disconnect KEY`, or a button end one: its token
//! is refused at the next request, its open streams end, and it cannot be renewed. What ends the owner or
//! takes the server from them ends it as well. A connection that is not used ends by itself.
//!
//! # What each client was seen to do
//!
//! Each was run by its own OAuth support, against the gateway, in `tests/clients/oauth.sh`: discovery,
//! registration, consent, a tool call and two renewals worked with all of them, and so did the document in
//! place of the registration. They differ in what they do later:
//!
//! | | comes back after its token has ended | one scope more is asked for, or full access | is disconnected |
//! |---|---|---|---|
//! | Python SDK 1.30 and 2.3 | asks the person again; it renews only while the process that got the token runs | asks the person again, for the old scopes and the new, and goes on | asks the person again |
//! | TypeScript SDK 1.32 | renews | renews, which gets it no more, then fails with 403: the program has to drop its tokens and connect again, which asks the person | asks the person again |
//! | TypeScript client 2.4 | renews | asks the person again, for the old scopes and the new, and goes on | asks the person again |
//!
//! *TypeScript SDK 1.32 does not step up*, whatever the challenge says. It reads scopes and metadata from it, but what it
//! does then is what it does for a token that has ended: it exchanges its refresh token wherever it has one, and uses
//! the scopes only if there is none and the person has to be asked. A renewal never widens what was granted, so the
//! same call gets the same challenge, which it takes for the end of the matter. A program on it drops its
//! tokens after such a 403 and connects as if for the first time; the page offers full access to an admin then, too,
//! though the program does not ask for it by name. Version 2.4 asks the person wherever it is told of a scope that it
//! does not hold.
//!
//! By default a denied call is an answer, and none of them does more than show it. A program that the person
//! has let in anew goes on with the session that it has.
//!
//! The pages were walked through in Chromium (`tests/browser/consent.mjs`): by mouse, by keyboard, without
//! script, on the width of a phone, in a frame of somebody else, where they do not show. The `authorization`
//! command of the official conformance suite, 0.2.0-alpha.12, finds no fault at any of its four revisions.
//!
//! Claude, ChatGPT and other products have not been run in these tests. What Claude documents of itself, that it
//! registers or uses a document, sends people back to `https://claude.ai/api/mcp/auth_callback`, and renews, is
//! what the clients above do.
//!
//! # If it does not work
//!
//! *The program says that it needs no sign-in, or asks for a token.* It got an answer without a challenge. The
//! responder is missing from the layer, or something in front answers 401 itself.
//!
//! *The program cannot find the server's metadata.* Something in front does not pass on `/.well-known/`. Ask as
//! the program does: `curl -i https://mcp.example.com/mcp`, then what stands in `resource_metadata`.
//!
//! *"Protected resource … does not match".* It was given another URL than the one in the document: another
//! name, another port, or a path below it.
//!
//! *The page says that the person may not use this server.* Their key, or they themselves, lack it: see
//! [owners](super::owners).
//!
//! *It is connected, and has no tools.* It is read-only, and no tool is known to change nothing.
