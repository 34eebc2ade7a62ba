//! What several gateways share over Redis: rate limits, the signatures that were used, and word of what was
//! changed in the store.
//!
//! 1. A URL that is none, and a server that refuses the user or the password, end the start. A server that
//!    does not answer is no reason not to serve: it may come later.
//! 2. No error repeats the URL, which may hold a password.

use std::path::PathBuf;
use std::time::Duration;

use mcp_api_keys::limit::{OutageMode, SharedLimits};
use mcp_api_keys::redis::Redis;
use mcp_api_keys::store::KeyStore;
use mcp_api_keys::{ApiKeysBuilder, ErrorKind};

use super::Error;
use super::setting::{Merge, Setting};

/// The flags for it.
#[derive(Clone, Default, clap::Args)]
pub(crate) struct SharedArgs {
    /// Redis or Valkey that counts rate limits, and with --sign-replay-guard remembers signatures, for
    /// all gateways that name it, such as redis://:password@10.0.0.7:6379. What others change in the store
    /// is heard of over it at once, if they name it too (other commands: MCP_KEYS_REDIS)
    #[arg(
        long,
        value_name = "URL",
        env = "MCP_KEYS_REDIS",
        hide_env_values = true
    )]
    pub(super) redis: Option<String>,

    /// Whom the limits let pass while Redis does not answer: local (each gateway counts for itself),
    /// open (everybody) or closed (nobody) [default: local]
    #[arg(long, value_name = "MODE")]
    pub(super) redis_outage: Option<String>,

    /// Take from Redis for up to so many requests of a busy key at once, and spend them here within 100 ms.
    /// Saves round trips; for a moment N gateways may admit N times that too many or too few [default:
    /// each request by itself, exactly]
    #[arg(long, value_name = "REQUESTS")]
    pub(super) redis_batch: Option<u32>,

    /// Authority that the certificate of a rediss:// server comes from, instead of those that the web
    /// trusts: a PEM file
    #[arg(long, value_name = "FILE")]
    pub(super) redis_ca: Option<PathBuf>,
}

/// The same in the file.
#[derive(Default)]
pub(super) struct SharedFields {
    pub(super) redis: Option<String>,
    pub(super) redis_batch: Option<u32>,
    pub(super) redis_ca: Option<PathBuf>,
    pub(super) redis_outage: Option<String>,
}

/// What is shared.
#[derive(Debug)]
pub(super) struct Shared {
    redis: Setting<Redis>,
    outage: OutageMode,
    batch: u32,
}

/// How long what was taken for several requests is kept.
const HOLD: Duration = Duration::from_millis(100);

impl Merge {
    pub(super) fn shared(
        &self,
        flags: SharedArgs,
        file: SharedFields,
    ) -> Result<Option<Shared>, Error> {
        let redis = self.pick("redis", flags.redis, file.redis);
        let outage = self.pick("redis_outage", flags.redis_outage, file.redis_outage);
        let batch = self.pick("redis_batch", flags.redis_batch, file.redis_batch);
        let authority = self.pick("redis_ca", flags.redis_ca, file.redis_ca);
        let Some(redis) = redis.filter(|redis| !redis.value.is_empty()) else {
            const ALONE: &str = "means nothing without --redis";
            return match (outage, batch, authority) {
                (Some(outage), ..) => Err(outage.wrong(ALONE)),
                (None, Some(batch), _) => Err(batch.wrong(ALONE)),
                (None, None, Some(authority)) => Err(authority.wrong(ALONE)),
                (None, None, None) => Ok(None),
            };
        };
        let shape = "must be a URL such as redis://127.0.0.1:6379 or rediss://";
        let redis = match authority {
            None => redis.parse(|url| Redis::open(url).map_err(|_| shape))?,
            Some(authority) => {
                let read = authority.parse(|file| {
                    std::fs::read(file)
                        .map_err(|error| format!("{} cannot be read: {error}", file.display()))
                })?;
                redis.parse(|url| match Redis::open_trusting(url, &read.value) {
                    Ok(redis) => Ok(redis),
                    Err(error) if error.field() == Some("redis") => {
                        Err("must be a URL of rediss:// to go with --redis-ca".to_owned())
                    }
                    Err(_) => Err(format!("{} holds no certificates in PEM", read.name)),
                })?
            }
        };
        let outage = match outage {
            Some(outage) => outage.read(mode)?.value,
            None => OutageMode::default(),
        };
        let batch = match batch {
            Some(batch) if batch.value == 0 => return Err(batch.wrong("must be at least 1")),
            Some(batch) => batch.value,
            None => 1,
        };
        Ok(Some(Shared {
            redis,
            outage,
            batch,
        }))
    }
}

