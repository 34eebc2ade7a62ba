//! The connection to Redis: one, shared by everybody who asks, and what happens when it fails.
//!
//! 1. A call waits no longer than its patience, connecting included.
//! 2. The first call that fails for want of an answer marks the link as down. From then on calls fail
//!    at once, and a task looks for the server: immediately, then twice a second, each time over a new
//!    connection and with a write. The first that succeeds ends the outage.
//! 3. A connection that was closed while nobody used it is replaced within the call, once, if the call
//!    can be made twice.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult, ServerErrorKind};

use crate::error::{Error, ErrorKind};

/// How long a new connection may take, where no request waits for it.
const CONNECT: Duration = Duration::from_secs(1);

/// How long to wait between two looks for a server that does not answer.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What is written to see whether the server takes writes and scripts.
const TRIAL: &str = "return redis.call('SET', KEYS[1], '', 'PX', 1000)";

pub(super) struct Link {
    client: Client,
    current: Mutex<Current>,
    /// Held by whoever makes a connection.
    connecting: tokio::sync::Mutex<()>,
    down: AtomicBool,
}

#[derive(Default)]
struct Current {
    /// How many connections there have been.
    number: u64,
    connection: Option<MultiplexedConnection>,
}

/// How a call is made.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    /// How long it may take.
    pub(super) patience: Duration,
    /// The name of what is written on trial, when the server is looked for.
    pub(super) trial: Arc<str>,
}

impl Link {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            current: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            down: AtomicBool::new(false),
        }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    /// Makes a call; with `twice`, a second time if the connection was lost.
    pub(super) async fn call<T, F>(
        self: &Arc<Self>,
        terms: &Terms,
        twice: bool,
        send: impl Fn(MultiplexedConnection) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = RedisResult<T>>,
    {
        if self.is_down() {
            return Err(Error::new(ErrorKind::Unavailable, "Redis does not answer"));
        }
        let answer = async {
            let (number, connection) = self.connection().await?;
            match send(connection).await {
                Err(error) if error.is_connection_dropped() => {
                    self.discard(number);
                    if !twice {
                        return Err(error);
                    }
                    let (_, connection) = self.connection().await?;
                    send(connection).await
                }
                answer => answer,
            }
        };
        match tokio::time::timeout(terms.patience, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                if is_outage(&error) {
                    self.go_down(terms);
                }
                Err(failed(error))
            }
            Err(late) => {
                self.go_down(terms);
                let message = "Redis did not answer in time";
                Err(Error::new(ErrorKind::Unavailable, message).with_source(late))
            }
        }
    }

    /// Connects anew and looks whether the server takes writes. If so, it is used from now on.
    pub(super) async fn look(&self, terms: &Terms) -> Result<MultiplexedConnection, RedisError> {
        let mut connection = self.connect().await?;
        let mut trial = redis::cmd("EVAL");
        trial.arg(TRIAL).arg(1).arg(&*terms.trial);
        let answer = trial.query_async::<()>(&mut connection);
        match tokio::time::timeout(terms.patience, answer).await {
            Ok(answer) => answer?,
            Err(_) => return Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
        }
        self.use_from_now_on(connection.clone());
        self.down.store(false, Ordering::Relaxed);
        Ok(connection)
    }

    async fn connection(&self) -> RedisResult<(u64, MultiplexedConnection)> {
        if let Some(current) = self.current().in_use() {
            return Ok(current);
        }
        let _turn = self.connecting.lock().await;
        if let Some(current) = self.current().in_use() {
            return Ok(current);
        }
        let connection = self.connect().await?;
        Ok((self.use_from_now_on(connection.clone()), connection))
    }

    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(None);
        let client = &self.client;
        client
            .get_multiplexed_async_connection_with_config(&config)
            .await
    }

    fn use_from_now_on(&self, connection: MultiplexedConnection) -> u64 {
        let mut current = self.current();
        current.number = current.number.wrapping_add(1);
        current.connection = Some(connection);
        current.number
    }

    /// No longer uses the connection with this number.
    fn discard(&self, number: u64) {
        let mut current = self.current();
        if current.number == number {
            current.connection = None;
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn go_down(self: &Arc<Self>, terms: &Terms) {
        if !self.down.swap(true, Ordering::Relaxed) {
            self.current().connection = None;
            let search = Search {
                link: Arc::downgrade(self),
                found: false,
            };
            tokio::spawn(search.run(terms.clone()));
        }
    }
}

impl Current {
    fn in_use(&self) -> Option<(u64, MultiplexedConnection)> {
        let connection = self.connection.clone()?;
        Some((self.number, connection))
    }
}

/// Looks for the server until it is there, or nobody asks any more.
struct Search {
    link: Weak<Link>,
    found: bool,
}

impl Search {
    async fn run(mut self, terms: Terms) {
        loop {
            let Some(link) = self.link.upgrade() else {
                return;
            };
            if link.look(&terms).await.is_ok() {
                self.found = true;
                return;
            }
            drop(link);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        // If the runtime is gone that it ran on, the next call is to look.
        if let Some(link) = self.link.upgrade().filter(|_| !self.found) {
            link.down.store(false, Ordering::Relaxed);
        }
    }
}

/// Whether no call can be expected to succeed. What one call alone has done wrong is no outage.
fn is_outage(error: &RedisError) -> bool {
    use redis::ErrorKind::{AuthenticationFailed, Server};

    error.is_unrecoverable_error()
        || error.is_io_error()
        || matches!(
            error.kind(),
            AuthenticationFailed
                | Server(
                    ServerErrorKind::BusyLoading
                        | ServerErrorKind::MasterDown
                        | ServerErrorKind::ReadOnly
                )
        )
}

/// A failure of a call.
pub(super) fn failed(error: RedisError) -> Error {
    Error::new(ErrorKind::Unavailable, "Redis failed").with_source(error)
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What the client knows includes the password.
        let address = self.client.get_connection_info().addr();
        f.debug_struct("Link")
            .field("address", &address.to_string())
            .field("down", &self.is_down())
            .finish_non_exhaustive()
    }
}
