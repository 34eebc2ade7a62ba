//! What every command needs before it can work: the store, and the peppers of the environment.
//!
//! 1. A store that this program cannot open is named with what it can open.
//! 2. `MCP_KEYS_PEPPER` is `ID:HEX`, at least 32 bytes in hexadecimal digits;
//!    `MCP_KEYS_PREVIOUS_PEPPERS` holds any number of them, separated by commas. No error repeats
//!    them. `MCP_KEYS_SESSION_SECRET` is at least 16 bytes in such digits. A secret stands in the
//!    environment because command lines are for everybody to read.
//! 3. With `MCP_KEYS_REDIS`, what a command writes is announced there. It waits a second for that at
//!    most, and succeeds without.

use std::time::Duration;

use mcp_api_keys::alert::AlertLedger;
use mcp_api_keys::redis::Redis;
use mcp_api_keys::store::{KeyStore, LetterLedger, PostgresStore, SqliteStore};
use mcp_api_keys::usage::UsageSink;
use mcp_api_keys::webhook::WebhookSecret;
use mcp_api_keys::{ApiKeys, ApiKeysBuilder, Error, Pepper};
use zeroize::Zeroizing;

const PEPPER: &str = "MCP_KEYS_PEPPER";
const PREVIOUS: &str = "MCP_KEYS_PREVIOUS_PEPPERS";
const SESSIONS: &str = "MCP_KEYS_SESSION_SECRET";
const REDIS: &str = "MCP_KEYS_REDIS";

/// How long a command waits until its change is announced. Its connection is made for it.
const ANNOUNCE: Duration = Duration::from_secs(1);
const WEBHOOKS: &str = "MCP_KEYS_WEBHOOK_SECRET";

/// A store that was opened by its URL.
#[derive(Clone, Debug)]
pub(crate) enum Store {
    Postgres(PostgresStore),
    Sqlite(SqliteStore),
}

impl Store {
    /// Opens the store at `url`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` naming `store` or `url`, if there can be no such store; otherwise as
    /// [`SqliteStore::connect`] and [`PostgresStore::connect`].
    pub(crate) async fn open(url: &str) -> Result<Self, Error> {
        match check(url)? {
            Scheme::Postgres => PostgresStore::connect(url).await.map(Self::Postgres),
            Scheme::Sqlite => SqliteStore::connect(url).await.map(Self::Sqlite),
        }
    }

    /// The store for whatever works on any.
    pub(crate) fn any(&self) -> Box<dyn KeyStore> {
        match self {
            Self::Postgres(store) => Box::new(store.clone()),
            Self::Sqlite(store) => Box::new(store.clone()),
        }
    }

    /// The store for what keys were used for.
    pub(crate) fn sink(&self) -> Box<dyn UsageSink> {
        match self {
            Self::Postgres(store) => Box::new(store.clone()),
            Self::Sqlite(store) => Box::new(store.clone()),
        }
    }

    /// The store for what looks wrong about keys.
    pub(crate) fn alerts(&self) -> Box<dyn AlertLedger> {
        match self {
            Self::Postgres(store) => Box::new(store.clone()),
            Self::Sqlite(store) => Box::new(store.clone()),
        }
    }

    /// The store for messages that were given up.
    pub(crate) fn letters(&self) -> Box<dyn LetterLedger> {
        match self {
            Self::Postgres(store) => Box::new(store.clone()),
            Self::Sqlite(store) => Box::new(store.clone()),
        }
    }

    /// Closes it. What was done is committed; a log that could not be moved into a SQLite file is
    /// read when that is opened again.
    pub(crate) async fn close(&self) {
        match self {
            Self::Postgres(store) => store.close().await,
            Self::Sqlite(store) => drop(store.close().await),
        }
    }
}

/// The store, whose changes are announced over the Redis of the environment, if there is one.
///
/// # Errors
///
/// `InvalidInput` naming the variable, if it holds no URL of Redis.
pub(crate) fn announced(store: Box<dyn KeyStore>) -> Result<Box<dyn KeyStore>, Error> {
    let Some(url) = variable(REDIS)? else {
        return Ok(store);
    };
    let shape = "must be a URL such as redis://127.0.0.1:6379";
    // The cause may repeat it, and with it a password.
    let redis = Redis::open(&url).map_err(|_| Error::invalid(REDIS, shape))?;
    Ok(Box::new(redis.patience(ANNOUNCE).announcing(store)))
}

/// Starts to wire up the keys in `store`, with the peppers of the environment.
///
/// # Errors
///
/// `InvalidInput` naming the variable that cannot be read.
pub(crate) fn builder(store: impl KeyStore) -> Result<ApiKeysBuilder, Error> {
    let mut builder = ApiKeys::builder(store);
    if let Some(text) = variable(PEPPER)? {
        builder = builder.pepper(pepper(&text, PEPPER)?);
    }
    if let Some(texts) = variable(PREVIOUS)? {
        for text in texts.split(',') {
            builder = builder.previous_pepper(pepper(text.trim(), PREVIOUS)?);
        }
    }
    Ok(builder)
}

