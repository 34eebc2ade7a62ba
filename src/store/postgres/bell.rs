//! Word of others' writes, by LISTEN and NOTIFY.
//!
//! Each write announces itself with its commit. One connection listens; what comes in rings the bell
//! of a node, which then reads the change log. Nothing depends on it but how soon that happens:
//!
//! 1. When a connection was opened again the bell rings once: something may have been missed.
//! 2. Every five seconds without a word the connection is asked for a sign of life.
//! 3. At the beginning the store sends itself a word over another connection. If it does not come
//!    back, or that other connection is one that listens, or is sent words itself, then something stands
//!    between that does not keep a connection for one client, as a pooler in transaction mode does.

use async_trait::async_trait;
use sqlx::postgres::PgListener;
use sqlx::{AssertSqlSafe, Executor, PgPool, raw_sql};
use tokio::time::timeout;

use super::connect::pool;
use super::lease::{Lease, PATIENCE};
use crate::store::line::{ANSWER, End, Line, LineBell, QUIET, Ringer};

/// A bell that rings for words on `channel` of the database behind `main`.
pub(super) fn bell(main: PgPool, channel: String) -> LineBell {
    LineBell::over(Notifications { main, channel })
}

struct Notifications {
    main: PgPool,
    channel: String,
}

#[async_trait]
impl Line for Notifications {
    const REMARKS: (&'static str, &'static str) = (
        "notifications of the key database do not arrive, as behind a pooler in transaction mode; \
         changes made elsewhere are found at the next poll",
        "notifications of the key database arrive again",
    );

    async fn hear(&mut self, ringer: &mut Ringer) -> End {
        // A pool for this one connection: one that is silent would not come back to a shared one.
        let own = pool(1).connect_lazy_with((*self.main.connect_options()).clone());
        let opened = async {
            let mut listener = PgListener::connect_with(&own).await?;
            listener.eager_reconnect(false);
            listener.ignore_pool_close_event(true);
            listener.listen(&self.channel).await?;
            Ok::<_, sqlx::Error>(listener)
        };
        let Ok(Ok(mut listener)) = timeout(PATIENCE, opened).await else {
            return if self.is_over(ringer) {
                End::Done
            } else {
                End::Lost
            };
        };
        // Something may have been missed until now.
        ringer.ring();

        match timeout(ANSWER, self.call()).await {
            Ok(Called::Sent) => {
                match timeout(ANSWER, listener.try_recv()).await {
                    Ok(Ok(Some(_))) => ringer.ring(),
                    Ok(_) => return End::Lost,
                    Err(_) => return End::Deaf,
                }
                ringer.is_heard();
            }
            Ok(Called::OverTheSame) => return End::Deaf,
            Ok(Called::Failed) | Err(_) => {}
        }
        ringer.is_open();
        loop {
            match timeout(QUIET, listener.try_recv()).await {
                Ok(Ok(Some(_))) => ringer.ring(),
                Ok(_) => return End::Lost,
                Err(_) => {
                    let sign = timeout(ANSWER, (&mut listener).execute("SELECT 1")).await;
                    if !matches!(sign, Ok(Ok(_))) {
                        return End::Lost;
                    }
                }
            }
            if self.is_over(ringer) {
                return End::Done;
            }
        }
    }
}

/// What came of sending a word.
enum Called {
    Sent,
    /// The other connection is, behind what stands between, the one that listens.
    OverTheSame,
    Failed,
}

impl Notifications {
    /// Sends a word over another connection, in statements that are not prepared: a pooler may not keep
    /// track of those.
    async fn call(&self) -> Called {
        let Ok(mut lease) = Lease::of(&self.main).await else {
            return Called::Failed;
        };
        let Ok(connection) = lease.connection() else {
            return Called::Failed;
        };
        let listens =
            "SELECT 1 FROM pg_listening_channels() channel WHERE channel LIKE 'mcp_api_keys_%'";
        let word = format!("NOTIFY \"{}\", 'hello'", self.channel);
        let called = match raw_sql(listens).fetch_optional(&mut *connection).await {
            Ok(None) => connection.execute(AssertSqlSafe(word)).await.map(drop),
            Ok(Some(_)) => return Called::OverTheSame,
            Err(error) => Err(error),
        };
        match called {
            Ok(()) => Called::Sent,
            // A word was said to a connection that has not asked for any.
            Err(sqlx::Error::Protocol(_)) => {
                lease.close();
                Called::OverTheSame
            }
            Err(_) => Called::Failed,
        }
    }

    fn is_over(&self, ringer: &Ringer) -> bool {
        ringer.is_alone() || self.main.is_closed()
    }
}
