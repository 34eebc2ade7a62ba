//! Every example, run as a program and asked over real connections.

#![cfg(all(
    feature = "axum",
    feature = "rmcp",
    feature = "sqlite",
    feature = "testing",
    feature = "tonic"
))]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests panic"
)]

#[cfg(feature = "cli")]
#[path = "support/backends.rs"]
mod backends;
mod support;

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Request;
use rmcp::model::{
    CallToolRequestParams, ErrorData, GetPromptRequestParams, ProgressNotificationParam,
    ProtocolVersion, ReadResourceRequestParams,
};
use rmcp::service::{
    ClientLifecycleMode, ClientServiceExt, NotificationContext, RunningService, ServiceError,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientHandler, RoleClient};
use serde_json::{Value, json};
use support::tools::{initialize, message, with_key};
use support::{Client, bearer, secret, soon};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// How many lines the servers begin with.
const QUICKSTART: usize = 5;
const AXUM: usize = 8;
const HYPER: usize = 6;
const MCP_TOOLS: usize = 5;
#[cfg(feature = "oauth")]
const OAUTH_SERVER: usize = 2;
const SIGNED_CLIENT: usize = 2;
const TONIC: usize = 2;

/// The program of an example. `cargo test` builds all of them, beside the tests.
fn program(example: &str) -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let beside = this.parent().and_then(Path::parent).unwrap();
    let program = beside.join("examples").join(example);
    assert!(
        program.exists(),
        "{} is missing: run `cargo build --examples --features full` first, or all of `cargo test`",
        program.display()
    );
    program
}

/// A command that runs an example in `directory`. It ends with the test.
fn command(example: &str, arguments: &[&str], directory: &Path) -> Command {
    let mut command = Command::new(program(example));
    command
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn run(example: &str, arguments: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let mut command = command(example, arguments, directory.path());
    soon(command.output()).await.unwrap()
}

/// A server that was started, and what it has printed.
struct Running {
    child: Child,
    lines: Vec<String>,
}

impl Running {
    /// Starts a server on a free port and reads the `count` lines that it begins with.
    async fn start(example: &str, arguments: &[&str], directory: &Path, count: usize) -> Self {
        let arguments = [&["--listen", "127.0.0.1:0"], arguments].concat();
        let mut command = command(example, &arguments, directory);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut printed = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines = Vec::new();
        while lines.len() < count {
            let line = soon(printed.next_line()).await.unwrap();
            lines.push(line.unwrap_or_else(|| panic!("{example} ended after {lines:?}")));
        }
        Self { child, lines }
    }

    /// What was printed behind `word`, the first time.
    fn word(&self, word: &str) -> &str {
        let values = self.lines.iter().filter_map(|line| line.split_once(' '));
        let mut values = values.filter(|(name, _)| *name == word);
        values.next().map(|(_, value)| value).unwrap()
    }

    /// The key of that name, where there are several.
    fn key(&self, name: &str) -> &str {
        let mut keys = self
            .lines
            .iter()
            .filter_map(|line| line.strip_prefix("key "));
        let named = keys.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        named.unwrap()
    }

    async fn stop(mut self) {
        self.child.kill().await.unwrap();
    }
}

/// The words of a command line, as a shell reads them that meets single quotes only.
fn shell_words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (number, part) in line.split('\'').enumerate() {
        let quoted = number % 2 == 1;
        for (number, piece) in part.split(|c| c == ' ' && !quoted).enumerate() {
            if number > 0 {
                words.push(String::new());
            }
            words.last_mut().unwrap().push_str(piece);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// What a curl command of the forms that the examples print would send.
fn request_of(line: &str) -> Request<String> {
    let mut words = shell_words(line).into_iter().skip(1);
    let (mut request, mut body) = (Request::builder(), None);
    while let Some(word) = words.next() {
        match word.as_str() {
            "-s" | "-i" | "--http2-prior-knowledge" => {}
            "-d" => body = words.next(),
            "-H" => {
                let header = words.next().unwrap();
                let (name, value) = header.split_once(": ").unwrap();
                request = request.header(name, value);
            }
            url => request = request.uri(url),
        }
    }
    let method = if body.is_some() { "POST" } else { "GET" };
    let request = request.method(method);
    request.body(body.unwrap_or_default()).unwrap()
}

/// The text with its last secret character changed, and so a wrong key.
fn wrong(key: &str) -> String {
    let last = if key.ends_with('0') { "1" } else { "0" };
    format!("{}{last}", &key[..key.len() - 1])
}

#[tokio::test]
async fn the_quickstart_takes_its_key_in_three_places_and_no_other_key() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["--store", "memory"];
    let server = Running::start("quickstart", &arguments, directory.path(), QUICKSTART).await;
    let (url, key) = (server.word("listening"), server.word("key"));
    let client = Client::http1();
    let plain = || message(url, None, &initialize());

    let mut by_header = plain();
    let value = key.parse().unwrap();
    by_header.headers_mut().insert("x-api-key", value);
    let by_path = message(&format!("{url}/{key}"), None, &initialize());
    for request in [with_key(plain(), key), by_header, by_path] {
        let answer = client.send(request).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.text.contains("serverInfo"), "{answer:?}");
    }

    let wrong = wrong(key);
    let by_path = message(&format!("{url}/{wrong}"), None, &initialize());
    for request in [plain(), with_key(plain(), &wrong), by_path] {
        let answer = client.send(request).await;
        assert_eq!(answer.status, 401, "{answer:?}");
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
        assert!(!answer.text.contains(secret(&wrong)));
    }
    server.stop().await;
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
}

#[cfg(unix)]
#[tokio::test]
async fn the_quickstart_keeps_its_keys_in_a_file_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("keys.db");
    let store = format!("sqlite://{}", file.display());
    let arguments = ["--store", store.as_str()];
    let client = Client::http1();
    let mut keys = Vec::new();
    for _ in 0..2 {
        let server = Running::start("quickstart", &arguments, directory.path(), QUICKSTART).await;
        keys.push(server.word("key").to_owned());
        // The keys of earlier starts still work, although the program was not even ended properly.
        for key in &keys {
            let request = message(server.word("listening"), None, &initialize());
            let answer = client.send(with_key(request, key)).await;
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        server.stop().await;
        for entry in std::fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{entry:?}");
            let bytes = std::fs::read(entry.path()).unwrap();
            for key in &keys {
                let hidden = secret(key).as_bytes();
                assert!(!bytes.windows(hidden.len()).any(|window| window == hidden));
            }
        }
    }
    assert_ne!(keys[0], keys[1]);
}

