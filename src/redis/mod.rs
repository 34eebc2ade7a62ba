//! What several processes share over Redis or Valkey (feature `redis`).
//!
//! One [`Redis`] gives four things, each of which works without the others:
//!
//! * [`RedisLimiter`] counts the rate limits of keys for all processes together, exactly.
//! * [`RedisReplayGuard`] takes each signature once, whichever process it reaches.
//! * [`RedisQuotaLedger`] counts quotas, which otherwise are counted in the store.
//! * [`Announced`] and [`ChangeChannel`] tell processes that share a store that it has changed.
//!
//! ```no_run
//! use mcp_api_keys::limit::{OutageMode, SharedLimits};
//! use mcp_api_keys::redis::Redis;
//! use mcp_api_keys::{ApiKeys, SignedRequestLayer, store::MemoryStore};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let redis = Redis::connect("redis://127.0.0.1/").await?;
//! let limits = SharedLimits::new(redis.limiter()).outage(OutageMode::LocalFallback);
//! let keys = ApiKeys::builder(MemoryStore::new()).shared_limits(limits).build().await?;
//!
//! let signing = SignedRequestLayer::required().replay_guard(redis.replay_guard());
//! let layer = keys.layer().server("files").with_signing(signing);
//! # let _ = layer;
//! # Ok(())
//! # }
//! ```
//!
//! # What holds
//!
//! 1. Redis 5 or later, or any Valkey: one server, or a name that leads to the one that takes writes. This
//!    client speaks to one address. It asks no Sentinel and follows no `MOVED` of a cluster: those need
//!    something in front of them, see
//!    [shared limits](crate::manual::how_to::shared_limits#sentinel-and-cluster). The entries of one key have
//!    its id as their hash tag, so they stand together in a cluster.
//! 2. Every decision is one script, run by the server, on the server's clock. How the clocks of the
//!    processes stand does not matter.
//! 3. A call takes 50 ms at most ([`patience`](Redis::patience)). When one gets no answer, the following
//!    ones fail at once, and the server is looked for twice a second in the background. Who may pass
//!    meanwhile is a setting of each of the first three; words of changes are lost.
//! 4. Names hold the key's id and the name of a limit or quota, or the digest of a signature; values hold
//!    numbers. A word of a change says nothing but that there was one. No part of a secret ever reaches
//!    Redis.
//! 5. Everything expires by itself: a limit when its whole burst is there again, a signature when it is
//!    too old to pass, a quota two months after its last use.
//! 6. Redis forgets when it is emptied, when it evicts, and what it has not yet written when it crashes.
//!    A limit that is forgotten starts afresh, a signature passes once more. Set `maxmemory-policy
//!    noeviction`.

mod announced;
mod channel;
mod limiter;
mod link;
mod quotas;
mod replay;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::{Client, ConnectionAddr, IntoConnectionInfo, RedisError, TlsCertificates};

pub use self::announced::Announced;
pub use self::channel::ChangeChannel;
pub use self::limiter::RedisLimiter;
use self::link::{Link, Terms};
pub use self::quotas::RedisQuotaLedger;
pub use self::replay::RedisReplayGuard;
use crate::error::{Error, ErrorKind};
use crate::key::KeyId;
use crate::store::KeyStore;

/// A server of Redis or Valkey. Clones share one connection.
#[derive(Clone)]
#[must_use]
pub struct Redis {
    link: Arc<Link>,
    prefix: Arc<str>,
    terms: Terms,
}

impl Redis {
    /// The server at `url`: `redis://`, `rediss://` (TLS) or `redis+unix://`, such as
    /// `redis://user:password@host:6379/0`. Connects when it is first asked.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, if that is no such URL. The error does not repeat it.
    pub fn open(url: &str) -> Result<Self, Error> {
        let invalid = |error: RedisError| {
            Error::invalid("redis", "must be a URL such as redis://127.0.0.1:6379")
                .with_source(error)
        };
        let info = url.into_connection_info().map_err(invalid)?;
        if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            // Somebody has to choose one. If somebody has, that is as well.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        Client::open(info).map(Self::over).map_err(invalid)
    }

