//! The gateway as a process of its own, and servers to put behind it.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use mcp_api_keys::store::SqliteStore;
use mcp_api_keys::{ApiKeys, NewKey};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::support::{Server, issue, light, secret, seen, serve, soon};

/// A gateway that runs, and the office that issues its keys: another process on the same store.
#[derive(Debug)]
pub(crate) struct Gateway {
    child: Child,
    pub(crate) url: String,
    /// Where the admin API is, if it is served.
    pub(crate) admin: Option<String>,
    pub(crate) keys: ApiKeys,
    folder: Arc<TempDir>,
    errors: PathBuf,
}

impl Gateway {
    /// Starts one on a free port.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        Self::start_logging("warn", arguments).await
    }

    pub(crate) async fn start_logging(log: &str, arguments: &[&str]) -> Self {
        Self::run(log, &[&["--listen", "127.0.0.1:0"], arguments].concat()).await
    }

    /// Starts one where its settings say.
    pub(crate) async fn start_as_told(arguments: &[&str]) -> Self {
        Self::run("warn", arguments).await
    }

    async fn run(log: &str, arguments: &[&str]) -> Self {
        Self::run_in(&[("RUST_LOG", log)], arguments).await
    }

    /// Starts one with these variables in its environment.
    pub(crate) async fn run_in(variables: &[(&str, &str)], arguments: &[&str]) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Self::run_on(folder, variables, arguments).await
    }

    /// Starts another one on the same store, on a free port.
    pub(crate) async fn another(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Self {
        let arguments = [&["--listen", "127.0.0.1:0"], arguments].concat();
        Self::run_on(Arc::clone(&self.folder), variables, &arguments).await
    }

    async fn run_on(folder: Arc<TempDir>, variables: &[(&str, &str)], arguments: &[&str]) -> Self {
        let (file, errors) = tempfile::NamedTempFile::new_in(folder.path())
            .unwrap()
            .keep()
            .unwrap();
        let url = store_url(folder.path());
        let store = SqliteStore::connect(&url).await.unwrap();
        let keys = light(store).build().await.unwrap();
        let mut child = command(&url, arguments)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = soon(lines.next_line()).await.unwrap().unwrap_or_default();
        let Some(url) = line.strip_prefix("listening ") else {
            let errors = std::fs::read_to_string(errors);
            panic!("{line:?} {errors:?}");
        };
        let mut admin = None;
        if arguments.contains(&"--admin-listen") {
            let line = soon(lines.next_line()).await.unwrap().unwrap();
            admin = Some(line.strip_prefix("admin ").unwrap().to_owned());
        }
        Self {
            url: url.to_owned(),
            admin,
            child,
            keys,
            folder,
            errors,
        }
    }

    /// One in front of a single server, for keys of all servers.
    pub(crate) async fn before(upstream: &Server) -> Self {
        Self::start(&["--upstream", &upstream.url("")]).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Issues a key for every server.
    pub(crate) async fn key(&self) -> String {
        issue(&self.keys, NewKey::named("all").all_servers()).await
    }

    pub(crate) async fn key_for(&self, server: &str) -> String {
        issue(&self.keys, NewKey::named(server).server(server)).await
    }

    /// Has the program issue a key for every server, with further options.
    pub(crate) async fn created(&self, options: &[&str]) -> String {
        let store = store_url(self.folder.path());
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-keys"));
        command.args(["--store", &store, "--json", "create", "--all-servers"]);
        command.args(["--name", "created", "--owner", "ada"]);
        let output = command.args(options).stdin(Stdio::null()).output();
        let output = soon(output).await.unwrap();
        assert!(output.status.success(), "{output:?}");
        let key: Value = serde_json::from_slice(&output.stdout).unwrap();
        key["key"].as_str().unwrap().to_owned()
    }

    pub(crate) fn errors(&self) -> String {
        std::fs::read_to_string(&self.errors).unwrap()
    }

    /// The most memory it has used so far, in bytes, where the system tells.
    pub(crate) fn peak_memory(&self) -> Option<u64> {
        let path = format!("/proc/{}/status", self.child.id()?);
        let text = std::fs::read_to_string(path).ok()?;
        let line = text.lines().find(|line| line.starts_with("VmHWM:"))?;
        let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kilobytes * 1_024)
    }

    /// Tells it to end.
    pub(crate) async fn terminate(&self) {
        let process = self.child.id().unwrap().to_string();
        let mut kill = Command::new("kill");
        let status = kill.args(["-TERM", &process]).status().await;
        assert!(status.unwrap().success());
    }

    pub(crate) async fn ended(&mut self) -> ExitStatus {
        soon(self.child.wait()).await.unwrap()
    }
}

/// The program, with a store. It ends with the test.
fn command(store: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-keys"));
    command
        .args(["--store", store, "serve"])
        .args(arguments)
        .env_remove("MCP_KEYS_SESSION_SECRET")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

fn store_url(folder: &Path) -> String {
    format!("sqlite://{}", folder.join("keys.db").display())
}

/// Runs a gateway that is not going to start.
pub(crate) async fn refused(arguments: &[&str]) -> Output {
    refused_in(&[], arguments).await
}

/// The same with these variables in its environment.
pub(crate) async fn refused_in(variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(&store_url(folder.path()), arguments);
    command.envs(variables.iter().copied());
    soon(command.output()).await.unwrap()
}

/// A file for a gateway to read.
pub(crate) fn file(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// A server that answers every request with what it sees of it.
pub(crate) async fn mirror() -> Server {
    named_mirror("mirror").await
}

/// One that says its name as well.
pub(crate) async fn named_mirror(name: &'static str) -> Server {
    serve(mirroring(name)).await
}

/// What a mirror answers by.
pub(crate) fn mirroring(name: &'static str) -> Router {
    Router::new().fallback(move |request: Request| async move {
        let (head, body) = request.into_parts();
        let mut answer = seen(&head);
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        answer["name"] = json!(name);
        answer["body"] = json!(String::from_utf8_lossy(&body));
        axum::Json(answer)
    })
}

/// Waits until `holds` does.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..500 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} does not come about");
}

/// The next piece of a body; HTTP/2 may end one with an empty piece, which is none.
pub(crate) async fn next(body: &mut Incoming) -> Option<Bytes> {
    loop {
        let data = soon(body.frame()).await?.unwrap().into_data().unwrap();
        if !data.is_empty() {
            return Some(data);
        }
    }
}

/// Whether a text holds eight characters in a row of a key's secret part.
pub(crate) fn tells(text: &str, key: &str) -> bool {
    let secret = secret(key).as_bytes();
    secret
        .windows(8)
        .any(|part| text.as_bytes().windows(8).any(|window| window == part))
}

/// The value of a header that a mirror saw; empty if there was none.
pub(crate) fn header<'s>(seen: &'s Value, name: &str) -> &'s str {
    seen["headers"][name].as_str().unwrap_or_default()
}