#[tokio::test]
async fn the_curl_lines_that_the_examples_print_work() {
    let directory = tempfile::tempdir().unwrap();
    let store = ["--store", "memory"];
    for (example, arguments, count, expected) in [
        ("quickstart", &store[..], QUICKSTART, &["serverInfo"][..]),
        (
            "axum",
            &[],
            AXUM,
            &[
                "reader may read, by Bearer",
                "writer wrote 9 bytes",
                "reader may read, by Path",
            ],
        ),
        ("hyper", &[], HYPER, &["over HTTP/1.1", "over HTTP/2.0"]),
    ] {
        let server = Running::start(example, arguments, directory.path(), count).await;
        let curls = server.lines.iter().filter(|line| line.starts_with("curl "));
        let curls: Vec<_> = curls.collect();
        assert_eq!(curls.len(), expected.len());
        for (line, expected) in curls.into_iter().zip(expected) {
            let client = match line.contains("--http2-prior-knowledge") {
                true => Client::http2(),
                false => Client::http1(),
            };
            let answer = client.send(request_of(line)).await;
            assert_eq!(answer.status, 200, "{line}");
            assert!(answer.text.contains(expected), "{line}: {answer:?}");

            // And as it stands, where there is a curl.
            let mut shell = Command::new("sh");
            let line = format!("command -v curl >/dev/null || exit 77; {line} -s");
            let shown = soon(shell.arg("-c").arg(&line).kill_on_drop(true).output());
            let shown = shown.await.unwrap();
            if shown.status.code() != Some(77) {
                let text = String::from_utf8(shown.stdout).unwrap();
                assert!(text.contains(expected), "{line}: {text}");
            }
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn the_axum_example_protects_its_routes_and_leaves_health_open() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start("axum", &[], directory.path(), AXUM).await;
    let (url, reader) = (server.word("listening"), server.word("reader"));
    let client = Client::http1();

    let health = client.get(&format!("{url}/health"), &[]).await;
    assert_eq!(
        (health.status.as_u16(), health.text.as_str()),
        (200, "fine\n")
    );
    for path in ["/files", "/nowhere", "/by-key/files", "/by-key"] {
        let refused = client.get(&format!("{url}{path}"), &[]).await;
        assert_eq!(refused.refusal(), (401, "missing_api_key".to_owned()));
    }
    for path in ["/files", "/by-key/files"] {
        let write = Request::post(format!("{url}{path}")).header("x-api-key", reader);
        let refused = client.send(write.body("text").unwrap()).await;
        assert_eq!(refused.refusal(), (403, "insufficient_scope".to_owned()));
    }
    let wrong = format!("{url}/by-key/{}/files", wrong(reader));
    let refused = client.get(&wrong, &[]).await;
    assert_eq!(refused.refusal(), (401, "invalid_api_key".to_owned()));
    server.stop().await;
}

#[tokio::test]
async fn the_hyper_example_speaks_both_http_versions() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start("hyper", &[], directory.path(), HYPER).await;
    let (url, key) = (server.word("listening"), server.word("key"));
    for (client, version) in [(Client::http1(), "HTTP/1.1"), (Client::http2(), "HTTP/2.0")] {
        let refused = client.get(url, &[]).await;
        assert_eq!(refused.refusal(), (401, "missing_api_key".to_owned()));
        let refused = client.get(url, &[("authorization", &bearer(&wrong(key)))]);
        assert_eq!(refused.await.refusal(), (401, "invalid_api_key".to_owned()));
        let admitted = client.get(url, &[("authorization", &bearer(key))]).await;
        assert_eq!(admitted.text, format!("hello, local, over {version}\n"));
    }
    server.stop().await;
}

#[tokio::test]
async fn the_tonic_example_shows_how_each_call_ends() {
    let output = run("tonic", &["--demo"]).await;
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().skip(TONIC).collect();
    for (line, expected) in lines.iter().zip([
        "good key: Ok",
        "no key: Unauthenticated (missing_api_key: ",
        "wrong key: Unauthenticated (invalid_api_key: ",
        "good key again: Ok",
        "good key once too often: ResourceExhausted (rate_limit_exceeded: ",
    ]) {
        assert!(line.starts_with(expected), "{line}");
    }
    assert_eq!(lines.len(), 5);
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "asked by monitor\nasked by monitor\n"
    );
}

