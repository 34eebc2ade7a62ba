//! Accepting connections, and ending well.
//!
//! 1. HTTP/1.1 and HTTP/2 on the same port, with TLS or without.
//! 2. Told to end, it takes no more connections, lets requests under way finish for ten seconds,
//!    streams included, and then ends whatever is left. Told twice, it ends at once.
//! 3. Whoever connects and says nothing, or does not finish a request's head, is let go.
//! 4. Not being able to take one connection is no reason not to take the next.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::rt::{Read, Write as HyperWrite};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use mcp_api_keys::client_ip::PeerAddr;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::headers::Via;
use super::setting::Setting;

/// How long requests under way may go on after the order to end.
const DRAIN: Duration = Duration::from_secs(10);

/// How long a caller may take for the TLS handshake, and for the head of a request.
const HANDSHAKE: Duration = Duration::from_secs(10);
const HEAD: Duration = Duration::from_secs(30);

/// How often a silent HTTP/2 connection is asked whether it is still there.
const PING: Duration = Duration::from_secs(30);

/// How long to wait when no connection can be taken, for want of file descriptors for one.
const PAUSE: Duration = Duration::from_millis(100);

/// What answers requests on an address.
pub(super) trait Answers: Send + Sync + 'static {
    type Body: http_body::Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>
        + Send
        + 'static;

    fn answer(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// An address that nobody else listens on any more. Whoever connects waits until it is answered there.
pub(super) struct Taken {
    listener: TcpListener,
    local: SocketAddr,
}

impl Taken {
    pub(super) async fn take(address: &Setting<SocketAddr>) -> Result<Self, super::Error> {
        let cannot = |error| {
            let what = format!("{}: cannot listen on {}", address.name, address.value);
            super::Error::failed(what, error)
        };
        let listener = TcpListener::bind(address.value).await.map_err(cannot)?;
        Ok(Self {
            local: listener.local_addr().map_err(cannot)?,
            listener,
        })
    }

    /// The address, with the port that the system chose if it was to.
    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }
}

/// An address, what answers there, and how that is announced.
pub(super) struct Place<S> {
    pub(super) address: Taken,
    pub(super) service: S,
    pub(super) word: &'static str,
}

pub(super) async fn run<S: Answers, A: Answers>(
    place: Place<S>,
    admin: Option<Place<A>>,
    acceptor: Option<TlsAcceptor>,
) -> Result<(), super::Error> {
    let mut ends = ends()?;
    let (stop, stopping) = watch::channel(());
    let gateway = open(place, acceptor.clone(), &stopping);
    let admin = admin.map(|place| open(place, acceptor, &stopping));
    drop(stopping);
    gateway.announce();
    if let Some(admin) = &admin {
        admin.announce();
    }
    tokio::select! {
        () = gateway.take() => {}
        () = async {
            match admin {
                Some(admin) => admin.take().await,
                None => std::future::pending().await,
            }
        } => {}
        _ = ends.recv() => {}
    }
    tracing::info!("no more connections are taken; requests under way may finish");
    // Each connection holds a receiver, and gives it up when it is done.
    let _ = stop.send(());
    tokio::select! {
        () = stop.closed() => {}
        () = sleep(DRAIN) => tracing::warn!("some requests have not finished in time and are ended"),
        _ = ends.recv() => tracing::warn!("ended at once"),
    }
    Ok(())
}

fn open<S>(
    place: Place<S>,
    acceptor: Option<TlsAcceptor>,
    stopping: &watch::Receiver<()>,
) -> Door<S> {
    let Taken { listener, local } = place.address;
    Door {
        local,
        listener,
        word: place.word,
        host: Host {
            service: Arc::new(place.service),
            acceptor,
            stopping: stopping.clone(),
        },
    }
}

/// An address that is listened on.
struct Door<S> {
    listener: TcpListener,
    local: SocketAddr,
    word: &'static str,
    host: Host<S>,
}