/// What gateways with the same sessions have in common, if the environment says it.
///
/// # Errors
///
/// `InvalidInput` naming the variable, if it cannot be read or is too short.
pub(crate) fn session_secret() -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    match variable(SESSIONS)? {
        Some(digits) => secret(&digits).map(Some),
        None => Ok(None),
    }
}

/// What webhooks are signed with, if the environment says it.
///
/// # Errors
///
/// `InvalidInput` naming the variable, if it cannot be read.
pub(crate) fn webhook_secret() -> Result<Option<WebhookSecret>, Error> {
    let read = |text: Zeroizing<String>| {
        let secret = text.parse::<WebhookSecret>();
        secret.map_err(|error| error.in_field(WEBHOOKS))
    };
    variable(WEBHOOKS)?.map(read).transpose()
}

fn secret(digits: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    const SHAPE: &str = "must be at least 32 hexadecimal digits";
    let secret = bytes(digits).filter(|secret| secret.len() >= 16);
    secret.ok_or_else(|| Error::invalid(SESSIONS, SHAPE))
}

/// Which stores there are.
#[derive(Debug)]
enum Scheme {
    Postgres,
    Sqlite,
}

/// A URL may hold a password, so no more than its scheme is repeated.
fn check(url: &str) -> Result<Scheme, Error> {
    let refused = |what: String| Err(Error::invalid("store", what));
    match url.split_once(':') {
        Some(("sqlite", rest)) if rest.contains(":memory:") || rest.contains("mode=memory") => {
            refused("a store in memory ends with the command; give sqlite://PATH or postgres://HOST/DATABASE".to_owned())
        }
        Some(("sqlite", _)) => Ok(Scheme::Sqlite),
        Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => Ok(Scheme::Postgres),
        Some((scheme, rest)) if rest.starts_with("//") => refused(format!(
            "this program cannot open {scheme}:// stores; give sqlite://PATH or postgres://HOST/DATABASE"
        )),
        _ => refused("not a store's URL; give sqlite://PATH or postgres://HOST/DATABASE".to_owned()),
    }
}

/// The value of a variable; one that is empty counts as none.
fn variable(name: &'static str) -> Result<Option<Zeroizing<String>>, Error> {
    match std::env::var(name) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(Zeroizing::new(value))),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(Error::invalid(name, "must be text")),
    }
}

fn pepper(text: &str, variable: &'static str) -> Result<Pepper, Error> {
    const SHAPE: &str = "must be ID:HEX, a name and at least 64 hexadecimal digits";
    let (id, digits) = text
        .rsplit_once(':')
        .ok_or_else(|| Error::invalid(variable, SHAPE))?;
    let secret = bytes(digits).ok_or_else(|| Error::invalid(variable, SHAPE))?;
    Pepper::new(id, &secret).map_err(|error| Error::invalid(variable, SHAPE).with_source(error))
}

fn bytes(digits: &str) -> Option<Zeroizing<Vec<u8>>> {
    let nibble = |digit: u8| char::from(digit).to_digit(16);
    // Room for all of them, so that growing leaves no copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(digits.len() / 2));
    for pair in digits.as_bytes().chunks(2) {
        let [high, low] = pair else { return None };
        bytes.push(u8::try_from(nibble(*high)? << 4 | nibble(*low)?).ok()?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_stores_that_can_be_opened_and_last_are_accepted() {
        for url in [
            "sqlite:keys.db",
            "sqlite:///var/lib/keys.db",
            "postgres://gate@db/keys",
            "postgresql:///keys",
        ] {
            assert!(check(url).is_ok(), "{url}");
        }
        for url in [
            "",
            "keys.db",
            "sqlite::memory:",
            "sqlite://x?mode=memory",
            "SQLITE:x",
            "postgres:keys",
        ] {
            assert!(check(url).is_err(), "{url}");
        }
        let error = check("mysql://ada:hunter2@db/keys").unwrap_err();
        assert!(error.to_string().contains("mysql://"), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn a_session_secret_is_at_least_16_bytes() {
        assert_eq!(secret(&"0f".repeat(16)).unwrap().len(), 16);
        for wrong in [
            "",
            "0f",
            &"0f".repeat(15),
            &"0g".repeat(16),
            &"0".repeat(33),
        ] {
            let error = secret(wrong).unwrap_err();
            assert_eq!(error.field(), Some(SESSIONS));
            assert!(!error.to_string().contains("0f0f"), "{error}");
        }
    }

    #[test]
    fn a_pepper_is_a_name_and_at_least_32_bytes() {
        let good = format!("2026:{}", "0f".repeat(32));
        assert_eq!(pepper(&good, PEPPER).unwrap().id(), "2026");
        let named_with_colon = format!("a:b:{}", "0F".repeat(40));
        assert_eq!(pepper(&named_with_colon, PEPPER).unwrap().id(), "a:b");
        for wrong in [
            "",
            "2026",
            &"0f".repeat(32),
            &format!("2026:{}", "0f".repeat(31)),
            &format!("2026:{}0", "0f".repeat(32)),
            &format!("2026:{}", "0g".repeat(32)),
            &format!(":{}", "0f".repeat(32)),
        ] {
            let error = pepper(wrong, PEPPER).unwrap_err();
            assert_eq!(error.field(), Some(PEPPER));
            assert!(!error.to_string().contains("0f0f"), "{error}");
        }
    }
}
