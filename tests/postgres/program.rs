//! The program on a PostgreSQL database.

use std::process::{Command, Output};

use crate::world::schema;

fn run(store: &str, arguments: &[&str]) -> (bool, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_mcp-keys"))
        .arg("--store")
        .arg(store)
        .args(arguments)
        .env_remove("MCP_KEYS_STORE")
        .env_remove("MCP_KEYS_PEPPER")
        .output()
        .unwrap();
    let text = [stdout, stderr].concat();
    (status.success(), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn the_program_manages_keys_in_postgresql() {
    let schema = schema!();
    let (done, made) = run(
        &schema.url,
        &["create", "--name", "ci-bot", "--all-servers"],
    );
    assert!(done, "{made}");
    assert!(made.contains("mcp_sk_"), "{made}");
    let (done, list) = run(&schema.url, &["list"]);
    assert!(done, "{list}");
    assert!(list.contains("ci-bot"), "{list}");
    let url = schema.url.replacen("postgres://", "postgresql://", 1);
    let (done, list) = run(&url, &["--json", "list"]);
    assert!(done, "{list}");
    assert!(list.contains("ci-bot"), "{list}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_told_without_the_password() {
    let (done, told) = run("postgres://ada:hunter2@127.0.0.1:1/keys", &["list"]);
    assert!(!done);
    assert!(told.contains("database"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
}