    /// [`open`](Self::open), for a server whose certificate comes from one of these authorities, in PEM,
    /// instead of those that the web trusts.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, as `open`, if the URL is not one of `rediss://`, or if there is no certificate.
    pub fn open_trusting(url: &str, authorities: &[u8]) -> Result<Self, Error> {
        // For what is wrong with the URL itself.
        let redis = Self::open(url)?;
        let addr = redis.link.client().get_connection_info().addr();
        if !matches!(addr, ConnectionAddr::TcpTls { .. }) {
            return Err(Error::invalid(
                "redis",
                "must be a URL of rediss:// to have authorities",
            ));
        }
        let begins = b"-----BEGIN CERTIFICATE-----";
        let certificates = TlsCertificates {
            client_tls: None,
            root_cert: Some(authorities.to_vec()),
        };
        match Client::build_with_tls(url, certificates) {
            Ok(client) if authorities.windows(begins.len()).any(|run| run == begins) => {
                Ok(Self::over(client))
            }
            outcome => {
                let error = Error::invalid("authorities", "must be certificates in PEM");
                Err(match outcome {
                    Ok(_) => error,
                    Err(cause) => error.with_source(cause),
                })
            }
        }
    }

    fn over(client: Client) -> Self {
        Self {
            link: Arc::new(Link::new(client)),
            prefix: PREFIX.into(),
            terms: Terms {
                patience: PATIENCE,
                trial: trial(PREFIX),
            },
        }
    }

    /// [`open`](Self::open), then [`check`](Self::check).
    ///
    /// # Errors
    ///
    /// Those of both.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        let redis = Self::open(url)?;
        redis.check().await?;
        Ok(redis)
    }

    /// Begins all names in Redis with `prefix`. Default: `mcp-keys:`. Processes that are to share
    /// something begin them alike, others differently.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, if it holds a brace: what is between braces decides the place in a cluster.
    pub fn prefix(mut self, prefix: &str) -> Result<Self, Error> {
        if prefix.contains(['{', '}']) {
            return Err(Error::invalid("prefix", "must not contain braces"));
        }
        self.prefix = prefix.into();
        self.terms.trial = trial(prefix);
        Ok(self)
    }

    /// Sets how long a call may take. Default: 50 ms.
    pub fn patience(mut self, duration: Duration) -> Self {
        self.terms.patience = duration;
        self
    }

    /// Connects, and looks whether the server is one that can be used.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, if it refuses the user or the password, or is older than Redis 5;
    /// `Unavailable`, if it does not answer or takes no writes.
    pub async fn check(&self) -> Result<(), Error> {
        let terms = Terms {
            patience: FIRST_PATIENCE,
            ..self.terms.clone()
        };
        let mut connection = self.link.look(&terms).await.map_err(|error| {
            if error.kind() == redis::ErrorKind::AuthenticationFailed
                || error.code() == Some("NOAUTH")
            {
                let message = "refuses the user or the password";
                return Error::invalid("redis", message).with_source(error);
            }
            Error::new(ErrorKind::Unavailable, "Redis does not answer").with_source(error)
        })?;
        let mut info = redis::cmd("INFO");
        let info = info.arg("server").query_async::<String>(&mut connection);
        // Who may not ask for it may still use it.
        let Ok(Ok(info)) = tokio::time::timeout(FIRST_PATIENCE, info).await else {
            return Ok(());
        };
        match version(&info) {
            Some(major) if major < OLDEST => Err(Error::invalid(
                "redis",
                "must be Redis 5 or later, or Valkey",
            )),
            _ => Ok(()),
        }
    }

    /// Whether the server answered when it was last asked.
    pub fn is_answering(&self) -> bool {
        !self.link.is_down()
    }

    /// Counts rate limits: for
    /// [`ApiKeysBuilder::shared_limits`](crate::keys::ApiKeysBuilder::shared_limits).
    pub fn limiter(&self) -> RedisLimiter {
        RedisLimiter::new(self.clone())
    }

    /// Remembers signatures: for
    /// [`SignedRequestLayer::replay_guard`](crate::layer::SignedRequestLayer::replay_guard).
    pub fn replay_guard(&self) -> RedisReplayGuard {
        RedisReplayGuard::new(self.clone())
    }

    /// Counts quotas: for
    /// [`ApiKeysBuilder::quota_ledger`](crate::keys::ApiKeysBuilder::quota_ledger).
    pub fn quota_ledger(&self) -> RedisQuotaLedger {
        RedisQuotaLedger::new(self.clone())
    }

    /// Announces what is written to `store`, and hears of what others announce.
    pub fn announcing<S: KeyStore>(&self, store: S) -> Announced<S> {
        Announced::over(self.clone(), store)
    }

    /// Rings when others [announce](Self::announcing) a write: for
    /// [`ApiKeysBuilder::change_bell`](crate::keys::ApiKeysBuilder::change_bell).
    pub fn change_channel(&self) -> ChangeChannel {
        ChangeChannel::of(self.clone())
    }

    /// The name of something that belongs to a key.
    fn name(&self, key: KeyId, kind: &str, which: &str) -> String {
        format!("{}{{{key}}}:{kind}:{which}", self.prefix)
    }
}

