//! A folder with a store in it, runs of the program, and what a server answers to keys of that store.

use std::process::{Command, Output, Stdio};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use mcp_api_keys::client_ip::PeerAddr;
use mcp_api_keys::store::SqliteStore;
use mcp_api_keys::{ApiKeyLayer, ApiKeys, KeyFormat, Timestamp};
use serde_json::Value;
use tempfile::TempDir;
use tower::{Layer as _, ServiceExt as _, service_fn};

/// A folder with a store in it, and the program to work on that.
#[derive(Debug)]
pub(crate) struct Office {
    pub(crate) folder: TempDir,
}

/// How one run of the program went.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Office {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("sqlite://{}", self.folder.path().join("keys.db").display())
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = bare(line);
        command.env("MCP_KEYS_STORE", self.url());
        command
    }

    pub(crate) fn run(&self, line: &str) -> Run {
        Run::of(&self.command(line).output().unwrap())
    }

    /// A run that succeeds and says nothing on stderr; its stdout.
    pub(crate) fn text(&self, line: &str) -> String {
        let run = self.run(line);
        assert_eq!((run.code, run.err.as_str()), (0, ""), "{line}: {run:?}");
        run.out
    }

    /// The same with `--json`: one object on one line.
    pub(crate) fn json(&self, line: &str) -> Value {
        let text = self.text(&format!("--json {line}"));
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    /// The error of a run that fails, as programs read it.
    pub(crate) fn error(&self, code: i32, line: &str) -> Value {
        let run = self.run(&format!("--json {line}"));
        assert_eq!((run.code, run.out.as_str()), (code, ""), "{line}: {run:?}");
        let error: Value = serde_json::from_str(&run.err).unwrap();
        assert!(error["error"]["message"].is_string(), "{error}");
        error["error"].clone()
    }

    /// Makes a key; what is shown of it.
    pub(crate) fn create(&self, options: &str) -> Value {
        self.json(&format!("create {options}"))
    }

    pub(crate) fn names(&self, options: &str) -> Vec<String> {
        let page = self.json(&format!("list {options}"));
        let keys = page["keys"].as_array().unwrap();
        keys.iter().map(|key| text(&key["name"])).collect()
    }

    pub(crate) async fn keys(&self) -> ApiKeys {
        let store = SqliteStore::connect(&self.url()).await.unwrap();
        ApiKeys::builder(store)
            .accept_format(KeyFormat::new("mgw_").unwrap().without_checksum())
            .accept_format(KeyFormat::segmented("ok1").unwrap())
            .build()
            .await
            .unwrap()
    }
}

impl Run {
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().expect("it ended by itself"),
            out: String::from_utf8(output.stdout.clone()).unwrap(),
            err: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }
}

/// The program without a store and without anything of the caller's environment.
pub(crate) fn bare(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-keys"));
    for name in [
        "MCP_KEYS_STORE",
        "MCP_KEYS_PEPPER",
        "MCP_KEYS_PREVIOUS_PEPPERS",
        "MCP_KEYS_SESSION_SECRET",
        "MCP_KEYS_ACTOR",
        "LOGNAME",
        "USERNAME",
        "RUST_LOG",
    ] {
        command.env_remove(name);
    }
    command.env("USER", "ada");
    command.args(words(line)).stdin(Stdio::null());
    command
}

/// The words of a command line; what stands in single quotes is one.
pub(crate) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in line.split('\'').enumerate() {
        if at % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

pub(crate) fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value}"))
        .to_owned()
}

/// A time as it was written, which sorts as times do.
pub(crate) fn time(value: &Value) -> Timestamp {
    text(value).parse().unwrap()
}

/// The part of a default key that nobody may ever see again: behind the handle, without checksum.
pub(crate) fn secret_of(key: &str) -> &str {
    key.strip_prefix("mcp_sk_").unwrap().get(8..32).unwrap()
}

/// Whether any eight characters of a key's secret stand in `place`.
pub(crate) fn leaks(key: &str, place: &[u8]) -> bool {
    let secret = secret_of(key).as_bytes();
    secret
        .windows(8)
        .any(|part| place.windows(8).any(|seen| seen == part))
}

/// What a server behind `layer` answers to a request with `key`: its status and the refusal's code.
pub(crate) async fn ask(layer: ApiKeyLayer, key: &str, from: &str) -> (u16, String) {
    let service = layer.layer(service_fn(async |_: Request<Full<Bytes>>| {
        Ok::<_, std::convert::Infallible>(Response::new(Full::from("hello")))
    }));
    let mut request = Request::builder()
        .header("authorization", format!("Bearer {key}"))
        .body(Full::<Bytes>::default())
        .unwrap();
    let peer = PeerAddr(format!("{from}:50000").parse().unwrap());
    request.extensions_mut().insert(peer);
    let answer = service.oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let refusal: Value = serde_json::from_slice(&body).unwrap_or_default();
    let code = refusal["error"]["code"].as_str().unwrap_or_default();
    (status, code.to_owned())
}

pub(crate) const HOME: &str = "127.0.0.1";

pub(crate) fn admitted() -> (u16, String) {
    (200, String::new())
}

pub(crate) fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}