#[tokio::test]
async fn the_tonic_example_serves_until_it_is_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start("tonic", &[], directory.path(), TONIC).await;
    let url = format!("{}/grpc.health.v1.Health/Check", server.word("listening"));
    for (key, status) in [(None, Some("16")), (Some(server.word("key")), None)] {
        let mut request = Request::post(&url).header("content-type", "application/grpc");
        if let Some(key) = key {
            request = request.header("authorization", bearer(key));
        }
        let request = request.body("\0\0\0\0\0").unwrap();
        let response = Client::http2()
            .open(request.map(http_body_util::Full::from))
            .await;
        let headers = response.headers();
        // A call that went well has its status behind the body.
        let at_once = headers
            .get("grpc-status")
            .map(|value| value.to_str().unwrap());
        assert_eq!(at_once, status);
    }
    server.stop().await;
}

#[cfg(feature = "oauth")]
#[tokio::test]
async fn the_oauth_example_lets_in_a_program_whose_person_has_the_key() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start("oauth_server", &[], directory.path(), OAUTH_SERVER).await;
    let (url, key) = (server.word("listening"), server.word("key"));
    let client = Client::http1();
    let refused = client.send(message(url, None, &initialize())).await;
    assert_eq!(refused.status, 401);
    assert!(
        refused
            .header("www-authenticate")
            .contains("resource_metadata=")
    );
    let tokens = support::consent::connect(url, key, "read-only").await;
    let token = tokens["access_token"].as_str().unwrap();
    for caller in [token, key] {
        let request = with_key(message(url, None, &initialize()), caller);
        let answer = client.send(request).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.text.contains("serverInfo"), "{answer:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_tools_example_shows_what_each_key_sees_and_may_call() {
    let output = run("mcp_tools", &[]).await;
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    // How many seconds are left depends on how fast this machine is.
    let (before, after) = text.split_once("(retry in ").unwrap();
    let (seconds, after) = after.split_once(" s)").unwrap();
    assert!((5..=20).contains(&seconds.parse().unwrap()), "{text}");
    assert_eq!(format!("{before}(retry in … s){after}"), TOOLS_DEMO);
}

const TOOLS_DEMO: &str = "\
full
  sees tools: delete_note, read_note, search_notes, write_note
  sees prompts: summary
  sees resources: notes://list
  write_note: written
  read_note: on a new page
  read_note: on a new page
  read_note: on a new page
  read_note: on a new page
  search_notes: 1 found
  delete_note: deleted
