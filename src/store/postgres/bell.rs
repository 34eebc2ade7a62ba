//! Word of others' writes, by LISTEN and NOTIFY.
//!
//! Each write announces itself with its commit. One connection listens; what comes in rings the bell
//! of a node, which then reads the change log. Nothing depends on it but how soon that happens:
//!
//! 1. A connection that was lost is opened again, after a pause that grows to five seconds, and then
//!    the bell rings once: something may have been missed.
//! 2. Every five seconds without a word the connection is asked for a sign of life.
//! 3. At the beginning the store sends itself a word over another connection. If it does not come
//!    back, something stands between that does not keep a connection for one client, as a pooler in
//!    transaction mode does. That is logged once, and tried again once a minute.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::PgListener;
use sqlx::{Executor, PgPool, query};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::connect::pool;
use super::lease::{Lease, PATIENCE};
use crate::store::ChangeBell;

/// How long the connection may be silent before it is asked.
const QUIET: Duration = Duration::from_secs(5);

/// How long an answer may take, or the word to oneself.
const ANSWER: Duration = Duration::from_secs(2);

/// The longest pause before the connection is opened again.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The pause after nothing came through.
const DEAF_PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Bell {
    rings: watch::Receiver<()>,
}

impl Bell {
    /// Listens on `channel` of the database behind `pool` for as long as the bell is kept.
    pub(super) fn listening(pool: PgPool, channel: String) -> Self {
        let (sender, rings) = watch::channel(());
        tokio::spawn(listen(pool, channel, sender));
        Self { rings }
    }
}

#[async_trait]
impl ChangeBell for Bell {
    async fn rung(&mut self) {
        if self.rings.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// How a time of listening ended.
enum End {
    /// Nobody waits for the bell any more, or the store was closed.
    Done,
    /// The connection was lost, or could not be opened.
    Lost,
    /// It listens, but nothing comes through.
    Deaf,
}

async fn listen(pool: PgPool, channel: String, bell: watch::Sender<()>) {
    let mut pause = Duration::ZERO;
    let mut told = false;
    loop {
        let ended = hear(&pool, &channel, &bell, &mut pause, &mut told).await;
        pause = match ended {
            End::Done => return,
            End::Lost => (pause * 2).clamp(Duration::from_millis(100), LONGEST_PAUSE),
            End::Deaf => DEAF_PAUSE,
        };
        if !told && matches!(ended, End::Deaf) {
            told = true;
            tracing::warn!(
                "notifications of the key database do not arrive, as behind a pooler in transaction \
                 mode; changes made elsewhere are found at the next poll"
            );
        }
        // Not all nodes at once, when the server is back.
        let tenths = RandomState::new().build_hasher().finish() % 6 + 5;
        sleep(pause.mul_f64(tenths as f64 / 10.0)).await;
        if bell.is_closed() {
            return;
        }
    }
}

/// Listens on a connection until it is lost.
async fn hear(
    main: &PgPool,
    channel: &str,
    bell: &watch::Sender<()>,
    pause: &mut Duration,
    told: &mut bool,
) -> End {
    // A pool for this one connection: one that is silent would not come back to a shared one.
    let own = pool(1).connect_lazy_with((*main.connect_options()).clone());
    let opened = async {
        let mut listener = PgListener::connect_with(&own).await?;
        listener.eager_reconnect(false);
        listener.ignore_pool_close_event(true);
        listener.listen(channel).await?;
        Ok::<_, sqlx::Error>(listener)
    };
    let Ok(Ok(mut listener)) = timeout(PATIENCE, opened).await else {
        return if is_over(main, bell) {
            End::Done
        } else {
            End::Lost
        };
    };
    // Something may have been missed until now.
    bell.send_replace(());

    if timeout(ANSWER, call(main, channel)).await.unwrap_or(false) {
        match timeout(ANSWER, listener.try_recv()).await {
            Ok(Ok(Some(_))) => bell.send_replace(()),
            Ok(_) => return End::Lost,
            Err(_) => return End::Deaf,
        }
        if *told {
            *told = false;
            tracing::info!("notifications of the key database arrive again");
        }
    }
    *pause = Duration::ZERO;
    loop {
        match timeout(QUIET, listener.try_recv()).await {
            Ok(Ok(Some(_))) => bell.send_replace(()),
            Ok(_) => return End::Lost,
            Err(_) => {
                let sign = timeout(ANSWER, (&mut listener).execute("SELECT 1")).await;
                if !matches!(sign, Ok(Ok(_))) {
                    return End::Lost;
                }
            }
        }
        if is_over(main, bell) {
            return End::Done;
        }
    }
}

/// Sends a word over another connection. Whether it went out.
async fn call(main: &PgPool, channel: &str) -> bool {
    let Ok(mut lease) = Lease::of(main).await else {
        return false;
    };
    let Ok(connection) = lease.connection() else {
        return false;
    };
    let sent = query("SELECT pg_notify($1, 'hello')").bind(channel);
    sent.execute(connection).await.is_ok()
}

fn is_over(main: &PgPool, bell: &watch::Sender<()>) -> bool {
    bell.is_closed() || main.is_closed()
}
