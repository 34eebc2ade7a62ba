//! What each key does.
//!
//! # Record it
//!
//! The store keeps it beside the keys; any [`UsageSink`](crate::usage::UsageSink) will do. Write down the
//! rest when the process ends.
//!
//! ```
//! use axum::{Router, body::Body, routing::get};
//! use http::Request;
//! use mcp_api_keys::usage::{UsageDimension, UsageQuery, UsageStep};
//! use mcp_api_keys::{ApiKeys, Clock, NewKey, SystemClock, store::MemoryStore};
//! use std::time::Duration;
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = MemoryStore::new();
//! let keys = ApiKeys::builder(store.clone()).usage(store).build().await?;
//! let issued = keys.manager().issue(NewKey::named("ci-bot").server("files")).await?;
//! let app = Router::new().route("/", get(|| async { "hello" })).layer(keys.layer().server("files"));
//!
//! let bearer = format!("Bearer {}", issued.key().expose_secret());
//! for path in ["/", "/", "/nowhere"] {
//!     let request = Request::get(path).header("authorization", &bearer).body(Body::empty())?;
//!     app.clone().oneshot(request).await?;
//! }
//! keys.flush().await?; // it happens every five seconds by itself
//!
//! let now = SystemClock::new().now().wall;
//! let yesterday = now.saturating_sub(Duration::from_secs(86_400));
//! let query = UsageQuery::new(yesterday, now, UsageStep::Hour).of_key(issued.info().id);
//! let points = keys.manager().usage(&query).await?;
//! let requests: u64 = points.iter().map(|point| point.counts.requests).sum();
//! assert_eq!(requests, 3);
//!
//! let by_status = keys.manager().usage(&query.by(UsageDimension::Status)).await?;
//! assert!(by_status.iter().any(|point| point.label.as_deref() == Some("4xx")));
//! # Ok(())
//! # }
//! ```
//!
//! The gateway does so without being asked, and `mcp-keys usage` shows it.
//!
//! # What is counted
//!
//! * A request counts once, under the key that it was made with, if that is genuine: also one of a key that
//!   was revoked, disabled or has expired. A request without a genuine key counts in the sums over all, by
//!   the reason for which it was turned away.
//! * It counts when its answer begins, by the status of that; what follows in a stream is not waited for.
//!   A caller who goes before that counts as `cancelled`.
//! * A denial counts as such, whatever status says it: a tool that a key may not use is denied in an answer
//!   of 200 by default.
//! * An operation is the tool that a message of MCP calls, the method of one that calls none, `batch`, or
//!   the method of HTTP; [`operation`](crate::ApiKeyLayer::operation) names requests otherwise. A key has
//!   room for 64 names an hour in each process, the rest is `other`. So is a name that might hold a key.
//! * How long it took is measured for 64 requests of each thread in a twentieth of a second, and beyond
//!   that for one in sixteen, which counts for as many.
//!
//! # What it costs
//!
//! A request writes a few words into a queue of its thread. A task adds up what is in the queues each second;
//! every five seconds another writes the sums, at most 2,000 rows in a transaction. A process that is killed
//! loses what it has not written, which is five seconds' worth. While the store does not answer, up to
//! [`usage_rows`](crate::ApiKeysBuilder::usage_rows) different rows wait, and are written once when it does;
//! requests that would need more are left out, and [`usage_stats`](crate::ApiKeys::usage_stats) and one
//! line in the log say how many.
//!
//! What is told by the hour is kept for 30 days, by the day for 400
//! ([`usage_retention`](crate::ApiKeysBuilder::usage_retention)). A key's usage is removed when the key is
//! deleted, and kept when it is revoked.
//!
//! # See it as it happens
//!
//! A [`UsageObserver`](crate::usage::UsageObserver) is told about once a second of what was added up, and of
//! the addresses that keys were used from.
