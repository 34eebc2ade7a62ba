//! A wire to PostgreSQL that fails in the ways of networks, and can be led to another server.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens to what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It arrives.
    Pass,
    /// It arrives when the wire passes again.
    Hold,
    /// It is lost, and nobody is told. A connection that has lost something stays silent for good.
    Lose,
    /// Connections are reset, and new ones too.
    Reset,
}

#[derive(Clone, Debug)]
pub(crate) struct Wire {
    port: u16,
    ends: Arc<Ends>,
}

#[derive(Debug)]
struct Ends {
    server: Mutex<u16>,
    mode: watch::Sender<Mode>,
    /// How often connections were reset.
    resets: watch::Sender<u64>,
    /// Of each connection, whether somebody listens on it, and whether it has gone silent.
    made: Mutex<Vec<Arc<Connection>>>,
}

#[derive(Debug, Default)]
struct Connection {
    listens: AtomicBool,
    silent: AtomicBool,
}

impl Wire {
    /// To the server at a port of this machine.
    pub(crate) async fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ends = Arc::new(Ends {
            server: Mutex::new(server),
            mode: watch::Sender::new(Mode::Pass),
            resets: watch::Sender::new(0),
            made: Mutex::default(),
        });
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(accept(listener, Arc::clone(&ends)));
        Self { port, ends }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.ends.mode.send_replace(mode);
        if mode == Mode::Reset {
            self.ends.resets.send_modify(|resets| *resets += 1);
        }
    }

    /// New connections lead to another server; those that there are, are reset.
    pub(crate) fn lead_to(&self, server: u16) {
        *self.ends.server.lock().unwrap() = server;
        self.ends.resets.send_modify(|resets| *resets += 1);
    }

    /// Connections on which somebody listens go silent. Returns how many.
    pub(crate) fn silence_listeners(&self) -> usize {
        self.silence(|connection| connection.listens.load(Ordering::SeqCst))
    }

    /// All connections go silent; new ones work. Returns how many.
    pub(crate) fn silence_all(&self) -> usize {
        self.silence(|_| true)
    }

    fn silence(&self, which: impl Fn(&Connection) -> bool) -> usize {
        let made = self.ends.made.lock().unwrap();
        let chosen = made
            .iter()
            .filter(|one| which(one) && !one.silent.load(Ordering::SeqCst));
        chosen
            .map(|one| one.silent.store(true, Ordering::SeqCst))
            .count()
    }
}

async fn accept(listener: TcpListener, ends: Arc<Ends>) {
    while let Ok((client, _)) = listener.accept().await {
        if *ends.mode.borrow() == Mode::Reset {
            client.set_zero_linger().unwrap();
            continue;
        }
        let port = *ends.server.lock().unwrap();
        let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else {
            client.set_zero_linger().unwrap();
            continue;
        };
        for socket in [&client, &server] {
            socket.set_nodelay(true).unwrap();
        }
        let connection = Arc::new(Connection::default());
        ends.made.lock().unwrap().push(Arc::clone(&connection));
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        for (from, to) in [(from_client, to_server), (from_server, to_client)] {
            let (mode, resets) = (ends.mode.subscribe(), ends.resets.subscribe());
            tokio::spawn(carry(from, to, mode, resets, Arc::clone(&connection)));
        }
    }
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut mode: watch::Receiver<Mode>,
    mut resets: watch::Receiver<u64>,
    connection: Arc<Connection>,
) {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let read = tokio::select! {
            read = from.read(&mut bytes) => read,
            _ = resets.changed() => {
                drop(from.as_ref().set_zero_linger());
                return;
            }
        };
        let Ok(count @ 1..) = read else { return };
        let sent = &bytes[..count];
        if sent.windows(7).any(|word| word == b"LISTEN ") {
            connection.listens.store(true, Ordering::SeqCst);
        }
        if *mode.borrow() == Mode::Lose {
            connection.silent.store(true, Ordering::SeqCst);
        }
        if mode.wait_for(|mode| *mode != Mode::Hold).await.is_err() {
            return;
        }
        if connection.silent.load(Ordering::SeqCst) {
            continue;
        }
        if to.write_all(sent).await.is_err() {
            return;
        }
    }
}