reader
  sees tools: read_note, search_notes
  sees prompts: summary
  sees resources: notes://list
  write_note refused: This key may only read, and tool write_note may do more
  read_note: there is no such note
  read_note: there is no such note
  read_note: there is no such note
  read_note: there is no such note
  search_notes: 0 found
  delete_note refused: This key may only read, and tool delete_note may do more
writer
  sees tools: write_note
  sees prompts: none
  sees resources: none
  write_note: written
  read_note refused: Tool read_note is not permitted for this key
  read_note refused: Tool read_note is not permitted for this key
  read_note refused: Tool read_note is not permitted for this key
  read_note refused: Tool read_note is not permitted for this key
  search_notes refused: Tool search_notes is not permitted for this key
  delete_note refused: Tool delete_note is not permitted for this key
limited
  sees tools: read_note, search_notes, write_note
  sees prompts: summary
  sees resources: notes://list
  write_note: written
  read_note: on a new page
  read_note: on a new page
  read_note: on a new page
  read_note refused: The rate limit of the API key is used up (retry in … s)
  search_notes: 1 found
  delete_note refused: Tool delete_note is not permitted for this key
";

/// An rmcp client that notes when it hears of progress.
#[derive(Clone, Debug, Default)]
struct Listener(Arc<Mutex<Vec<Instant>>>);

impl ClientHandler for Listener {
    async fn on_progress(&self, _: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        self.0.lock().unwrap().push(Instant::now());
    }
}

/// One key in one session.
struct KeySession {
    client: RunningService<RoleClient, Listener>,
    progress: Listener,
}

impl KeySession {
    async fn begin(url: &str, key: &str, lifecycle: ClientLifecycleMode) -> Self {
        let config = StreamableHttpClientTransportConfig::with_uri(url).auth_header(key);
        let transport = StreamableHttpClientTransport::from_config(config);
        let progress = Listener::default();
        let client = progress.clone().serve_with_lifecycle(transport, lifecycle);
        let client = soon(client).await.unwrap();
        Self { client, progress }
    }

    /// The names of the tools, prompts and resources that it sees.
    async fn sees(&self) -> [Vec<String>; 3] {
        let tools = soon(self.client.list_all_tools()).await.unwrap();
        let prompts = soon(self.client.list_all_prompts()).await.unwrap();
        let resources = soon(self.client.list_all_resources()).await.unwrap();
        let mut names: [Vec<String>; 3] = [
            tools.into_iter().map(|tool| tool.name.into()).collect(),
            prompts.into_iter().map(|prompt| prompt.name).collect(),
            resources.into_iter().map(|resource| resource.uri).collect(),
        ];
        names[0].sort();
        names
    }

    async fn call(&self, tool: &str) -> Result<String, ErrorData> {
        let arguments = json!({ "name": "note", "text": "héllo" });
        let params = CallToolRequestParams::new(tool.to_owned());
        let params = params.with_arguments(arguments.as_object().unwrap().clone());
        let result = answered(soon(self.client.call_tool(params)).await)?;
        Ok(result.content[0].as_text().unwrap().text.clone())
    }

    async fn read_prompt_and_resource(&self) -> [Result<(), ErrorData>; 2] {
        let prompt = GetPromptRequestParams::new("summary");
        let prompt = soon(self.client.get_prompt(prompt)).await;
        let resource = ReadResourceRequestParams::new("notes://list");
        let resource = soon(self.client.read_resource(resource)).await;
        [answered(prompt).map(drop), answered(resource).map(drop)]
    }
}

/// The answer of the server or the layer; anything else would be the end of the session.
fn answered<T>(result: Result<T, ServiceError>) -> Result<T, ErrorData> {
    result.map_err(|error| match error {
        ServiceError::McpError(error) => error,
        other => panic!("no answer: {other}"),
    })
}

fn code(error: &ErrorData) -> &str {
    error.data.as_ref().unwrap()["code"].as_str().unwrap()
}

