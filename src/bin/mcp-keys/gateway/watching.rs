//! What tells of the keys while the gateway serves: alerts, webhooks, metrics.
//!
//! 1. Metrics have a listener of their own, which asks nobody for a key and answers to `GET /metrics`
//!    alone. The admin listener shows the same to keys with the scope `metrics:read`.
//! 2. The secret of webhooks stands in the environment, and no error repeats it or a URL.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use mcp_api_keys::ApiKeysBuilder;
use mcp_api_keys::alert::AlertSettings;
use mcp_api_keys::webhook::Webhook;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;

use super::Error;
use super::setting::{Merge, Setting};
use crate::setup;

/// The flags for it.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct WatchArgs {
    /// Whether keys are watched and alerts raised about them: on or off [default: on]
    #[arg(long, value_name = "on|off")]
    pub(super) alerts: Option<String>,

    /// URL to post events to, signed with MCP_KEYS_WEBHOOK_SECRET (repeatable)
    #[arg(long, value_name = "URL", hide_env_values = true)]
    pub(super) webhook: Vec<String>,

    /// Address of a listener that answers to GET /metrics, for Prometheus, without a key; the admin
    /// listener answers the same to keys with the scope metrics:read
    #[arg(long, value_name = "ADDR")]
    pub(super) metrics_listen: Option<String>,
}

/// The same in the file.
#[derive(Debug, Default)]
pub(super) struct WatchFields {
    pub(super) alerts: Option<String>,
    pub(super) webhook: Option<Vec<String>>,
    pub(super) metrics_listen: Option<String>,
}

/// What is to tell of the keys.
#[derive(Debug)]
pub(super) struct Watching {
    alerts: bool,
    webhooks: Vec<Webhook>,
    metrics: Option<Setting<SocketAddr>>,
}

impl Merge {
    pub(super) fn watching(&self, flags: WatchArgs, file: WatchFields) -> Result<Watching, Error> {
        let alerts = match self.pick("alerts", flags.alerts, file.alerts) {
            None => true,
            Some(alerts) => {
                let read = |text: &str| match text {
                    "on" => Ok(true),
                    "off" => Ok(false),
                    _ => Err("must be on or off"),
                };
                alerts.read(read)?.value
            }
        };
        let urls = self.pick_list("webhook", flags.webhook, file.webhook);
        let secret = if urls.is_empty() {
            None
        } else {
            setup::webhook_secret().map_err(Error::of_keys)?
        };
        let webhooks = urls.into_iter().map(|url| {
            let Some(secret) = secret.clone() else {
                return Err(url.wrong("needs a secret in MCP_KEYS_WEBHOOK_SECRET"));
            };
            let made = |text: &String| Webhook::new(text, secret);
            url.parse(made).map(|webhook| webhook.value)
        });
        let metrics = self.pick("metrics_listen", flags.metrics_listen, file.metrics_listen);
        let shape = "must be an address and a port such as 127.0.0.1:9090";
        let address = |text: &str| text.parse::<SocketAddr>().map_err(|_| shape);
        Ok(Watching {
            alerts,
            webhooks: webhooks.collect::<Result<_, _>>()?,
            metrics: metrics.map(|metrics| metrics.read(address)).transpose()?,
        })
    }
}

impl Watching {
    /// Sets up what tells of the keys. To be called before they are built. What shows the metrics is
    /// returned, if they are wanted on the admin listener or on their own.
    pub(super) async fn set_up(
        &self,
        builder: ApiKeysBuilder,
        store: &setup::Store,
        has_admin: bool,
    ) -> Result<(ApiKeysBuilder, Option<PrometheusHandle>), Error> {
        let mut builder = builder
            .alert_ledger(store.alerts())
            .letter_ledger(store.letters());
        if self.alerts {
            builder = builder.alerts(AlertSettings::default());
        }
        for webhook in &self.webhooks {
            builder = builder.webhook(webhook.clone());
        }
        if self.metrics.is_none() && !has_admin {
            return Ok((builder, None));
        }
        // There are counters and gauges alone, so nothing grows while nobody collects.
        let recorder = PrometheusBuilder::new().install_recorder();
        let handle = recorder.map_err(|error| Error::failed("metrics cannot be set up", error))?;
        if let Some(address) = &self.metrics {
            show_metrics(address, handle.clone()).await?;
        }
        Ok((builder.metrics(), Some(handle)))
    }
}

/// How long a collector may take for the head of a request.
const HEAD: Duration = Duration::from_secs(10);

async fn show_metrics(
    address: &Setting<SocketAddr>,
    handle: PrometheusHandle,
) -> Result<(), Error> {
    let listener = TcpListener::bind(address.value).await.map_err(|error| {
        let what = format!("{}: cannot listen on {}", address.name, address.value);
        Error::failed(what, error)
    })?;
    if let Ok(local) = listener.local_addr() {
        tracing::info!("metrics on http://{local}/metrics");
    }
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let handle = handle.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let answer = answer(&request, &handle);
                    async move { Ok::<_, Infallible>(answer) }
                });
                let mut builder = auto::Builder::new(TokioExecutor::new());
                builder
                    .http1()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD);
                let io = TokioIo::new(stream);
                let _ = builder.serve_connection(io, service).await;
            });
        }
    });
    Ok(())
}

/// How metrics are written.
pub(super) const METRICS: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

fn answer<B>(request: &Request<B>, handle: &PrometheusHandle) -> Response<Full<Bytes>> {
    let of = |status, text: String| {
        let mut answer = Response::new(Full::new(Bytes::from(text)));
        *answer.status_mut() = status;
        answer.headers_mut().insert(CONTENT_TYPE, METRICS);
        answer
    };
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => of(StatusCode::OK, handle.render()),
        (_, "/metrics") => of(StatusCode::METHOD_NOT_ALLOWED, String::new()),
        _ => of(StatusCode::NOT_FOUND, String::new()),
    }
}