impl<S: Answers> Door<S> {
    fn announce(&self) {
        announce(self.word, self.local, self.host.acceptor.is_some());
    }

    /// Takes connections for good.
    async fn take(self) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => drop(tokio::spawn(self.host.clone().welcome(stream, peer))),
                Err(error) => reject(&error).await,
            }
        }
    }
}

/// Orders to end, each as one message.
fn ends() -> Result<mpsc::Receiver<()>, super::Error> {
    let (send, receive) = mpsc::channel(2);
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};

        for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
            let mut signal = signal(kind)
                .map_err(|error| super::Error::failed("cannot wait for signals", error))?;
            let send = send.clone();
            tokio::spawn(async move {
                while signal.recv().await.is_some() && send.send(()).await.is_ok() {}
            });
        }
    }
    #[cfg(not(unix))]
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() && send.send(()).await.is_ok() {}
    });
    Ok(receive)
}

/// Says where, at once, and to whoever still listens: a closed pipe is no reason not to serve. What
/// there is to warn of comes first, so that nobody has stopped reading by then.
fn announce(word: &str, address: SocketAddr, tls: bool) {
    let scheme = if tls { "https" } else { "http" };
    if !tls && !address.ip().to_canonical().is_loopback() {
        let _ = writeln!(
            io::stderr(),
            "warning: keys cross the network in clear: {address} is no loopback address and there is \
             no TLS (--tls-cert, --tls-key); put it behind something that speaks TLS"
        );
    }
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{word} {scheme}://{address}").and_then(|()| out.flush());
}

async fn reject(error: &io::Error) {
    let is_of_one = matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    );
    if !is_of_one {
        tracing::error!(%error, "a connection cannot be taken");
        sleep(PAUSE).await;
    }
}

/// What every connection needs.
struct Host<S> {
    service: Arc<S>,
    acceptor: Option<TlsAcceptor>,
    stopping: watch::Receiver<()>,
}

impl<S> Clone for Host<S> {
    fn clone(&self) -> Self {
        Self {
            service: Arc::clone(&self.service),
            acceptor: self.acceptor.clone(),
            stopping: self.stopping.clone(),
        }
    }
}

impl<S: Answers> Host<S> {
    async fn welcome(mut self, stream: TcpStream, peer: SocketAddr) {
        // Events are small, and each is to be sent when it is there.
        let _ = stream.set_nodelay(true);
        let Some(acceptor) = self.acceptor.take() else {
            let spoke = tokio::select! {
                spoke = timeout(HEAD, stream.readable()) => spoke,
                _ = self.stopping.changed() => return,
            };
            if let Ok(Ok(())) = spoke {
                self.serve(TokioIo::new(stream), peer, false).await;
            }
            return;
        };
        let handshake = tokio::select! {
            handshake = timeout(HANDSHAKE, acceptor.accept(stream)) => handshake,
            _ = self.stopping.changed() => return,
        };
        match handshake {
            Ok(Ok(stream)) => self.serve(TokioIo::new(stream), peer, true).await,
            Ok(Err(error)) => tracing::debug!(%peer, %error, "a TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
        }
    }

    async fn serve(
        self,
        io: impl Read + HyperWrite + Unpin + 'static,
        peer: SocketAddr,
        tls: bool,
    ) {
        let Self {
            service: answering,
            mut stopping,
            ..
        } = self;
        let via = Via {
            peer: peer.ip(),
            tls,
        };
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(PeerAddr(peer));
            request.extensions_mut().insert(via);
            let answering = Arc::clone(&answering);
            async move { Ok::<_, Infallible>(answering.answer(request).await) }
        });
        let builder = protocols();
        let mut connection = pin!(builder.serve_connection(io, service));
        let done = tokio::select! {
            done = connection.as_mut() => done,
            _ = stopping.changed() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = done {
            tracing::debug!(%peer, %error, "a connection ended early");
        }
    }
}

fn protocols() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING);
    builder
}
