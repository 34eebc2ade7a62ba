//! A connection for as long as a call takes.
//!
//! A pool hands a connection back only after it has answered once more, and waits for that without
//! end. A peer that went away without a word would keep the connection, and its place in the pool,
//! for a quarter of an hour. So the way back is bounded here: a connection that stays silent is
//! closed, and so are those that lie idle beside it and are as silent. A call that was given up
//! halfway takes the same way, and its transaction is rolled back on it.

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Executor, PgConnection, PgPool, Postgres};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::fault::{failed, is_of_a_replica, late};
use crate::error::Error;

/// How long a call may take, its wait for a connection included.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How long a connection may stay silent before it is given up.
const SILENCE: Duration = Duration::from_secs(1);

/// Gives up a call that takes too long.
pub(super) async fn bounded<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    timeout(PATIENCE, call)
        .await
        .unwrap_or_else(|_| Err(late()))
}

/// A connection that goes back to its pool when it is dropped.
pub(super) struct Lease {
    connection: Option<PoolConnection<Postgres>>,
    pool: PgPool,
    /// Closed rather than handed back unless it has answered: for a pool of one, whose next user
    /// must not wait for the way back.
    beside: Option<PgPool>,
    /// Whether a transaction may have begun and not ended.
    in_transaction: bool,
}

impl Lease {
    pub(super) async fn of(pool: &PgPool) -> Result<Self, Error> {
        let connection = pool.acquire().await.map_err(failed)?;
        Ok(Self::over(connection, pool))
    }

    /// A connection of `pool` that is closed unless it [has answered](Self::has_answered). If it has
    /// not, those of `others` are tried too.
    pub(super) async fn impatient(pool: &PgPool, others: &PgPool) -> Result<Self, Error> {
        let mut lease = Self::of(pool).await?;
        lease.beside = Some(others.clone());
        Ok(lease)
    }

    fn over(connection: PoolConnection<Postgres>, pool: &PgPool) -> Self {
        Self {
            connection: Some(connection),
            pool: pool.clone(),
            beside: None,
            in_transaction: false,
        }
    }

    pub(super) fn connection(&mut self) -> Result<&mut PgConnection, Error> {
        self.connection.as_deref_mut().ok_or_else(late)
    }

    pub(super) fn has_answered(&mut self) {
        self.beside = None;
    }

    /// What came of a statement. A connection to a server that only reads is closed, so that the next
    /// one may lead to another server.
    pub(super) fn judge<T>(&mut self, result: Result<T, sqlx::Error>) -> Result<T, Error> {
        result.map_err(|error| {
            if is_of_a_replica(&error) {
                self.close();
            }
            failed(error)
        })
    }

    /// Begins a transaction in which each statement sees what was committed before it, whatever the
    /// role's default is. It is rolled back unless it is [committed](Self::commit).
    pub(super) async fn begin(&mut self) -> Result<(), Error> {
        self.in_transaction = true;
        let begin = "BEGIN ISOLATION LEVEL READ COMMITTED";
        let begun = self.connection()?.execute(begin).await;
        self.judge(begun).map(drop)
    }

    pub(super) async fn commit(&mut self) -> Result<(), Error> {
        let committed = self.connection()?.execute("COMMIT").await;
        self.judge(committed)?;
        self.in_transaction = false;
        Ok(())
    }

    /// Closes the connection at once, without a word to the server.
    pub(super) fn close(&mut self) {
        drop(self.connection.take().map(PoolConnection::detach));
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        if let Some(others) = self.beside.take() {
            drop(connection.detach());
            try_idle(&others);
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            drop(connection.detach());
            return;
        };
        let (pool, in_transaction) = (self.pool.clone(), self.in_transaction);
        runtime.spawn(async move {
            if in_transaction {
                let rolled_back = timeout(SILENCE, connection.execute("ROLLBACK")).await;
                if !matches!(rolled_back, Ok(Ok(_))) {
                    drop(connection.detach());
                    try_idle(&pool);
                    return;
                }
            }
            if timeout(SILENCE, connection.return_to_pool()).await.is_err() {
                try_idle(&pool);
            }
        });
    }
}

/// Closes the idle connections that do not answer.
fn try_idle(pool: &PgPool) {
    for _ in 0..pool.num_idle() {
        let Some(connection) = pool.try_acquire() else {
            return;
        };
        drop(Lease::over(connection, pool));
    }
}