impl Shared {
    /// Looks whether the server is there.
    pub(super) async fn check(&self) -> Result<(), Error> {
        match self.redis.value.check().await {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                let text = error.to_string();
                let reason = text.strip_prefix("invalid redis: ").unwrap_or(&text);
                Err(self.redis.wrong(reason))
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(
                    %error,
                    cause,
                    "serving without Redis until it answers; limits are {}",
                    self.outage
                );
                Ok(())
            }
        }
    }

    pub(super) fn limit(&self, builder: ApiKeysBuilder) -> ApiKeysBuilder {
        let limits = SharedLimits::new(self.redis.value.limiter());
        builder.shared_limits(limits.outage(self.outage).batches(self.batch, HOLD))
    }

    /// The store, with word of its changes.
    pub(super) fn announce(&self, store: Box<dyn KeyStore>) -> Box<dyn KeyStore> {
        Box::new(self.redis.value.announcing(store))
    }

    pub(super) fn redis(&self) -> &Redis {
        &self.redis.value
    }
}

fn mode(text: &str) -> Result<OutageMode, &'static str> {
    text.parse().map_err(|_| "must be local, open or closed")
}

impl std::fmt::Debug for SharedArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedArgs").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(redis: &str, outage: &str) -> Result<Option<Shared>, Error> {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let flags = SharedArgs {
            redis: some(redis),
            redis_outage: some(outage),
            redis_batch: None,
            redis_ca: None,
        };
        Merge { path: None }.shared(flags, SharedFields::default())
    }

    #[test]
    fn a_wrong_setting_is_named_and_no_password_repeated() {
        assert!(shared("", "").unwrap().is_none());
        let mode = |outage| shared("redis://h", outage).unwrap().unwrap().outage;
        assert_eq!(mode(""), OutageMode::LocalFallback);
        assert_eq!(mode("closed"), OutageMode::Closed);
        for (redis, outage, begins) in [
            ("http://:hunter2@h", "", "--redis: must be a URL"),
            ("redis://:hunter2@h/x", "", "--redis: must be a URL"),
            (
                "redis://h",
                "shut",
                "--redis-outage: \"shut\" must be local",
            ),
            ("", "open", "--redis-outage: means nothing"),
        ] {
            let error = shared(redis, outage).unwrap_err().to_string();
            assert!(error.starts_with(begins), "{begins}: {error}");
            assert!(!error.contains("hunter2"));
        }
        let batch = |redis: Option<&str>, batch| {
            let flags = SharedArgs {
                redis: redis.map(str::to_owned),
                redis_batch: Some(batch),
                ..SharedArgs::default()
            };
            let shared = Merge { path: None }.shared(flags, SharedFields::default());
            shared.map(|shared| shared.unwrap().batch)
        };
        assert_eq!(batch(Some("redis://h"), 20).unwrap(), 20);
        for (redis, size, begins) in [
            (Some("redis://h"), 0, "--redis-batch: must be at least 1"),
            (None, 5, "--redis-batch: means nothing"),
        ] {
            let error = batch(redis, size).unwrap_err().to_string();
            assert!(error.starts_with(begins), "{begins}: {error}");
        }
        let shown = format!("{:?}", shared("redis://:hunter2@h", "").unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
