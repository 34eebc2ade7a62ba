//! A wire to the server that can be cut in ways a network can.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Passes connections on to the server.
pub(crate) struct Proxy {
    port: u16,
    wires: Arc<Wires>,
}

struct Wires {
    server: (String, u16),
    /// Connections of an earlier generation have gone silent: nothing passes, nothing is closed.
    generation: watch::Sender<u64>,
    made: AtomicU64,
    /// Whether words of NOTIFY are held back, as by a pooler in transaction mode.
    deaf: AtomicBool,
}

impl Proxy {
    pub(crate) async fn to(url: &str) -> Self {
        let options: PgConnectOptions = url.parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let wires = Arc::new(Wires {
            server: (options.get_host().to_owned(), options.get_port()),
            generation: watch::Sender::new(0),
            made: AtomicU64::new(0),
            deaf: AtomicBool::new(false),
        });
        tokio::spawn(accept(listener, Arc::clone(&wires)));
        Self { port, wires }
    }

    /// The address that leads through the proxy, without TLS.
    pub(crate) fn url(&self, url: &str) -> String {
        let options: PgConnectOptions = url.parse().unwrap();
        let server = format!("{}:{}", options.get_host(), options.get_port());
        let url = url.replacen(&server, &format!("127.0.0.1:{}", self.port), 1);
        format!("{url}&sslmode=disable")
    }

    /// All connections go silent; new ones work.
    pub(crate) fn silence(&self) {
        self.wires
            .generation
            .send_modify(|generation| *generation += 1);
    }

    pub(crate) fn hold_notifications_back(&self) {
        self.wires.deaf.store(true, Ordering::SeqCst);
    }

    /// How many connections were made.
    pub(crate) fn made(&self) -> u64 {
        self.wires.made.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, wires: Arc<Wires>) {
    while let Ok((client, _)) = listener.accept().await {
        wires.made.fetch_add(1, Ordering::SeqCst);
        let (host, port) = wires.server.clone();
        let server = TcpStream::connect((host, port)).await.unwrap();
        for socket in [&client, &server] {
            socket.set_nodelay(true).unwrap();
        }
        let silent = Silence::begins(&wires);
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::spawn(pass(from_client, to_server, silent.clone()));
        tokio::spawn(pass_frames(
            from_server,
            to_client,
            silent,
            Arc::clone(&wires),
        ));
    }
}

/// Ends when the connection is to go silent.
#[derive(Clone)]
struct Silence {
    generation: watch::Receiver<u64>,
    made_in: u64,
}

impl Silence {
    fn begins(wires: &Wires) -> Self {
        let generation = wires.generation.subscribe();
        let made_in = *generation.borrow();
        Self {
            generation,
            made_in,
        }
    }

    async fn fell(&mut self) {
        let made_in = self.made_in;
        if self
            .generation
            .wait_for(|now| *now != made_in)
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut silence: Silence) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        tokio::select! {
            read = from.read(&mut buffer) => match read {
                Ok(length @ 1..) => if to.write_all(&buffer[..length]).await.is_err() { return },
                _ => return,
            },
            () = silence.fell() => {
                // Both ends stay open.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Passes on what the server says, message by message.
async fn pass_frames(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut silence: Silence,
    wires: Arc<Wires>,
) {
    loop {
        let frame = tokio::select! {
            frame = frame(&mut from) => frame,
            () = silence.fell() => {
                std::future::pending::<()>().await;
                return;
            }
        };
        let Some(frame) = frame else { return };
        if frame[0] == b'A' && wires.deaf.load(Ordering::SeqCst) {
            continue;
        }
        if to.write_all(&frame).await.is_err() {
            return;
        }
    }
}

async fn frame(from: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let mut frame = vec![0; 5];
    from.read_exact(&mut frame).await.ok()?;
    let length = u32::from_be_bytes(frame[1..5].try_into().unwrap()) as usize;
    frame.resize(length + 1, 0);
    from.read_exact(&mut frame[5..]).await.ok()?;
    Some(frame)
}