#[tokio::test]
async fn rmcp_clients_survive_refused_tools_and_see_only_their_own() {
    let modern = ClientLifecycleMode::Discover {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
    };
    for lifecycle in [ClientLifecycleMode::Initialize, modern] {
        let directory = tempfile::tempdir().unwrap();
        let server = Running::start("mcp_tools", &[], directory.path(), MCP_TOOLS).await;
        for (name, tools, rest) in [
            (
                "full",
                &["delete_note", "read_note", "search_notes", "write_note"][..],
                true,
            ),
            ("reader", &["read_note", "search_notes"], true),
            ("writer", &["write_note"], false),
            (
                "limited",
                &["read_note", "search_notes", "write_note"],
                true,
            ),
        ] {
            let url = server.word("listening");
            let session = KeySession::begin(url, server.key(name), lifecycle.clone()).await;
            let (prompts, resources) = match rest {
                true => (vec!["summary"], vec!["notes://list"]),
                false => (vec![], vec![]),
            };
            let sees = session.sees().await;
            assert_eq!(sees, [tools.to_vec(), prompts, resources], "{name}");

            for tool in ["write_note", "read_note", "search_notes"] {
                let called = session.call(tool).await;
                assert_eq!(called.is_ok(), tools.contains(&tool), "{name}: {called:?}");
                let Err(error) = called else { continue };
                let (expected, reason) = match name {
                    "reader" => (
                        "read_only_key",
                        format!("This key may only read, and tool {tool} may do more"),
                    ),
                    _ => (
                        "tool_not_allowed",
                        format!("Tool {tool} is not permitted for this key"),
                    ),
                };
                assert_eq!((code(&error), &*error.message), (expected, &*reason));
            }
            let [prompt, resource] = session.read_prompt_and_resource().await;
            assert_eq!((prompt.is_ok(), resource.is_ok()), (rest, rest), "{name}");
            for (refused, what) in [
                (prompt, "Prompt summary"),
                (resource, "Resource notes://list"),
            ] {
                let Err(error) = refused else { continue };
                let reason = format!("{what} is not permitted for this key");
                assert_eq!(
                    (code(&error), &*error.message),
                    ("tool_not_allowed", &*reason)
                );
            }
            soon(session.client.cancel()).await.unwrap();
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn an_rmcp_client_is_told_of_its_limit_and_how_long_to_wait() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start("mcp_tools", &[], directory.path(), MCP_TOOLS).await;
    let (url, key) = (server.word("listening"), server.key("limited"));
    let session = KeySession::begin(url, key, ClientLifecycleMode::Initialize).await;
    assert_eq!(session.call("write_note").await.unwrap(), "written");
    for _ in 0..3 {
        assert_eq!(session.call("read_note").await.unwrap(), "héllo");
    }
    let error = session.call("read_note").await.unwrap_err();
    assert_eq!(code(&error), "rate_limit_exceeded");
    let start = "The rate limit of the API key is used up (retry in ";
    let wait = error.message.strip_prefix(start).unwrap();
    let wait: u64 = wait.strip_suffix(" s)").unwrap().parse().unwrap();
    assert!((5..=20).contains(&wait), "{error:?}");
    let exact = &error.data.as_ref().unwrap()["retry_after_ms"];
    assert_eq!(exact.as_u64().unwrap().div_ceil(1_000), wait);
    assert_eq!(session.call("search_notes").await.unwrap(), "1 found");
    server.stop().await;
}

#[tokio::test]
async fn an_rmcp_client_hears_of_progress_when_it_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start("mcp_tools", &[], directory.path(), MCP_TOOLS).await;
    let (url, key) = (server.word("listening"), server.key("reader"));
    let session = KeySession::begin(url, key, ClientLifecycleMode::Initialize).await;
    assert_eq!(session.call("search_notes").await.unwrap(), "0 found");
    let end = Instant::now();
    let times = session.progress.0.lock().unwrap().clone();
    assert_eq!(times.len(), 5);
    let lead = end - times[0];
    assert!(
        lead > Duration::from_millis(500),
        "{lead:?}: not all at the end"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_session_of_the_tools_example_is_its_keys_alone() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start("mcp_tools", &[], directory.path(), MCP_TOOLS).await;
    let (url, client) = (server.word("listening"), Client::http1());
    let list: Value = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" });
    let begun = client.send(with_key(
        message(url, None, &initialize()),
        server.key("reader"),
    ));
    let begun = begun.await;
    let session = begun.header("mcp-session-id");
    for (name, status) in [("full", 404), ("writer", 404), ("reader", 200)] {
        let request = message(url, Some(session), &list);
        let answer = client.send(with_key(request, server.key(name))).await;
        assert_eq!(answer.status, status, "{name}: {answer:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_signing_example_shows_what_a_signature_holds_fast() {
    let output = run("signed_client", &[]).await;
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().collect();
    for (line, (start, part)) in lines.iter().zip([
        (
            "body changed: 401 Unauthorized ",
            r#""code":"invalid_signature""#,
        ),
        ("signed: 200 OK ci-bot sent ", r#""text":"hello""#),
        (
            "sent again: 401 Unauthorized ",
            r#""code":"replayed_request""#,
        ),
        (
            "not signed: 401 Unauthorized ",
            r#""code":"missing_signature""#,
        ),
    ]) {
        assert!(line.starts_with(start) && line.contains(part), "{line}");
    }
    assert_eq!(lines.len(), 4);
    assert!(!text.contains("mcp_sk_"));
}

#[tokio::test]
async fn the_signing_example_serves_until_it_is_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start("signed_client", &[], directory.path(), SIGNED_CLIENT).await;
    let (url, key) = (server.word("listening"), server.word("key"));
    let client = Client::http1();
    let answer = client.get(url, &[("authorization", &bearer(key))]).await;
    assert_eq!(answer.refusal(), (401, "missing_signature".to_owned()));
    let answer = client.get(url, &[]).await;
    assert_eq!(answer.refusal(), (401, "missing_api_key".to_owned()));
    server.stop().await;
}

#[tokio::test]
async fn the_store_example_passes_the_suite_and_serves_keys() {
    let output = run("custom_store", &[]).await;
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with("the suite passes, on "), "{text}");
    assert_eq!(
        lines[1..],
        [
            "new key: 200 OK",
            "after a restart: 200 OK",
            "revoked: 401 Unauthorized",
            "after another restart: 401 Unauthorized",
        ]
    );
}

/// The server addresses of the environment, or nothing with a note.
#[cfg(feature = "cli")]
async fn services() -> Option<(backends::Schema, String)> {
    let schema = backends::schema().await?;
    let redis = std::env::var("REDIS_URL").ok();
    let required = std::env::var("MCP_KEYS_REQUIRE_SERVICES").is_ok_and(|on| on == "1");
    assert!(redis.is_some() || !required, "there is no REDIS_URL");
    Some((schema, redis?))
}

#[cfg(feature = "cli")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fleet_example_shows_one_limit_and_one_revocation_on_two_gateways() {
    let Some((schema, redis)) = services().await else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let mut command = command("fleet", &[], directory.path());
    command
        .env("DATABASE_URL", &schema.url)
        .env("REDIS_URL", redis);
    let output = soon(command.output()).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let [_, _, limit, revoke, one, two] = lines[..] else {
        panic!("{text}");
    };
    // One more comes free each minute.
    let exact = |count| limit.starts_with(&format!("limit 60: {count} of 120 requests admitted, "));
    assert!(exact(60) || exact(61), "{limit}");
    let millis = |line: &str| -> Vec<f64> {
        let words: Vec<_> = line.split_whitespace().collect();
        let values = words.windows(2).filter(|pair| pair[1].starts_with("ms"));
        values.map(|pair| pair[0].parse().unwrap()).collect()
    };
    let [_, returned] = millis(revoke)[..] else {
        panic!("{revoke}");
    };
    for gateway in [one, two] {
        let [admitted, refused] = millis(gateway)[..] else {
            panic!("{gateway}");
        };
        // A lost word costs no more than a poll.
        assert!(admitted - returned <= 2_500.0, "{text}");
        assert!(refused - returned <= 2_500.0, "{text}");
    }
}

#[cfg(feature = "cli")]
#[tokio::test]
async fn the_fleet_example_says_what_it_needs() {
    let directory = tempfile::tempdir().unwrap();
    let mut without = command("fleet", &[], directory.path());
    without.env_remove("DATABASE_URL").env_remove("REDIS_URL");
    let output = soon(without.output()).await.unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("DATABASE_URL") && text.contains("REDIS_URL"),
        "{text}"
    );
    assert!(output.stdout.is_empty());
}

#[tokio::test]
async fn an_option_that_an_example_does_not_know_is_named_and_ends_it_with_2() {
    for example in [
        "quickstart",
        "axum",
        "hyper",
        "mcp_tools",
        "signed_client",
        "tonic",
    ] {
        for (arguments, problem) in [
            (&["--colour"][..], "unknown option --colour"),
            (&["--listen"], "--listen needs "),
            (&["--listen", "nowhere"], "--listen needs "),
        ] {
            let output = run(example, arguments).await;
            assert_eq!(output.status.code(), Some(2), "{output:?}");
            let text = String::from_utf8(output.stderr).unwrap();
            assert!(text.starts_with(problem), "{text}");
            assert!(text.contains(&format!("usage: {example} ")), "{text}");
            assert!(output.stdout.is_empty());
        }
    }
}
