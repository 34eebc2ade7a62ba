//! The gateway: the key layer in front of MCP servers in any language.
//!
//! A request reaches a server only with a key that may use that server, and without the key.
//!
//! 1. Who is calling stands in the `X-MCP-Key-…` headers; whatever a caller wrote there is removed.
//! 2. A key is held to its own rules: the tools, prompts and resources that it may use, whether it
//!    may only read, whether its requests must be signed. [`rules`] tells what can be set.
//! 3. Both directions are passed on as they come, and no stream is ended by a clock; a caller that
//!    hangs up ends the request at the server as well. What is read before it is passed on: an MCP
//!    message (JSON in a POST), the body of a signed request, a list that a key may see part of.
//! 4. The server's answer is passed on unchanged, but for the headers that belong to one
//!    connection, and for a `Location` or `Content-Location` that names the server, which is
//!    rewritten to where callers find that place. If the server fails before its answer begins,
//!    the caller gets a 502.
//! 5. What cannot be understood at the start ends the start, with the setting's name.
//! 6. No key, path or query is logged. A request with a key in its query is refused.
//!
//! The keys themselves are managed on an address of its own, if one is given: see [`admin`]. Programs can
//! be let connect without anybody handing them a key: see [`oauth`].
//!
//! The way of a request: [`listen`] accepts the connection, [`hosts`] looks at the name that was
//! asked for, [`route`] picks the server, the crate's layers ask for the key and hold it to its rules,
//! [`proxy`] passes the request on.

mod admin;
mod answers;
mod body;
mod config;
mod connect;
mod formats;
mod headers;
mod hosts;
mod listen;
mod location;
mod oauth;
mod places;
mod proxy;
mod query;
mod route;
mod rules;
mod setting;
mod tls;
mod together;
mod upstream;
mod watching;

use std::fmt;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use mcp_api_keys::ErrorKind;

use self::admin::Admin;
use self::config::Config;
use self::listen::{Place, Taken};
use self::oauth::OAuthArgs;
use self::route::Gateway;
use self::rules::RuleArgs;
use self::together::SharedArgs;
use self::watching::WatchArgs;
use crate::setup;

/// What `serve` understands. Everything can stand in the file of `--config` as well, under the
/// flag's name with underscores; what is given as a flag wins.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct ServeArgs {
    /// Address to listen on, such as 127.0.0.1:8080
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,

    /// Address to serve the admin page on, and the admin API under /api/v1; a port alone is on
    /// 127.0.0.1 [default: not served]
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<String>,

    /// The one MCP server, served under /mcp; the URL's path, if it has one, replaces /mcp
    #[arg(long, value_name = "URL", conflicts_with = "route")]
    upstream: Option<String>,

    /// One MCP server of several, served under /NAME/mcp to keys for the server NAME (repeatable)
    #[arg(long, value_name = "NAME=URL", conflicts_with = "server")]
    route: Vec<String>,

    /// Name of the one server; without it only keys for all servers pass
    #[arg(long, value_name = "NAME")]
    server: Option<String>,

    /// Scope that a key needs (repeatable: all of them)
    #[arg(long, value_name = "SCOPE")]
    require_scope: Vec<String>,

    /// Accept keys of another format as well, as `create --format FORMAT --prefix PREFIX` writes
    /// them: default, plain or segmented (repeatable)
    #[arg(long, value_name = "FORMAT=PREFIX")]
    accept_format: Vec<String>,

    /// Accept keys in the path as well: /mcp/KEY or /NAME/mcp/KEY
    #[arg(long)]
    path_keys: bool,

    /// Network of a proxy in front, whose word on the caller's address counts (repeatable)
    #[arg(long, value_name = "NET")]
    trusted_proxy: Vec<String>,

    /// Header in which trusted proxies name the caller [default: X-Forwarded-For]
    #[arg(long, value_name = "NAME")]
    client_ip_header: Option<String>,

    /// Name under which the gateway may be asked for, with or without a port; * for any
    /// (repeatable) [default: on a loopback address without TLS and proxy its own names, elsewhere
    /// any]
    #[arg(long, value_name = "HOST")]
    allowed_host: Vec<String>,

    #[command(flatten)]
    rules: RuleArgs,

    #[command(flatten)]
    oauth: OAuthArgs,

    #[command(flatten)]
    shared: SharedArgs,

    #[command(flatten)]
    watching: WatchArgs,

    /// Certificate chain for TLS, a PEM file
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,

    /// Private key of the certificate, a PEM file
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,

    /// Authority that certificates of https servers may come from, beside those that the web
    /// trusts: a PEM file (repeatable)
    #[arg(long, value_name = "FILE")]
    upstream_ca: Vec<PathBuf>,

    /// File with settings, in TOML
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ServeArgs {
    /// Whether the settings make sense, asked before anything is opened or made.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`], naming the setting that does not.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let config = Config::load(self.clone())?;
        config.tls.as_ref().map(tls::acceptor).transpose()?;
        tls::towards_servers(&config.upstream_ca)?;
        Ok(())
    }
}

