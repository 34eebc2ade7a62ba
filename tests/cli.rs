//! The program `mcp-keys`, run as people and scripts run it.
//!
//! Rows of the list of features that the crate unites (G1, O3 and so on) are tests named after them.

#![cfg(feature = "cli")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::fs;
use std::io::Read as _;
use std::process::{Command, Output, Stdio};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use mcp_api_keys::client_ip::PeerAddr;
use mcp_api_keys::store::SqliteStore;
use mcp_api_keys::{ApiKeyLayer, ApiKeys, KeyFormat};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::{Layer as _, ServiceExt as _, service_fn};

/// A folder with a store in it, and the program to work on that.
struct Office {
    folder: TempDir,
}

/// How one run of the program went.
#[derive(Debug)]
struct Run {
    code: i32,
    out: String,
    err: String,
}

impl Office {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn url(&self) -> String {
        format!("sqlite://{}", self.folder.path().join("keys.db").display())
    }

    fn command(&self, line: &str) -> Command {
        let mut command = bare(line);
        command.env("MCP_KEYS_STORE", self.url());
        command
    }

    fn run(&self, line: &str) -> Run {
        Run::of(&self.command(line).output().unwrap())
    }

    /// A run that succeeds and says nothing on stderr; its stdout.
    fn text(&self, line: &str) -> String {
        let run = self.run(line);
        assert_eq!((run.code, run.err.as_str()), (0, ""), "{line}: {run:?}");
        run.out
    }