const PREFIX: &str = "mcp-keys:";

/// How long a call may take by default.
const PATIENCE: Duration = Duration::from_millis(50);

/// How long an answer may take where no request waits for it.
const FIRST_PATIENCE: Duration = Duration::from_secs(2);

/// The oldest version of Redis whose scripts may write after they have read the time.
const OLDEST: u32 = 5;

fn trial(prefix: &str) -> Arc<str> {
    format!("{prefix}trial").into()
}

/// The major version in the answer to `INFO server`. Valkey tells the version of Redis that it is like.
fn version(info: &str) -> Option<u32> {
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("redis_version:"))?;
    line.split('.').next()?.parse().ok()
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("link", &self.link)
            .field("prefix", &self.prefix)
            .field("patience", &self.terms.patience)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_are_none_are_refused_and_no_password_is_shown() {
        for url in [
            "",
            "127.0.0.1",
            "http://127.0.0.1",
            "redis://h/x",
            "redis://:hunter2@h:x",
        ] {
            let error = Redis::open(url).unwrap_err();
            assert_eq!(error.field(), Some("redis"), "{url}");
            assert!(!format!("{error:?} {error}").contains("hunter2"));
        }
        let redis = Redis::open("redis://ada:hunter2@localhost:7000/3").unwrap();
        assert!(Redis::open_trusting("redis://localhost", b"").is_err());
        let wrong = Redis::open_trusting("rediss://localhost", b"nothing").unwrap_err();
        assert_eq!(wrong.field(), Some("authorities"));
        let shown = format!("{redis:?}");
        assert!(
            shown.contains("localhost:7000") && !shown.contains("hunter2"),
            "{shown}"
        );
    }

    #[test]
    fn names_hold_the_id_of_the_key_as_their_hash_tag() {
        let redis = Redis::open("redis://h").unwrap().prefix("a:").unwrap();
        let key = KeyId::from_u128(7);
        assert_eq!(
            redis.name(key, "limit", "hour"),
            format!("a:{{{key}}}:limit:hour")
        );
        assert!(redis.prefix("a{b}").is_err());
    }

    #[test]
    fn the_version_is_read_from_the_servers_words() {
        assert_eq!(
            version("# Server\r\nredis_version:7.0.15\r\nos:x\r\n"),
            Some(7)
        );
        assert_eq!(version("redis_version:4.0.1"), Some(4));
        assert_eq!(version("# Server"), None);
    }
}
