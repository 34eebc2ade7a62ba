//! Seeing what happens: logs, events, alerts, webhooks, metrics, traces.
//!
//! * [Logs](#logs)
//! * [Events](#events)
//! * [Alerts](#alerts)
//! * [Webhooks](#webhooks)
//! * [Metrics](#metrics)
//! * [OpenTelemetry](#opentelemetry)
//!
//! No secret is in any of these: no part of a key beyond its public handle, no webhook secret, no path
//! of a request. Metrics hold no key ids either.
//!
//! # Logs
//!
//! The crate writes events of `tracing`. What a person should see is `warn` or `error`: a store or a limiter
//! that went away (once, and once when it is back), usage that is dropped, alerts under the target
//! `mcp_api_keys::alert`. At `debug` there is one event for each refused request, "request turned away":
//!
//! | field | holds |
//! |---|---|
//! | `code` | the code of the answer, such as `invalid_api_key` |
//! | `kind` | the reason, which the answer may not tell, such as `WrongSecret` |
//! | `client` | the caller's address, if it is known |
//! | `key` | the id of the key, if it is a genuine one |
//!
//! Admitted requests leave no event. At `debug` each decision is a span, `api_key`, of the target
//! `mcp_api_keys`: it begins when a key is looked for, holds what is asked of the store and the slow hash,
//! and ends before the request goes on.
//!
//! | field | holds |
//! |---|---|
//! | `server` | the name of the server that the layer stands before, if it has one |
//! | `handle` | the public handle of the key, if the request is let through |
//! | `key` | the id of the key, if it is a genuine one |
//! | `outcome` | `allowed`, or the kind of the rejection, such as `wrong_secret` |
//!
//! Where nothing listens at `debug`, it costs the comparison of two numbers. The
//! [`Rejection`](crate::Rejection) stands in the extensions of a refused request's answer.
//!
//! # Events
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use mcp_api_keys::event::Heard;
//! use mcp_api_keys::{ApiKeys, store::MemoryStore};
//!
//! let store = MemoryStore::new();
//! let keys = ApiKeys::builder(store.clone()).usage(store).build().await?;
//! let mut events = keys.events();
//! tokio::spawn(async move {
//!     while let Some(heard) = events.next().await {
//!         match heard {
//!             Heard::Event(event) => println!("{} {:?}", event.data.kind(), event.data.key()),
//!             Heard::Missed(count) => eprintln!("{count} events were missed"),
//!         }
//!     }
//! });
//! # Ok(())
//! # }
//! ```
//!
//! [`EventData::KINDS`](crate::event::EventData::KINDS) lists all types. What requests meet with is told where
//! [`usage`](crate::ApiKeysBuilder::usage) is recorded.
//!
//! # Alerts
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use mcp_api_keys::alert::{AlertRequest, AlertSettings};
//! use mcp_api_keys::{ApiKeys, store::MemoryStore};
//!
//! let store = MemoryStore::new();
//! let keys = ApiKeys::builder(store.clone())
//!     .usage(store.clone())
//!     .alert_ledger(store)
//!     .alerts(AlertSettings::default().spike(10, 500))
//!     .build()
//!     .await?;
//! for alert in keys.manager().alerts(&AlertRequest::latest(20).open()).await? {
//!     println!("{}: {}", alert.key, alert.message());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Each process judges what it sees itself. If every node is to tell its alerts, all are told of a key that
//! is misused at all of them; if one is enough, set it up on one node, through which all traffic goes or
//! whose share says enough.
//!
//! # Webhooks
//!
//! With the feature `webhooks`, [`Webhook`](crate::webhook::Webhook) posts events to a URL. A receiver
//! verifies the signature over the raw body with any library of [Standard
//! Webhooks](https://www.standardwebhooks.com), refuses timestamps that are more than five minutes off, and
//! remembers ids, because a message may come twice. A secret is made by
//! `echo "whsec_$(openssl rand -base64 32)"`.
//!
//! Messages that were tried in vain are kept by this process, until it ends, or in a store:
//!
//! ```
//! # #[cfg(feature = "webhooks")]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use mcp_api_keys::webhook::Webhook;
//! use mcp_api_keys::{ApiKeys, store::MemoryStore};
//!
//! let store = MemoryStore::new();
//! let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse()?;
//! let keys = ApiKeys::builder(store.clone())
//!     .webhook(Webhook::new("https://hooks.example/keys", secret)?)
//!     .letter_ledger(store)
//!     .build()
//!     .await?;
//! for letter in keys.manager().dead_letters(20).await?.letters {
//!     println!("{}: {}", letter.at, letter.reason);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Metrics
//!
//! With the feature `metrics`, install a recorder of the [`metrics`](https://docs.rs/metrics) facade, then
//! build the keys with [`metrics`](crate::ApiKeysBuilder::metrics). [`meter`](crate::meter) lists what
//! there is. `mcp-keys serve --metrics-listen 127.0.0.1:9090` answers to `GET /metrics` in the text format of
//! Prometheus; nobody is asked for a key there, so listen where only the collector reaches. The listener
//! of `--admin-listen` answers the same to keys with the scope `metrics:read`.
//! `dashboards/mcp-api-keys.json` is a dashboard for Grafana over these metrics.
//!
//! # OpenTelemetry
//!
//! The crate knows `tracing` and `metrics` only, and both have bridges:
//!
//! * traces and logs: a subscriber with `tracing-opentelemetry`, or `opentelemetry-appender-tracing` for the
//!   events. Put a trace layer (that of `tower-http`, or `axum-tracing-opentelemetry`) *outside* the key
//!   layer: its span is then the parent of `api_key`, which a filter such as `info,mcp_api_keys=debug` lets
//!   through, and shows how much of a request's time the decision took, and who was let through or why
//!   not. The path of a request may hold a key if you accept
//!   [keys in the path](super#keys-in-the-path): record the matched route instead of the path there.
//! * metrics: let the collector scrape `/metrics` (its `prometheus` receiver), or install a recorder such as
//!   `metrics-exporter-opentelemetry`.
