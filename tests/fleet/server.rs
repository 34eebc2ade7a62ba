//! Servers of Redis: the one of the environment, private ones to be killed, and a wire to be cut.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mcp_api_keys::redis::Redis;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, tcp};

/// What to do without a service.
fn left_out<T>(what: &str) -> Option<T> {
    let required = std::env::var_os("MCP_KEYS_REQUIRE_SERVICES").is_some_and(|v| v == "1");
    assert!(!required, "{what}");
    println!("left out: {what}");
    None
}

/// The address that the environment names.
pub(crate) fn url() -> Option<String> {
    let url = std::env::var("REDIS_URL").ok();
    url.or_else(|| left_out("REDIS_URL is not set"))
}

/// The server at [`url`], with more patience than in use: other tests run at the same time.
pub(crate) async fn redis() -> Option<Redis> {
    let redis = Redis::connect(&url()?).await.unwrap();
    Some(redis.patience(Duration::from_secs(2)))
}

/// A server that this process has started, with its data in a folder of its own.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    program: String,
    folder: TempDir,
}

impl Server {
    /// Nothing, if there is no such program.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_with(&[]).await
    }

    /// With more options.
    pub(crate) async fn start_with(options: &[&str]) -> Option<Self> {
        let named = std::env::var("MCP_KEYS_REDIS_SERVER").ok();
        let usual = ["redis-server", "valkey-server"].map(str::to_owned);
        let mut programs = named.into_iter().chain(usual);
        let is_there = |program: &String| {
            let version = Command::new(program)
                .arg("--version")
                .stdout(Stdio::null())
                .status();
            version.is_ok_and(|status| status.success())
        };
        let Some(program) = programs.find(is_there) else {
            return left_out("neither redis-server nor valkey-server is in PATH");
        };
        // Somebody else may have taken the port meanwhile.
        for _ in 0..8 {
            let port = free_port();
            let folder = TempDir::new().unwrap();
            let child = launch(&program, port, folder.path(), options);
            let mut server = Self {
                child,
                port,
                program: program.clone(),
                folder,
            };
            if server.answers().await {
                return Some(server);
            }
        }
        // What was asked for may be more than the program can do.
        assert!(!options.is_empty(), "{program} does not start");
        println!("left out: {program} does not start with {options:?}");
        None
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Whether it comes up.
    async fn answers(&mut self) -> bool {
        for _ in 0..200 {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            // It may be one that takes no writes yet.
            let client = redis::Client::open(self.url()).unwrap();
            let ping = async {
                let mut connection = client.get_multiplexed_async_connection().await?;
                redis::cmd("PING")
                    .query_async::<String>(&mut connection)
                    .await
            };
            if ping.await.is_ok() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        false
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same port. Returns when it has been started, not when it answers.
    pub(crate) fn launch_again(&mut self) {
        self.child = launch(&self.program, self.port, self.folder.path(), &[]);
    }

    /// `STOP`: connections stay, nobody answers. `CONT`: it goes on.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &pid])
            .status()
            .unwrap();
        assert!(sent.success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn launch(program: &str, port: u16, folder: &Path, options: &[&str]) -> Child {
    Command::new(program)
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
        ])
        .args(["--appendonly", "no", "--daemonize", "no", "--dir"])
        .arg(folder)
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A wire to a server that can lose everything on its way, without either side being told.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    pub(crate) port: u16,
    cut: Arc<AtomicBool>,
}

impl Wire {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let wire = Self {
            port: listener.local_addr().unwrap().port(),
            cut: Arc::default(),
        };
        let cut = Arc::clone(&wire.cut);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else {
                    continue;
                };
                near.set_nodelay(true).unwrap();
                far.set_nodelay(true).unwrap();
                let (near_in, near_out) = near.into_split();
                let (far_in, far_out) = far.into_split();
                tokio::spawn(carry(near_in, far_out, Arc::clone(&cut)));
                tokio::spawn(carry(far_in, near_out, Arc::clone(&cut)));
            }
        });
        wire
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Loses everything from now on, or no longer.
    pub(crate) fn cut(&self, on: bool) {
        self.cut.store(on, Ordering::SeqCst);
    }
}

async fn carry(mut from: tcp::OwnedReadHalf, mut to: tcp::OwnedWriteHalf, cut: Arc<AtomicBool>) {
    let mut bytes = [0; 4_096];
    let mut lost = false;
    loop {
        match from.read(&mut bytes).await {
            Ok(0) | Err(_) => return,
            // What has lost something is of no use any more, but nobody is told.
            Ok(_) if lost || cut.load(Ordering::SeqCst) => lost = true,
            Ok(count) => {
                if to.write_all(&bytes[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}