    /// The same with `--json`: one object on one line.
    fn json(&self, line: &str) -> Value {
        let text = self.text(&format!("--json {line}"));
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    /// The error of a run that fails, as programs read it.
    fn error(&self, code: i32, line: &str) -> Value {
        let run = self.run(&format!("--json {line}"));
        assert_eq!((run.code, run.out.as_str()), (code, ""), "{line}: {run:?}");
        let error: Value = serde_json::from_str(&run.err).unwrap();
        assert!(error["error"]["message"].is_string(), "{error}");
        error["error"].clone()
    }

    /// Makes a key; what is shown of it.
    fn create(&self, options: &str) -> Value {
        self.json(&format!("create {options}"))
    }

    fn names(&self, options: &str) -> Vec<String> {
        let page = self.json(&format!("list {options}"));
        let keys = page["keys"].as_array().unwrap();
        keys.iter().map(|key| text(&key["name"])).collect()
    }

    async fn keys(&self) -> ApiKeys {
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
    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().expect("it ended by itself"),
            out: String::from_utf8(output.stdout.clone()).unwrap(),
            err: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }
}

/// The program without a store and without anything of the caller's environment.
fn bare(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-keys"));
    for name in [
        "MCP_KEYS_STORE",
        "MCP_KEYS_PEPPER",
        "MCP_KEYS_PREVIOUS_PEPPERS",
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
fn words(line: &str) -> Vec<String> {
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

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value}"))
        .to_owned()
}

/// The part of a default key that nobody may ever see again: behind the handle, without checksum.
fn secret_of(key: &str) -> &str {
    key.strip_prefix("mcp_sk_").unwrap().get(8..32).unwrap()
}

/// Whether any eight characters of a key's secret stand in `place`.
fn leaks(key: &str, place: &[u8]) -> bool {
    let secret = secret_of(key).as_bytes();
    secret
        .windows(8)
        .any(|part| place.windows(8).any(|seen| seen == part))
}

/// What a server behind `layer` answers to a request with `key`: its status and the refusal's code.
async fn ask(layer: ApiKeyLayer, key: &str, from: &str) -> (u16, String) {
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

const HOME: &str = "127.0.0.1";

fn admitted() -> (u16, String) {
    (200, String::new())
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

// --- the commands, for people and for programs ---

#[test]
fn create_shows_the_key_on_a_line_of_its_own_after_saying_so() {
    let office = Office::new();
    let shown = office.text("create --name ci-bot --server files");
    let lines: Vec<_> = shown.lines().collect();
    assert!(lines[0].contains("shown this once"), "{shown}");
    let key = lines.iter().find(|line| line.starts_with("mcp_sk_"));
    assert_eq!(key.unwrap().len(), 45, "{shown}");
    for part in ["ci-bot", "files", "active", "never", "key_"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn create_answers_programs_with_everything_that_was_set() {
    let office = Office::new();
    let made = office.create("--name ci-bot --description 'builds things' --owner ada --server mail --server files --scope files:read --scope models:* --allow-ip 203.0.113.0/24 --allow-ip 2001:db8::1 --deny-ip 203.0.113.66 --rate 60/min:10 --rate day=5000/day --expires-at 2099-01-31T00:00:00Z --metadata environment=production --metadata formula=a=b --inactive");
    let expected = json!({
        "name": "ci-bot",
        "description": "builds things",
        "owner": "ada",
        "status": "disabled",
        "servers": ["files", "mail"],
        "scopes": ["files:read", "models:*"],
        "networks": { "allow": ["203.0.113.0/24", "2001:db8::1"], "deny": ["203.0.113.66"] },
        "limits": [
            { "name": "default", "count": 60, "per": "minute", "burst": 10 },
            { "name": "day", "count": 5000, "per": "day" },
        ],
        "metadata": { "environment": "production", "formula": "a=b" },
        "expires_at": "2099-01-31T00:00:00Z",
        "last_used_at": null,
        "revision": 1,
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&made[field], value, "{field}");
    }
    let key = text(&made["key"]);
    let handle = text(&made["handle"]);
    assert!(key.starts_with(&format!("mcp_sk_{handle}")));
    assert_eq!(text(&made["masked"]), format!("mcp_sk_{handle}…"));
    assert!(text(&made["id"]).starts_with("key_"));
    assert_eq!(made["created_at"], made["updated_at"]);

    let mut shown = office.json(&format!("show {handle}"));
    assert!(shown.get("key").is_none(), "{shown}");
    shown["key"] = made["key"].clone();
    assert_eq!(shown, made);
}

#[test]
fn a_key_is_found_by_id_by_handle_and_as_it_is_shown() {
    let office = Office::new();
    let made = office.create("--name k");
    let masked = text(&made["masked"]);
    for name in [
        text(&made["id"]),
        text(&made["handle"]),
        masked.clone(),
        masked.trim_end_matches('…').to_owned(),
        masked.replace('…', "..."),
    ] {
        assert_eq!(
            office.json(&format!("show {name}"))["id"],
            made["id"],
            "{name}"
        );
    }
    assert!(office.text(&format!("show {masked}")).contains("active"));
}

#[test]
fn a_whole_key_on_the_command_line_is_understood_with_a_warning_and_never_repeated() {
    let office = Office::new();
    for writing in [
        "--format default",
        "--format plain --prefix mgw_",
        "--format segmented --prefix ok1 --owner ada-l",
    ] {
        let args = format!("--name k {writing}");
        let made = office.create(&args);
        let key = text(&made["key"]);
        let run = office.run(&format!("show {key}"));
        assert_eq!(run.code, 0, "{run:?}");
        assert!(run.out.contains(&text(&made["id"])), "{run:?}");
        assert!(
            run.err.contains("keys do not belong on command lines"),
            "{run:?}"
        );
        let tail = &key[key.len() - 20..];
        assert!(
            !run.out.contains(tail) && !run.err.contains(tail),
            "{run:?}"
        );

        let run = office.run(&format!("--json show {key}"));
        let warning: Value = serde_json::from_str(&run.err).unwrap();
        assert_eq!(warning["warning"]["code"], "key_on_command_line");
        assert!(!run.err.contains(tail));
    }
}

#[test]
fn a_key_pasted_into_the_wrong_place_is_not_repeated_by_the_error() {
    let office = Office::new();
    let key = text(&office.create("--name k")["key"]);
    for args in [
        &format!("show x {key}"),
        &key,
        &format!("create --name x --scope {key} --allow-ip {key}"),
        &format!("list --after {key}"),
        &format!("list --status {key}"),
        &format!("--store {key} list"),
        &format!("show {key}x"),
    ] {
        for json in [false, true] {
            let mut command = office.command(args);
            if json {
                command.arg("--json");
            }
            let run = Run::of(&command.output().unwrap());
            assert_ne!(run.code, 0, "{args:?}");
            assert!(!leaks(&key, run.err.as_bytes()), "{run:?}");
            assert_eq!(run.out, "");
        }
    }
}

#[test]
fn list_shows_people_a_table_and_programs_a_page() {
    let office = Office::new();
    office.create("--name one --owner ada --all-servers --scope *");
    office.create("--name two --expires-in 30d --inactive");
    let table = office.text("list");
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    for word in [
        "KEY", "NAME", "OWNER", "STATUS", "SERVERS", "SCOPES", "CREATED", "EXPIRES",
    ] {
        assert!(lines[0].contains(word), "{word}: {table}");
    }
    for word in ["one", "ada", "active", "all", "*", "never", "mcp_sk_"] {
        assert!(lines[1].contains(word), "{word}: {table}");
    }
    for word in ["two", "disabled", "none"] {
        assert!(lines[2].contains(word), "{word}: {table}");
    }
    let page = office.json("list");
    assert_eq!(page["keys"].as_array().unwrap().len(), 2);
    assert_eq!(page["next"], Value::Null);
    assert_eq!(page["keys"][0]["servers"], "all");
    assert_eq!(page["keys"][0]["last_used_at"], Value::Null);
}

#[test]
fn an_empty_list_is_no_failure() {
    let office = Office::new();
    assert_eq!(office.json("list"), json!({ "keys": [], "next": null }));
    let run = office.run("list");
    assert_eq!((run.code, run.out.as_str()), (0, ""));
}

#[test]
fn list_filters_by_everything_it_offers() {
    let office = Office::new();
    office.create("--name Build-Bot --owner ada --server files");
    office.create("--name mail-bot --owner bob --server mail --inactive");
    office.create("--name root --all-servers --expires-in 3d");
    let gone = office.create("--name gone --server files");
    office.json(&format!("revoke {}", text(&gone["id"])));

    assert_eq!(office.names(""), ["Build-Bot", "mail-bot", "root"]);
    assert_eq!(
        office.names("--all"),
        ["Build-Bot", "mail-bot", "root", "gone"]
    );
    assert_eq!(office.names("--owner ada"), ["Build-Bot"]);
    assert_eq!(office.names("--server files"), ["Build-Bot", "root"]);
    assert_eq!(office.names("--status active"), ["Build-Bot", "root"]);
    assert_eq!(office.names("--status disabled"), ["mail-bot"]);
    assert_eq!(office.names("--status revoked"), ["gone"]);
    assert_eq!(office.names("--name BOT"), ["Build-Bot", "mail-bot"]);
    assert_eq!(office.names("--expires-before 4d"), ["root"]);
    assert_eq!(
        office.names("--expires-before 2099-01-01T00:00:00Z"),
        ["root"]
    );
    assert!(office.names("--expires-before 1d").is_empty());
    assert!(office.names("--owner bob --server files").is_empty());
}

#[test]
fn pages_join_without_gaps_or_repetitions() {
    let office = Office::new();
    let mut all = Vec::new();
    for number in 0..5 {
        all.push(text(&office.create(&format!("--name k{number}"))["id"]));
    }
    all.sort();
    let mut seen = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let from = after.map_or_else(String::new, |after| format!("--after {after}"));
        let page = office.json(&format!("list --limit 2 {from}"));
        let keys = page["keys"].as_array().unwrap();
        assert!((1..=2).contains(&keys.len()));
        seen.extend(keys.iter().map(|key| text(&key["id"])));
        match page["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(seen, all);
    let run = office.run("list --limit 2");
    assert_eq!(run.out.lines().count(), 3);
    assert!(run.err.contains("--after key_"), "{run:?}");
}

#[test]
fn update_sets_what_is_named_and_leaves_the_rest() {
    let office = Office::new();
    let made = office.create("--name k --description d --owner ada --server files --scope a:b --allow-ip 10.0.0.0/8 --deny-ip 10.0.0.1 --rate 60/min --expires-in 30d --metadata a=1 --metadata b=2");
    let handle = text(&made["handle"]);
    let steps: [(&str, Value); 17] = [
        ("--name k2", json!({ "name": "k2" })),
        ("--description e", json!({ "description": "e" })),
        ("--no-description", json!({ "description": null })),
        ("--owner bob", json!({ "owner": "bob" })),
        ("--no-owner", json!({ "owner": null })),
        (
            "--server mail --server web",
            json!({ "servers": ["mail", "web"] }),
        ),
        ("--all-servers", json!({ "servers": "all" })),
        ("--no-servers", json!({ "servers": [] })),
        ("--scope c:d", json!({ "scopes": ["c:d"] })),
        ("--no-scopes", json!({ "scopes": [] })),
        (
            "--allow-ip 192.0.2.0/24",
            json!({ "networks": { "allow": ["192.0.2.0/24"], "deny": ["10.0.0.1"] } }),
        ),
        (
            "--no-ip-rules --deny-ip 192.0.2.9",
            json!({ "networks": { "allow": [], "deny": ["192.0.2.9"] } }),
        ),
        (
            "--no-ip-rules",
            json!({ "networks": { "allow": [], "deny": [] } }),
        ),
        (
            "--rate b=5/s",
            json!({ "limits": [{ "name": "b", "count": 5, "per": "second" }] }),
        ),
        ("--no-rates", json!({ "limits": [] })),
        ("--no-expiry", json!({ "expires_at": null })),
        (
            "--metadata c=3 --metadata b=9 --unset-metadata a",
            json!({ "metadata": { "b": "9", "c": "3" } }),
        ),
    ];
    let mut before = office.json(&format!("show {handle}"));
    for (args, expected) in steps {
        let args = format!("update {handle} {args}");
        let after = office.json(&args);
        for (field, value) in before.as_object().unwrap() {
            if matches!(field.as_str(), "updated_at" | "revision") {
                continue;
            }
            let expected = expected.get(field).unwrap_or(value);
            assert_eq!(&after[field], expected, "{args:?}: {field}");
        }
        assert!(
            after["revision"].as_u64() > before["revision"].as_u64(),
            "{args:?}"
        );
        assert!(after.get("key").is_none());
        before = after;
    }
    let sentence = office.text(&format!("update {handle} --expires-in 1d"));
    assert!(sentence.contains(&handle), "{sentence}");
    assert!(office.json(&format!("show {handle}"))["expires_at"].is_string());
}

#[test]
fn update_of_a_revision_that_is_gone_is_a_conflict_and_changes_nothing() {
    let office = Office::new();
    let made = office.create("--name k");
    let handle = text(&made["handle"]);
    let revision = made["revision"].to_string();
    let update = format!("update {handle} --if-revision {revision}");
    office.json(&format!("{update} --name k2"));
    for more in ["", "--metadata a=b"] {
        let error = office.error(1, &format!("{update} --name k3 {more}"));
        assert_eq!(error["code"], "conflict");
    }
    assert_eq!(office.json(&format!("show {handle}"))["name"], "k2");
}

#[test]
fn two_who_set_different_facts_at_once_lose_none() {
    let office = Office::new();
    let handle = text(&office.create("--name k")["handle"]);
    let children: Vec<_> = (0..4)
        .map(|number| {
            let fact = format!("f{number}=x");
            let mut command = office.command(&format!("update {handle} --metadata {fact}"));
            command.stdout(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let facts = office.json(&format!("show {handle}"))["metadata"].clone();
    assert_eq!(facts, json!({ "f0": "x", "f1": "x", "f2": "x", "f3": "x" }));
}

#[test]
fn an_update_that_names_nothing_is_a_mistake() {
    let office = Office::new();
    let handle = text(&office.create("--name k")["handle"]);
    assert_eq!(
        office.error(2, &format!("update {handle}"))["code"],
        "usage"
    );
    assert_eq!(
        office.error(2, &format!("update {handle} --if-revision 1"))["code"],
        "usage"
    );
}

#[test]
fn disable_and_enable_are_said_in_both_forms() {
    let office = Office::new();
    let handle = text(&office.create("--name k")["handle"]);
    assert_eq!(
        office.json(&format!("disable {handle}"))["status"],
        "disabled"
    );
    assert_eq!(office.json(&format!("enable {handle}"))["status"], "active");
    assert!(
        office
            .text(&format!("disable {handle}"))
            .contains("is disabled")
    );
    assert!(
        office
            .text(&format!("disable {handle}"))
            .contains("is disabled")
    );
    assert!(
        office
            .text(&format!("enable {handle}"))
            .contains("is enabled")
    );
}

#[test]
fn revoke_keeps_the_record_and_the_first_reason() {
    let office = Office::new();
    let handle = text(&office.create("--name k")["handle"]);
    let revoked = office.json(&format!("revoke {handle} --reason 'left the team'"));
    assert_eq!(revoked["status"], "revoked");
    assert_eq!(revoked["revoked_reason"], "left the team");
    assert!(
        office
            .text(&format!("revoke {handle} --reason again"))
            .contains("revoked")
    );
    let shown = office.text(&format!("show {handle}"));
    assert!(
        shown.contains("left the team") && !shown.contains("again"),
        "{shown}"
    );
    for command in ["enable", "disable", "rotate"] {
        assert_eq!(
            office.error(1, &format!("{command} {handle}"))["code"],
            "conflict",
            "{command}"
        );
    }
    let renamed = format!("update {handle} --name x");
    assert_eq!(office.error(1, &renamed)["code"], "conflict");
    let noted = format!("update {handle} --metadata x=y");
    assert_eq!(office.error(1, &noted)["code"], "conflict");
}

#[test]
fn delete_wants_a_yes_and_then_leaves_nothing() {
    let office = Office::new();
    let handle = text(&office.create("--name k")["handle"]);
    let error = office.error(2, &format!("delete {handle}"));
    assert_eq!(error["code"], "usage");
    assert!(text(&error["message"]).contains("--yes"));
    assert_eq!(office.json(&format!("show {handle}"))["status"], "active");
    let gone = office.json(&format!("delete {handle} --yes"));
    assert_eq!(gone["deleted"], true);
    assert_eq!(
        office.error(1, &format!("show {handle}"))["code"],
        "not_found"
    );
    let other = text(&office.create("--name other")["handle"]);
    assert!(
        office
            .text(&format!("delete --yes {other}"))
            .contains("is deleted")
    );
    assert!(office.names("--all").is_empty());
}

#[test]
fn formats_needs_no_store_and_prints_patterns() {
    let default = Run::of(&bare("formats").output().unwrap());
    assert_eq!(default.code, 0);
    assert!(
        default.out.contains(r"\bmcp_sk_[0-9A-Za-z]{38}\b"),
        "{default:?}"
    );
    assert!(default.out.contains(r"-[0-9A-Za-z]{8}-[0-9A-Za-z]{32}\b"));
    let args = "--json formats --format plain --prefix mgw_";
    let plain = Run::of(&bare(args).output().unwrap());
    let plain: Value = serde_json::from_str(&plain.out).unwrap();
    assert_eq!(
        plain["formats"],
        json!([{ "format": "plain", "prefix": "mgw_", "pattern": r"\bmgw_[0-9A-Za-z]{32}\b" }])
    );
}

#[test]
fn completions_know_the_commands_of_every_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let run = Run::of(&bare(&format!("completions {shell}")).output().unwrap());
        assert_eq!(run.code, 0);
        assert!(
            run.out.contains("rotate") && run.out.contains("allow-ip"),
            "{shell}"
        );
    }
}

#[test]
fn help_and_version_need_no_store_and_tell_the_environment() {
    let help = Run::of(&bare("--help").output().unwrap());
    assert_eq!(help.code, 0);
    for word in ["MCP_KEYS_STORE", "MCP_KEYS_PEPPER", "create", "Exit codes"] {
        assert!(help.out.contains(word), "{word}");
    }
    let version = Run::of(&bare("--version").output().unwrap());
    assert!(version.out.starts_with("mcp-keys "), "{version:?}");
    let nothing = Run::of(&bare("").output().unwrap());
    assert_eq!(nothing.code, 2);
    for command in [
        "create",
        "list",
        "show",
        "update",
        "rotate",
        "end-grace",
        "revoke",
        "delete",
        "import",
        "audit",
        "serve",
    ] {
        let help = Run::of(&bare(&format!("{command} --help")).output().unwrap());
        assert_eq!((help.code, help.err.as_str()), (0, ""), "{command}");
    }
}

// --- what goes wrong ---

#[test]
fn bad_input_names_the_option_and_the_field_and_stores_nothing() {
    let office = Office::new();
    let long_name = "n".repeat(201);
    let long_text = "d ".repeat(501);
    let big = format!("a={}", "x ".repeat(9_000));
    let cases: &[(&str, &str, &str)] = &[
        ("--name ''", "--name", "name"),
        (&format!("--name {long_name}"), "--name", "name"),
        ("--name a\u{7}b", "--name", "name"),
        (
            &format!("--name k --description '{long_text}'"),
            "--description",
            "description",
        ),
        ("--name k --owner ''", "--owner", "owner"),
        ("--name k --server a/b", "--server", "servers"),
        ("--name k --server *", "--server", "servers"),
        ("--name k --scope a::b", "--scope", "scopes"),
        ("--name k --scope a*", "--scope", "scopes"),
        ("--name k --allow-ip 10.0.0.1/8", "--allow-ip", "networks"),
        ("--name k --deny-ip localhost", "--deny-ip", "networks"),
        ("--name k --rate 60", "--rate", "limits"),
        ("--name k --rate 0/min", "--rate", "limits"),
        ("--name k --rate 60/min:0", "--rate", "limits"),
        ("--name k --rate A=60/min", "--rate", "limits"),
        ("--name k --rate 1/s --rate 2/s", "--rate", "limits"),
        ("--name k --expires-in soon", "--expires-in", "expires_at"),
        ("--name k --expires-in 0d", "--expires-in", "expires_at"),
        (
            "--name k --expires-at 2020-01-01T00:00:00Z",
            "--expires-at",
            "expires_at",
        ),
        (
            "--name k --expires-at 2099-01-01",
            "--expires-at",
            "expires_at",
        ),
        ("--name k --metadata a", "--metadata", "metadata"),
        ("--name k --metadata =a", "--metadata", "metadata"),
        (
            "--name k --metadata a=1 --metadata a=2",
            "--metadata",
            "metadata",
        ),
        (
            &format!("--name k --metadata '{big}'"),
            "--metadata",
            "metadata",
        ),
        ("--name k --format odd", "--format", "format"),
        ("--name k --format segmented", "--owner", "owner"),
        (
            "--name k --format segmented --owner 'a b'",
            "--owner",
            "owner",
        ),
        ("--name k --prefix x", "--prefix", "prefix"),
        ("--name k --prefix 'a b'", "--prefix", "prefix"),
    ];
    for (args, option, field) in cases {
        let args = format!("create {args}");
        let error = office.error(2, &args);
        assert_eq!(error["field"], *field, "{args:?}: {error}");
        assert!(
            text(&error["message"]).contains(option),
            "{args:?}: {error}"
        );
        assert!(
            ["invalid_input", "usage"].contains(&error["code"].as_str().unwrap()),
            "{error}"
        );
        let said = office.run(&args);
        assert_eq!((said.code, said.out.as_str()), (2, ""));
        assert!(said.err.contains(option), "{said:?}");
    }
    assert!(office.names("--all").is_empty());
}

#[test]
fn bad_input_to_update_changes_nothing() {
    let office = Office::new();
    let handle = text(&office.create("--name k")["handle"]);
    let before = office.json(&format!("show {handle}"));
    let cases: &[(&str, &str)] = &[
        ("--name ''", "name"),
        ("--owner ''", "owner"),
        ("--server a/b", "servers"),
        ("--scope a:*:b", "scopes"),
        ("--allow-ip ::1/64", "networks"),
        ("--rate x=y=1/s", "limits"),
        ("--expires-at 2020-01-01T00:00:00Z", "expires_at"),
        ("--metadata nothing", "metadata"),
        ("--if-revision x --name y", "if_revision"),
    ];
    for (args, field) in cases {
        let args = format!("update {handle} {args}");
        assert_eq!(office.error(2, &args)["field"], *field, "{args:?}");
    }
    let reason = "r ".repeat(300);
    let error = office.error(2, &format!("revoke {handle} --reason '{reason}'"));
    assert_eq!(error["field"], "reason");
    assert_eq!(office.json(&format!("show {handle}")), before);
}

#[test]
fn options_that_contradict_each_other_are_usage_errors() {
    let office = Office::new();
    for args in [
        "create",
        "create --name k --server a --all-servers",
        "create --name k --expires-in 1d --expires-at 2099-01-01T00:00:00Z",
        "create --name k --unknown",
        "update x --owner a --no-owner",
        "update x --no-servers --all-servers",
        "update x --expires-in 1d --no-expiry",
        "rotate x --grace 1h --grace-from-first-use 1h",
        "list --limit",
        "nonsense",
        "show",
    ] {
        assert_eq!(office.error(2, args)["code"], "usage", "{args:?}");
    }
    assert_eq!(office.error(2, "list --limit 0")["field"], "limit");
    assert_eq!(office.error(2, "list --status expired")["field"], "status");
    assert_eq!(office.error(2, "list --after x")["field"], "after");
}

#[test]
fn an_unknown_key_is_told_with_code_1() {
    let office = Office::new();
    office.create("--name k");
    let absent = "key_00000000000000000000AB";
    for key in [
        absent,
        "ZZZZZZZZ",
        "mcp_sk_ZZZZZZZZ…",
        "key_x",
        "''",
        "'a b'",
        "é",
    ] {
        let error = office.error(1, &format!("show {key}"));
        assert_eq!(error["code"], "not_found", "{key}");
    }
    let commands: [&str; 6] = [
        &format!("update {absent} --name x"),
        &format!("enable {absent}"),
        &format!("disable {absent}"),
        &format!("rotate {absent}"),
        &format!("revoke {absent}"),
        &format!("delete {absent} --yes"),
    ];
    for args in commands {
        assert_eq!(office.error(1, args)["code"], "not_found", "{args:?}");
        let said = office.run(args);
        assert_eq!(said.err, "mcp-keys: there is no such key\n");
    }
}

#[test]
fn without_a_store_the_error_says_how_to_give_one() {
    for args in ["list", "create --name k", "show x", "serve"] {
        let run = Run::of(&bare(args).output().unwrap());
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{run:?}");
        assert!(
            run.err.contains("--store") && run.err.contains("MCP_KEYS_STORE"),
            "{run:?}"
        );
    }
    let mut empty = bare("list --json");
    let run = Run::of(&empty.env("MCP_KEYS_STORE", "").output().unwrap());
    let error: Value = serde_json::from_str(&run.err).unwrap();
    assert_eq!((run.code, &error["error"]["code"]), (2, &json!("usage")));
}

#[test]
fn a_store_that_cannot_be_opened_is_told_by_its_reason_and_without_its_password() {
    for url in [
        "postgres://ada:hunter2@db/keys",
        "keys.db",
        "sqlite::memory:",
        "sqlite:",
    ] {
        let run = Run::of(&bare(&format!("--store {url} list")).output().unwrap());
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.err.contains("--store"), "{run:?}");
        assert!(!run.err.contains("hunter2"), "{run:?}");
    }
    let office = Office::new();
    let nowhere = format!("sqlite://{}/no/keys.db", office.folder.path().display());
    let run = Run::of(&bare(&format!("--store {nowhere} list")).output().unwrap());
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.err.contains("folder"), "{run:?}");

    fs::write(
        office.folder.path().join("keys.db"),
        "this is no database, it is prose".repeat(99),
    )
    .unwrap();
    assert_eq!(office.error(1, "list")["code"], "corrupt");
}

#[test]
fn the_store_may_be_named_before_or_behind_the_command() {
    let office = Office::new();
    office.create("--name k");
    let url = office.url();
    for args in [
        &format!("--store {url} list"),
        &format!("list --store {url}"),
    ] {
        let run = Run::of(&bare(args).output().unwrap());
        assert!(run.out.contains('k') && run.code == 0, "{run:?}");
    }
}

// --- secrets ---

#[test]
fn a_key_is_shown_by_create_and_rotate_and_nowhere_else() {
    let office = Office::new();
    let made = office.create("--name k --all-servers");
    let id = text(&made["id"]);
    let first = text(&made["key"]);
    let mut keys = vec![first];
    let mut seen = Vec::new();
    let rotated = office.json(&format!("rotate {id}"));
    keys.push(text(&rotated["key"]));
    for args in [
        &format!("show {id}"),
        "audit",
        "list",
        "list --all",
        &format!("update {id} --name k2"),
        &format!("disable {id}"),
        &format!("enable {id}"),
        &format!("revoke {id} --reason test"),
        "formats",
        &format!("delete {id} --yes"),
    ] {
        for json in ["", "--json"] {
            let args = format!("{args} {json}");
            let run = office.run(&args);
            seen.extend(run.out.into_bytes());
            seen.extend(run.err.into_bytes());
        }
    }
    assert!(seen.len() > 2_000);
    for key in &keys {
        assert!(leaks(key, key.as_bytes()), "the scan sees nothing");
        assert!(!leaks(key, &seen));
    }
}

#[test]
fn no_part_of_a_secret_is_in_any_file_of_the_store() {
    let office = Office::new();
    let made = office.create("--name k");
    let rotated = office.json(&format!("rotate {}", text(&made["id"])));
    let mut read = 0;
    for file in fs::read_dir(office.folder.path()).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        read += bytes.len();
        for key in [&made["key"], &rotated["key"]] {
            assert!(!leaks(&text(key), &bytes));
        }
        let handle = text(&rotated["handle"]);
        assert!(bytes.windows(8).any(|part| part == handle.as_bytes()));
    }
    assert!(read > 4_096, "the scan read {read} bytes");
}

#[cfg(unix)]
#[test]
fn the_store_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let office = Office::new();
    office.create("--name k");
    for file in fs::read_dir(office.folder.path()).unwrap() {
        let mode = file.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn a_pepper_is_used_and_a_bad_one_is_refused_without_being_repeated() {
    let office = Office::new();
    let pepper = format!("2026:{}", "0f".repeat(32));
    let with = |args: &str, name: &str, value: &str| {
        Run::of(&office.command(args).env(name, value).output().unwrap())
    };
    let run = with("create --name k", "MCP_KEYS_PEPPER", &pepper);
    assert_eq!(run.code, 0, "{run:?}");
    let stored = fs::read(office.folder.path().join("keys.db")).unwrap();
    assert!(
        stored.windows(5).any(|part| part == b"2026."),
        "no code was stored"
    );

    for name in ["MCP_KEYS_PEPPER", "MCP_KEYS_PREVIOUS_PEPPERS"] {
        for value in ["x", "a:0f0f0f0f0f0f", &format!("a:{}zz", "0f".repeat(32))] {
            let run = with("list", name, value);
            assert_eq!(run.code, 2, "{run:?}");
            assert!(run.err.contains(name), "{run:?}");
            assert!(!run.err.contains("0f0f"), "{run:?}");
        }
    }
    let two = format!("{pepper}, 2025:{}", "1e".repeat(40));
    assert_eq!(with("list", "MCP_KEYS_PREVIOUS_PEPPERS", &two).code, 0);
    let twice = format!("{pepper},{pepper}");
    assert_eq!(with("list", "MCP_KEYS_PREVIOUS_PEPPERS", &twice).code, 2);
}

// --- pipes and processes ---

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let office = Office::new();
    for number in 0..3 {
        office.create(&format!("--name k{number}"));
    }
    for args in ["--json list", "list", "completions bash", "--help"] {
        let mut command = office.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let mut err = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut err)
            .unwrap();
        assert!(child.wait().unwrap().success(), "{args:?}: {err}");
        assert_eq!(err, "", "{args:?}");
    }
}

#[test]
fn a_key_that_nobody_reads_is_reported_as_lost() {
    let office = Office::new();
    let mut command = office.command("create --name k");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let mut err = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut err)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{err}");
    let id = office.json("list")["keys"][0]["id"].clone();
    assert!(err.contains(&text(&id)) && err.contains("lost"), "{err}");
}

#[test]
fn five_processes_create_keys_in_a_new_store_at_once() {
    let office = Office::new();
    let children: Vec<_> = (0..5)
        .map(|number| {
            let name = format!("k{number}");
            let mut command = office.command(&format!("--json create --name {name}"));
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    for child in children {
        let run = Run::of(&child.wait_with_output().unwrap());
        assert_eq!(run.code, 0, "{run:?}");
    }
    let mut names = office.names("");
    names.sort();
    assert_eq!(names, ["k0", "k1", "k2", "k3", "k4"]);
}

// --- what the keys open ---

#[tokio::test]
async fn a_created_key_opens_what_it_was_given_and_nothing_else() {
    let office = Office::new();
    let made = office.create("--name k --server files --scope files:read --allow-ip 203.0.113.0/24 --deny-ip 203.0.113.66 --rate 3/h");
    let key = text(&made["key"]);
    let keys = office.keys().await;
    let files = keys
        .layer()
        .server("files")
        .require_scope("files:read")
        .unwrap();
    let good = "203.0.113.7";
    let ask = async |layer: &ApiKeyLayer, from| ask(layer.clone(), &key, from).await;

    assert_eq!(ask(&files, good).await, admitted());
    let mail = keys.layer().server("mail");
    assert_eq!(ask(&mail, good).await, refused(403, "server_not_allowed"));
    let write = keys
        .layer()
        .server("files")
        .require_scope("files:write")
        .unwrap();
    assert_eq!(ask(&write, good).await, refused(403, "insufficient_scope"));
    assert_eq!(
        ask(&files, "203.0.113.66").await,
        refused(403, "ip_not_allowed")
    );
    assert_eq!(ask(&files, HOME).await, refused(403, "ip_not_allowed"));
    // What was refused has spent nothing of the three.
    assert_eq!(ask(&files, good).await, admitted());
    assert_eq!(ask(&files, good).await, admitted());
    assert_eq!(ask(&files, good).await, refused(429, "rate_limit_exceeded"));
}

#[tokio::test]
async fn keys_of_every_format_open_a_layer_that_accepts_them() {
    let office = Office::new();
    for writing in [
        "--format default",
        "--format plain --prefix mgw_",
        "--format segmented --prefix ok1 --owner ada",
    ] {
        let args = format!("--name k --all-servers {writing}");
        let made = office.create(&args);
        let keys = office.keys().await;
        assert_eq!(
            ask(keys.layer(), &text(&made["key"]), HOME).await,
            admitted(),
            "{writing:?}"
        );
    }
}

#[test]
fn a_rotated_key_keeps_its_prefix_and_a_segmented_one_its_form() {
    let office = Office::new();
    let made = office.create("--name k --prefix acme_");
    let run = office.run(&format!("--json rotate {}", text(&made["id"])));
    let rotated: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(text(&rotated["key"]).len(), "acme_".len() + 38);
    assert!(text(&rotated["key"]).starts_with("acme_"));
    assert_eq!(run.err, "");

    let args = "--name k --format segmented --prefix ok1 --owner ada-l";
    let made = office.create(args);
    let rotated = office.json(&format!("rotate {}", text(&made["id"])));
    assert!(text(&rotated["key"]).starts_with("ok1-ada-l-"), "{rotated}");
    assert_eq!(text(&rotated["key"]).len(), text(&made["key"]).len());

    let plain = office.json(&format!("rotate {} --format plain", text(&made["id"])));
    assert!(text(&plain["key"]).starts_with("mcp_sk_"), "{plain}");
    assert_eq!(text(&plain["key"]).len(), 39);

    // And a plain one stays plain.
    let again = office.json(&format!("rotate {}", text(&made["id"])));
    assert_eq!(text(&again["key"]).len(), 39);

    // The new owner stands in the new key.
    let made = office.create("--name k --format segmented --prefix ok1 --owner ada-l");
    let id = text(&made["id"]);
    office.json(&format!("update {id} --owner bob"));
    let asked = office.json(&format!("rotate {id}"));
    assert!(text(&asked["key"]).starts_with("ok1-bob-"), "{asked}");
}

// --- two secrets for a while ---

#[test]
fn a_rotation_with_grace_tells_the_old_secret_and_its_end() {
    let office = Office::new();
    let made = office.create("--name k");
    let id = text(&made["id"]);
    let rotated = office.json(&format!("rotate {id} --grace 24h"));
    assert_eq!(rotated["previous"]["handle"], made["handle"]);
    assert!(rotated["previous"]["ends_at"].is_string(), "{rotated}");
    let old = text(&made["handle"]);
    let shown = office.text(&format!("show {old}"));
    assert!(shown.contains(&format!("{old}, ends 2")), "{shown}");

    let ended = office.json(&format!("end-grace {id}"));
    assert_eq!(ended.get("previous"), None);
    assert_eq!(ended["handle"], rotated["handle"]);
    assert_eq!(office.json(&format!("end-grace {id}")), ended);
    assert_eq!(
        office.error(1, &format!("end-grace {old}"))["code"],
        "not_found"
    );

    let waiting = office.json(&format!("rotate {id} --grace-from-first-use 1h"));
    assert_eq!(waiting["previous"]["ends_at"], Value::Null);
    assert_eq!(waiting["previous"]["handle"], rotated["handle"]);
    let shown = office.text(&format!("show {id}"));
    assert!(
        shown.contains("when the new secret is first used"),
        "{shown}"
    );
    let leak = office.json(&format!("rotate {id}"));
    assert_eq!(leak.get("previous"), None);
}

#[test]
fn a_grace_that_makes_no_sense_changes_nothing() {
    let office = Office::new();
    let made = office.create("--name k");
    let id = text(&made["id"]);
    for option in ["--grace 0h", "--grace 367d", "--grace soon"] {
        let error = office.error(2, &format!("rotate {id} {option}"));
        assert_eq!(
            (&error["code"], &error["field"]),
            (&json!("invalid_input"), &json!("grace")),
            "{option}"
        );
    }
    let shown = office.json(&format!("show {id}"));
    assert_eq!(shown["handle"], made["handle"]);
}

// --- keys of another system ---

impl Office {
    /// Imports `lines` from standard input; how it went, and the answers.
    fn import(&self, options: &str, lines: &str) -> (Run, Vec<Value>) {
        let file = self.folder.path().join("keys.jsonl");
        fs::write(&file, lines).unwrap();
        let mut command = self.command(&format!("import - {options}"));
        command.stdin(fs::File::open(file).unwrap());
        let run = Run::of(&command.output().unwrap());
        let answers = run.out.lines();
        let answers = answers
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        (run, answers)
    }
}

/// A key of another system, and its SHA-256.
const OTHERS: &str = "mcp_sk_ATgKlpEaBS64QGLizLFNWgSzNfDmYl2D0UvHLX";
const DIGEST: &str = "a2ee9e1d381864b2da8b63a22f778178d5caaf8951143b16278825fa14990eec";

#[tokio::test]
async fn import_answers_line_by_line_keeps_the_good_and_repeats_no_hash() {
    let office = Office::new();
    let bcrypt = "$2b$10$abcdefghijklmno/qrstu.vwxyzABCDEFGHIJ/LMNOPQRSTUVWX.Z012";
    let lines = [
        format!(
            r#"{{"name":"a","handle":"ATgKlpEa","hash":"sha256:{DIGEST}","prefix":"mcp_sk_","servers":"all"}}"#
        ),
        " ".to_owned(),
        format!(r#"{{"name":"again","handle":"ATgKlpEa","hash":"sha256:{DIGEST}"}}"#),
        "{nonsense".to_owned(),
        format!(r#"{{"name":"b","handle":"BTgKlpEa","hash":"md5:{DIGEST}"}}"#),
        format!(r#"{{"name":"b","handle":"BTgKlpEa","servers":"{bcrypt}"}}"#),
        format!(r#"{{"{bcrypt}":"b"}}"#),
        r#"{"name":"b","handle":"BTgKlpEa"}"#.to_owned(),
        format!(
            r#"{{"name":"c","handle":"CTgKlpEa","hash":"sha256:{DIGEST}","access":"read-only"}}"#
        ),
    ];
    let (run, answers) = office.import("", &lines.join("\n"));
    assert_eq!(run.code, 1, "{run:?}");
    assert_eq!(run.err, "2 imported, 6 refused.\n");
    let seen: Vec<_> = answers
        .iter()
        .map(|answer| {
            (
                &answer["line"],
                &answer["error"]["code"],
                &answer["error"]["field"],
            )
        })
        .collect();
    let (null, bad) = (Value::Null, json!("invalid_input"));
    let fields = ["hash", "servers"].map(|field| json!(field));
    let numbers: Vec<_> = (0..10).map(|number| json!(number)).collect();
    let expected = [
        (&numbers[1], &null, &null),
        (&numbers[3], &json!("conflict"), &null),
        (&numbers[4], &bad, &null),
        (&numbers[5], &bad, &fields[0]),
        (&numbers[6], &bad, &fields[1]),
        (&numbers[7], &bad, &null),
        (&numbers[8], &bad, &fields[0]),
        (&numbers[9], &null, &null),
    ];
    assert_eq!(seen, expected, "{}", run.out);
    assert_eq!(
        (&answers[0]["ok"], &answers[1]["ok"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(
        (&answers[0]["handle"], &answers[0]["name"]),
        (&json!("ATgKlpEa"), &json!("a"))
    );
    let said = run.out + &run.err;
    for part in [&DIGEST[..12], &bcrypt[7..19], &bcrypt[30..42]] {
        assert!(!said.contains(part), "{part}: {said}");
    }
    assert_eq!(office.names(""), ["a", "c"]);
    let read = office.json(&format!("show {}", text(&answers[7]["id"])));
    assert_eq!(read["access"], "read-only");
    let keys = office.keys().await;
    assert_eq!(ask(keys.layer(), OTHERS, HOME).await, admitted());
}

#[test]
fn import_of_good_lines_succeeds_and_is_quiet_for_programs() {
    let office = Office::new();
    let line = format!(r#"{{"name":"a","handle":"ATgKlpEa","hash":"sha256:{DIGEST}"}}"#);
    let (run, answers) = office.import("--json", &format!("{line}\r\n\n"));
    assert_eq!((run.code, run.err.as_str(), answers.len()), (0, "", 1));
    // Keys of another format are taken over if the command line says so.
    let line = line
        .replace("ATgK", "BTgK")
        .replace("}", r#","prefix":"mgw_"}"#);
    let (run, answers) = office.import("", &line);
    assert_eq!(
        (run.code, &answers[0]["error"]["field"]),
        (1, &json!("prefix"))
    );
    let (run, answers) = office.import("--format plain --prefix mgw_", &line);
    assert_eq!((run.code, &answers[0]["ok"]), (0, &json!(true)), "{run:?}");
    let (run, answers) = office.import("", "");
    assert_eq!((run.code, answers.len()), (0, 0));

    let file = office.folder.path().join("keys.jsonl");
    fs::write(&file, line.replace("BTgK", "CTgK")).unwrap();
    let answer = office.json(&format!(
        "import --format plain --prefix mgw_ {}",
        file.display()
    ));
    assert_eq!(answer["handle"], "CTgKlpEa");
    assert_eq!(
        office.error(2, "import /nowhere/keys.jsonl")["field"],
        "file"
    );
}

// --- the audit trail ---

#[test]
fn audit_finds_by_key_actor_and_time() {
    let office = Office::new();
    let first = office.create("--name first");
    let second = office.create("--name second --actor eve");
    let id = text(&second["id"]);
    office.json(&format!("delete {id} --yes --actor eve"));
    let count = |options: &str| {
        office
            .text(&format!("--json audit {options}"))
            .lines()
            .count()
    };
    assert_eq!(count(""), 3);
    assert_eq!(count("--limit 2"), 2);
    assert_eq!(count("--actor eve"), 2);
    assert_eq!(count(&format!("--key {id}")), 2);
    assert_eq!(count(&format!("--key {}", text(&first["handle"]))), 1);
    assert_eq!(count("--since 1h"), 3);
    assert_eq!(count("--until 1h"), 0);
    assert_eq!(count("--since 2099-01-01T00:00:00Z"), 0);
    assert_eq!(count("--until 2099-01-01T00:00:00Z"), 3);
    assert_eq!(office.error(2, "audit --since yesterday")["field"], "since");
    let none = office.run("audit --actor nobody");
    assert_eq!((none.code, none.out.as_str()), (0, ""), "{none:?}");
    assert!(none.err.contains("no such entries"), "{none:?}");
}

#[test]
fn the_actor_is_the_user_unless_somebody_else_is_named() {
    let office = Office::new();
    let newest = || office.json("audit --limit 1")["actor"].clone();
    let with = |line: &str, name: &str, value: &str| {
        let run = Run::of(&office.command(line).env(name, value).output().unwrap());
        assert_eq!(run.code, 0, "{run:?}");
    };
    office.create("--name k");
    assert_eq!(newest(), "cli:ada");
    with("create --name k", "MCP_KEYS_ACTOR", "deploy");
    assert_eq!(newest(), "deploy");
    with("create --name k --actor eve", "MCP_KEYS_ACTOR", "deploy");
    assert_eq!(newest(), "eve");
    with("create --name k", "MCP_KEYS_ACTOR", "");
    assert_eq!(newest(), "cli:ada");
    with("create --name k", "USER", "");
    assert_eq!(newest(), "cli");
}

// --- the features the crate unites, row by row ---

#[test]
fn g1_a_key_has_an_id_a_status_a_name_a_masked_token_and_its_projects() {
    let office = Office::new();
    let made = office.create("--name etl --server sales --server stock");
    let shown = office.json(&format!("show {}", text(&made["id"])));
    assert!(text(&shown["id"]).starts_with("key_"));
    assert_eq!(shown["status"], "active");
    assert_eq!(shown["name"], "etl");
    assert_eq!(text(&shown["masked"]).chars().count(), 16);
    assert_eq!(shown["servers"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn g2_a_key_is_created_with_a_name_and_an_initial_status() {
    let office = Office::new();
    let made = office.create("--name later --all-servers --inactive");
    assert_eq!(made["status"], "disabled");
    let keys = office.keys().await;
    let key = text(&made["key"]);
    let before = ask(keys.layer(), &key, HOME).await;
    assert_eq!(before, refused(401, "disabled_api_key"));
    office.json(&format!("enable {}", text(&made["id"])));
    keys.catch_up().await.unwrap();
    assert_eq!(ask(keys.layer(), &key, HOME).await, admitted());
}

#[tokio::test]
async fn g3_only_the_assigned_projects_accept_the_key() {
    let office = Office::new();
    let made = office.create("--name k --server sales --server stock");
    let keys = office.keys().await;
    for (project, expected) in [
        ("sales", admitted()),
        ("stock", admitted()),
        ("payroll", refused(403, "server_not_allowed")),
    ] {
        let layer = keys.layer().server(project);
        assert_eq!(
            ask(layer, &text(&made["key"]), HOME).await,
            expected,
            "{project}"
        );
    }
}

#[tokio::test]
async fn g4_renewing_refuses_the_old_token_at_once() {
    let office = Office::new();
    let made = office.create("--name k --all-servers");
    let keys = office.keys().await;
    let old = text(&made["key"]);
    assert_eq!(ask(keys.layer(), &old, HOME).await, admitted());

    let renewed = office.json(&format!("rotate {}", text(&made["id"])));
    assert_eq!(renewed["id"], made["id"]);
    let new = text(&renewed["key"]);
    assert_ne!(new, old);
    keys.catch_up().await.unwrap();
    assert_eq!(
        ask(keys.layer(), &old, HOME).await,
        refused(401, "invalid_api_key")
    );
    assert_eq!(ask(keys.layer(), &new, HOME).await, admitted());

    let shown = office.text(&format!("rotate {}", text(&made["id"])));
    assert!(shown.contains("shown this once"), "{shown}");
    assert!(
        shown
            .lines()
            .any(|line| line.starts_with("mcp_sk_") && line.len() == 45)
    );
}

#[tokio::test]
async fn g5_name_and_projects_can_be_edited() {
    let office = Office::new();
    let made = office.create("--name k --server sales");
    let keys = office.keys().await;
    let key = text(&made["key"]);
    let id = text(&made["id"]);
    assert_eq!(
        ask(keys.layer().server("sales"), &key, HOME).await,
        admitted()
    );
    let edited = office.json(&format!("update {id} --name k2 --server stock"));
    assert_eq!(
        (&edited["name"], &edited["servers"]),
        (&json!("k2"), &json!(["stock"]))
    );
    keys.catch_up().await.unwrap();
    assert_eq!(
        ask(keys.layer().server("stock"), &key, HOME).await,
        admitted()
    );
    let sales = ask(keys.layer().server("sales"), &key, HOME).await;
    assert_eq!(sales, refused(403, "server_not_allowed"));
}

#[tokio::test]
async fn g6_deleting_is_permanent_and_stops_every_integration() {
    let office = Office::new();
    let made = office.create("--name k --all-servers");
    let keys = office.keys().await;
    let key = text(&made["key"]);
    assert_eq!(ask(keys.layer(), &key, HOME).await, admitted());
    office.json(&format!("delete {} --yes", text(&made["id"])));
    keys.catch_up().await.unwrap();
    assert_eq!(
        ask(keys.layer(), &key, HOME).await,
        refused(401, "invalid_api_key")
    );
    assert!(office.names("--all").is_empty());
}

#[test]
fn g7_the_token_is_readable_only_at_creation_and_at_renewal() {
    let office = Office::new();
    let made = office.create("--name k");
    let renewed = office.json(&format!("rotate {}", text(&made["id"])));
    let later = office
        .json(&format!("show {}", text(&made["id"])))
        .to_string()
        + &office.text("list --all")
        + &office.text(&format!("show {}", text(&made["id"])));
    assert!(later.contains(&text(&renewed["masked"])));
    for key in [&made["key"], &renewed["key"]] {
        assert!(!leaks(&text(key), later.as_bytes()));
    }
}

#[tokio::test]
async fn c3_a_key_with_limited_scopes_does_only_these() {
    let office = Office::new();
    let made = office.create("--name k --all-servers --scope contexts:read --scope models:read");
    let keys = office.keys().await;
    for (scope, expected) in [
        ("contexts:read", admitted()),
        ("models:read", admitted()),
        ("contexts:write", refused(403, "insufficient_scope")),
        ("completions:create", refused(403, "insufficient_scope")),
    ] {
        let layer = keys.layer().require_scope(scope).unwrap();
        assert_eq!(
            ask(layer, &text(&made["key"]), HOME).await,
            expected,
            "{scope}"
        );
    }
}

#[tokio::test]
async fn c4_an_expired_key_is_refused_and_said_to_be_expired() {
    let office = Office::new();
    let made = office.create("--name k --all-servers --expires-in 2s");
    let keys = office.keys().await;
    let key = text(&made["key"]);
    assert_eq!(ask(keys.layer(), &key, HOME).await, admitted());
    tokio::time::sleep(std::time::Duration::from_millis(2_200)).await;
    assert_eq!(
        ask(keys.layer(), &key, HOME).await,
        refused(401, "expired_api_key")
    );
    assert!(office.text("list").contains("expired"));
    assert_eq!(
        office.error(1, &format!("rotate {}", text(&made["id"])))["code"],
        "conflict"
    );
    office.json(&format!("update {} --no-expiry", text(&made["id"])));
    keys.catch_up().await.unwrap();
    assert_eq!(ask(keys.layer(), &key, HOME).await, admitted());
}

#[tokio::test]
async fn c5_a_key_works_only_from_its_addresses() {
    let office = Office::new();
    let made =
        office.create("--name k --all-servers --allow-ip 198.51.100.7 --allow-ip 2001:db8::/32");
    let keys = office.keys().await;
    for (from, expected) in [
        ("198.51.100.7", admitted()),
        ("[2001:db8::9]", admitted()),
        ("[::ffff:198.51.100.7]", admitted()),
        ("198.51.100.8", refused(403, "ip_not_allowed")),
        ("[2001:db9::9]", refused(403, "ip_not_allowed")),
    ] {
        assert_eq!(
            ask(keys.layer(), &text(&made["key"]), from).await,
            expected,
            "{from}"
        );
    }
}

#[tokio::test]
async fn c8_revocation_is_immediate_and_permanent() {
    let office = Office::new();
    let made = office.create("--name k --all-servers");
    let keys = office.keys().await;
    let key = text(&made["key"]);
    assert_eq!(ask(keys.layer(), &key, HOME).await, admitted());
    office.json(&format!("revoke {}", text(&made["id"])));
    keys.catch_up().await.unwrap();
    assert_eq!(
        ask(keys.layer(), &key, HOME).await,
        refused(401, "invalid_api_key")
    );
    let error = office.error(1, &format!("enable {}", text(&made["id"])));
    assert_eq!(error["code"], "conflict");
}

#[test]
fn c12_a_key_may_be_read_only_and_be_made_a_full_one() {
    let office = Office::new();
    let made = office.create("--name k --all-servers --read-only");
    assert_eq!(made["access"], "read-only");
    assert_eq!(office.create("--name full")["access"], "full");
    let id = text(&made["id"]);
    assert!(office.text(&format!("show {id}")).contains("read-only"));
    let list = office.text("list");
    assert_eq!(list.matches("read-only").count(), 1, "{list}");
    let full = office.json(&format!("update {id} --access full"));
    assert_eq!(full["access"], "full");
    let back = office.json(&format!("update {id} --access read-only"));
    assert_eq!(back["access"], "read-only");
    let error = office.error(2, &format!("update {id} --access none"));
    assert_eq!(error["field"], "access");
}

#[tokio::test]
async fn r2_both_secrets_work_during_the_grace_and_then_the_new_one_alone() {
    let office = Office::new();
    let made = office.create("--name k --all-servers");
    let id = text(&made["id"]);
    let keys = office.keys().await;
    let rotated = office.json(&format!("rotate {id} --grace 24h"));
    keys.catch_up().await.unwrap();
    for key in [&made["key"], &rotated["key"]] {
        assert_eq!(ask(keys.layer(), &text(key), HOME).await, admitted());
    }
    office.json(&format!("end-grace {id}"));
    keys.catch_up().await.unwrap();
    assert_eq!(
        ask(keys.layer(), &text(&rotated["key"]), HOME).await,
        admitted()
    );
    let old = ask(keys.layer(), &text(&made["key"]), HOME).await;
    assert_eq!(old, refused(401, "invalid_api_key"));
}

#[test]
fn g8_every_change_by_the_command_line_is_in_the_trail() {
    let office = Office::new();
    let made = office.create("--name k --server a");
    let id = text(&made["id"]);
    for line in [
        "update KEY --name k2 --server b",
        "disable KEY",
        "enable KEY",
        "rotate KEY --grace 1h",
        "end-grace KEY",
        "revoke KEY --reason done",
        "delete KEY --yes",
    ] {
        office.json(&line.replace("KEY", &id));
    }
    let exported = office.text("--json audit");
    let mut trail: Vec<Value> = exported
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    trail.reverse();
    let actions: Vec<_> = trail.iter().map(|entry| text(&entry["action"])).collect();
    let expected = [
        "issued",
        "updated",
        "disabled",
        "enabled",
        "rotated",
        "grace_ended",
        "revoked",
        "deleted",
    ];
    assert_eq!(actions, expected);
    for entry in &trail {
        assert_eq!(
            (&entry["actor"], &entry["key"]),
            (&json!("cli:ada"), &made["id"])
        );
    }
    assert_eq!(trail[1]["before"]["name"], "k");
    assert_eq!(trail[1]["after"]["name"], "k2");
    assert!(!leaks(&text(&made["key"]), exported.as_bytes()));

    let table = office.text("audit");
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("TIME"), "{table}");
    assert!(
        lines[1].contains("deleted") && lines[8].contains("issued"),
        "{table}"
    );
    assert!(lines[7].ends_with("name, servers"), "{table}");
    assert!(lines[4].ends_with("handle, previous"), "{table}");
    assert!(table.contains(&text(&made["handle"])), "{table}");
}

#[test]
fn c11_a_key_carries_free_form_facts() {
    let office = Office::new();
    let made = office.create("--name k --metadata environment=production --metadata service=billing --metadata owner=platform --metadata contact=ops@example.com");
    let expected = json!({
        "environment": "production", "service": "billing",
        "owner": "platform", "contact": "ops@example.com",
    });
    assert_eq!(made["metadata"], expected);
    let shown = office.text(&format!("show {}", text(&made["id"])));
    assert!(shown.contains("contact=ops@example.com"), "{shown}");
}

#[tokio::test]
async fn o3_a_key_without_an_expiry_is_valid_until_deleted() {
    let office = Office::new();
    let made = office.create("--name k --owner ada --all-servers");
    assert_eq!(made["expires_at"], Value::Null);
    let dated = office.create("--name d --owner ada --expires-in 30d");
    assert!(dated["expires_at"].is_string());
    let keys = office.keys().await;
    assert_eq!(
        ask(keys.layer(), &text(&made["key"]), HOME).await,
        admitted()
    );
}

#[test]
fn o6_a_name_is_required_and_a_description_optional() {
    let office = Office::new();
    let error = office.error(2, "create --description 'no name'");
    assert!(text(&error["message"]).contains("--name"), "{error}");
    assert_eq!(office.create("--name k")["description"], Value::Null);
    let made = office.create("--name k --description 'for the laptop'");
    assert_eq!(made["description"], "for the laptop");
}

#[test]
fn o7_a_listing_has_what_owners_ask_for() {
    let office = Office::new();
    office.create("--name k --description d --owner ada --server files");
    let key = office.json("list --owner ada")["keys"][0].clone();
    for (field, value) in [
        ("name", json!("k")),
        ("description", json!("d")),
        ("servers", json!(["files"])),
        ("last_used_at", Value::Null),
        ("expires_at", Value::Null),
    ] {
        assert_eq!(key.get(field), Some(&value), "{field}");
    }
    assert!(key["created_at"].is_string());
}

#[test]
fn m1_keys_may_be_mgw_and_32_characters() {
    let office = Office::new();
    let made = office.create("--name app --format plain --prefix mgw_");
    let key = text(&made["key"]);
    let random = key.strip_prefix("mgw_").unwrap();
    assert_eq!(random.len(), 32);
    assert!(random.bytes().all(|b| b.is_ascii_alphanumeric()));
    let patterns = office.json("formats --format plain --prefix mgw_");
    assert_eq!(
        patterns["formats"][0]["pattern"],
        r"\bmgw_[0-9A-Za-z]{32}\b"
    );
}

#[test]
fn m2_a_key_is_shown_exactly_once() {
    let office = Office::new();
    let shown = office.text("create --name k");
    let key = shown
        .lines()
        .find(|line| line.starts_with("mcp_sk_"))
        .unwrap();
    assert_eq!(shown.matches(key).count(), 1, "{shown}");
    assert_eq!(shown.matches(secret_of(key)).count(), 1, "{shown}");
    let later = office.text("list") + &office.json("list").to_string();
    assert!(!leaks(key, later.as_bytes()));
}
