//! Opening a database: the address, the settings of a session, the pools and the tables.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool, query_as, query_scalar};
use tokio::time::timeout;

use super::fault::{failed, late, not_opened, replica};
use super::lease::PATIENCE;
use super::migrate::migrate;
use crate::error::{Error, ErrorKind};

/// For lookups, lists and writes; one more is for the change log and one listens.
const CONNECTIONS: u32 = 10;

/// A connection that was idle for longer is tried before it is used.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// How long a connection that is tried may take to answer.
const TRIAL: Duration = Duration::from_millis(500);

/// What the server is told of each session. It ends what this program has given up or cannot end any
/// more: a statement, a transaction whose program died while it held the counter, a peer without a
/// word.
const SESSION: [(&str, &str); 6] = [
    ("statement_timeout", "5s"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "15s"),
];

/// The pools of a store, and the name under which its writes are announced.
pub(super) struct Pools {
    pub(super) main: PgPool,
    /// One connection, for the change log: whatever else the store has to do, a node reads it.
    pub(super) log: PgPool,
    pub(super) channel: String,
}

/// Opens the database at `url` and brings it up to date.
pub(super) async fn open(url: &str) -> Result<Pools, Error> {
    let options = parse(url)?
        .options(SESSION)
        // A float never comes up, and poolers refuse the setting.
        .extra_float_digits(None)
        .disable_statement_logging();

    // A pool would try again and again, and then say that it took too long.
    let first = timeout(PATIENCE, PgConnection::connect_with(&options));
    let first = first.await.map_err(|_| late())?.map_err(not_opened)?;
    drop(first.close().await);

    let main = pool(CONNECTIONS).connect_lazy_with(options);
    prepare(main).await
}

/// Brings the database behind `main` up to date.
pub(super) async fn prepare(main: PgPool) -> Result<Pools, Error> {
    check_durability(&main).await?;
    migrate(&main).await?;
    // Named after the schema that the tables are in: channels belong to the whole database.
    let channel = query_scalar(
        "SELECT 'mcp_api_keys_' || relnamespace::TEXT FROM pg_class
         WHERE oid = 'api_key_counter'::REGCLASS",
    );
    let channel = channel.fetch_one(&main).await.map_err(failed)?;
    let options = main.connect_options();
    let log = pool(1).connect_lazy_with(PgConnectOptions::clone(&options));
    Ok(Pools { main, log, channel })
}

fn parse(url: &str) -> Result<PgConnectOptions, Error> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(Error::invalid(
            "url",
            "must begin with postgres:// or postgresql://",
        ));
    }
    // The cause may quote the address, and with it the password.
    url.parse()
        .map_err(|_: sqlx::Error| Error::invalid("url", "cannot be read"))
}

/// The settings of a pool of the store's own.
pub(super) fn pool(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for <= TRUSTED_FOR {
                    return Ok(true);
                }
                let answer = timeout(TRIAL, connection.ping()).await;
                Ok(matches!(answer, Ok(Ok(()))))
            })
        })
}

/// Refuses a database that does not wait for its disk before it answers, and one that follows another.
async fn check_durability(pool: &PgPool) -> Result<(), Error> {
    let (synchronous_commit, fsync, is_replica): (String, String, bool) = query_as(
        "SELECT current_setting('synchronous_commit'), current_setting('fsync'),
                pg_is_in_recovery()",
    )
    .fetch_one(pool)
    .await
    .map_err(failed)?;
    if is_replica {
        return Err(replica());
    }
    if synchronous_commit == "off" {
        return Err(Error::invalid(
            "url",
            "must not use synchronous_commit=off: a crash of the server could bring a revoked key \
             back",
        ));
    }
    if fsync == "off" {
        tracing::warn!(
            "the key database runs with fsync=off: a crash of its machine can bring revoked keys back"
        );
    }
    Ok(())
}

/// An error that says that the tables are of another version of this crate.
pub(super) fn of_another_version(
    cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        "the key database is of another version of this crate",
    )
    .with_source(cause)
}