/// How often changes are looked for that other processes made in the store.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

/// How long the end may wait for the last uses of keys to be written down.
const FLUSH: Duration = Duration::from_secs(3);

/// Serves until the process is told to end.
///
/// # Errors
///
/// [`Error::Usage`], if a setting makes no sense; [`Error::Failed`], if the store does not answer
/// or the address cannot be used.
pub(crate) async fn serve(args: ServeArgs, store: &setup::Store) -> Result<(), Error> {
    log_to_stderr();
    let config = Config::load(args)?;
    let acceptor = config.tls.as_ref().map(tls::acceptor).transpose()?;
    let kept = match &config.shared {
        Some(shared) => shared.announce(store.any()),
        None => store.any(),
    };
    let mut builder = setup::builder(kept)
        .map_err(Error::of_keys)?
        .client_ip(config.client_ip.clone())
        .usage(store.sink())
        .poll_interval(FOLLOW_EVERY);
    for accepted in &config.formats {
        builder = builder.accept_format(accepted.format.clone());
    }
    if let Some(shared) = &config.shared {
        shared.check().await?;
        builder = shared.limit(builder);
    }
    let watching = config
        .watching
        .set_up(builder, store, config.admin_listen.is_some());
    let (builder, metrics) = watching.await?;
    let keys = builder.build().await.map_err(Error::of_keys)?;
    let address = Taken::take(&config.listen).await?;
    let gateway = Place {
        service: Gateway::new(&config, &keys, address.local())?,
        address,
        word: "listening",
    };
    let admin = match &config.admin_listen {
        Some(address) => Some(Place {
            address: Taken::take(address).await?,
            service: Admin::new(&config, &keys, metrics),
            word: "admin",
        }),
        None => None,
    };
    let served = listen::run(gateway, admin, acceptor).await;
    let flushed = tokio::time::timeout(FLUSH, keys.flush()).await;
    match flushed.map_err(|_| "the store did not answer in time") {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the last uses of keys were not written down"),
        Err(error) => tracing::warn!(error, "the last uses of keys were not written down"),
    }
    served
}

/// A program that has set up logging already keeps what it has.
fn log_to_stderr() {
    use tracing_subscriber::EnvFilter;

    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("warn,mcp_keys=info,mcp_api_keys=info"));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
}

/// Why the gateway does not serve.
#[derive(Debug)]
pub(crate) enum Error {
    /// A setting makes no sense; the text names it.
    Usage(String),
    /// The world does not play along.
    Failed {
        what: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// What the process ends with.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Failed { .. } => 1,
        }
    }

    fn of_keys(error: mcp_api_keys::Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidInput => Self::Usage(error.to_string()),
            _ => Self::failed("the keys cannot be read", error),
        }
    }

    fn failed(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Failed {
            what: what.into(),
            source: source.into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) => f.write_str(text),
            Self::Failed { what, .. } => f.write_str(what),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Usage(_) => None,
            Self::Failed { source, .. } => Some(&**source),
        }
    }
}
