//! M: one key for each app.

use http::Method;
use mcp_api_keys::{ApiKeys, ApiKeysBuilder, KeyFormat};
use serde_json::json;
use tokio::time::Instant;

use crate::office::{leaks, text};
use crate::site::{BOUND, Host, Site, admitted, office_page, refused};

#[tokio::test]
async fn m1_a_key_is_mgw_and_32_random_characters_that_secret_scanners_find() {
    let site = Site::with(&["files"]).await;
    let made = site.create("--name app --server files --format plain --prefix mgw_");
    let key = made.key();
    let random = key.strip_prefix("mgw_").unwrap();
    assert_eq!(random.len(), 32);
    assert!(random.bytes().all(|b| b.is_ascii_alphanumeric()));
    let patterns = site.office.json("formats --format plain --prefix mgw_");
    let pattern = text(&patterns["formats"][0]["pattern"]);
    assert_eq!(pattern, r"\bmgw_[0-9A-Za-z]{32}\b");
    let app = |keys: &ApiKeys| office_page(keys);
    let accepting = |builder: ApiKeysBuilder| {
        builder.accept_format(KeyFormat::new("mgw_").unwrap().without_checksum())
    };
    let made = site.create("--name app --owner ada --format plain --prefix mgw_");
    let host = Host::of(&site.office, accepting, app).await;
    assert_eq!(
        host.ask(Method::GET, "/keys", &made.key()).await,
        admitted()
    );
}

#[tokio::test]
async fn m2_a_key_is_shown_exactly_once() {
    let site = Site::with(&["files"]).await;
    let shown = site.office.text("create --name app --server files");
    let key = shown
        .lines()
        .find(|line| line.starts_with("mcp_sk_"))
        .unwrap();
    assert_eq!(shown.matches(key).count(), 1, "{shown}");
    assert_eq!(site.ask("files", key).await, admitted());
    let id = text(&site.office.json("list")["keys"][0]["id"]);
    for line in [
        "list".to_owned(),
        format!("show {id}"),
        format!("usage {id}"),
        format!("update {id} --name app-2"),
        format!("disable {id}"),
        format!("enable {id}"),
        "audit".to_owned(),
        "safety".to_owned(),
    ] {
        for line in [line.clone(), format!("--json {line}")] {
            let later = site.office.text(&line);
            assert!(!leaks(key, later.as_bytes()), "{line}: {later}");
        }
    }
}

#[tokio::test]
async fn m5_after_regenerating_the_old_key_gets_authentication_errors_within_seconds() {
    let site = Site::with(&["files"]).await;
    let made = site.create("--name app --server files");
    // Used, and so remembered by the gateway.
    for _ in 0..3 {
        assert_eq!(site.ask("files", &made.key()).await, admitted());
    }
    let renewed = site.office.json(&format!("rotate {}", made.id()));
    let regenerated = Instant::now();
    site.soon("files", &made.key(), (401, "invalid_api_key"))
        .await;
    assert!(regenerated.elapsed() < BOUND);
    let answer = site.get("/files/mcp", &made.key()).await;
    assert_eq!(answer.json()["error"]["type"], "authentication_error");
    assert!(
        answer.header("www-authenticate").starts_with("Bearer"),
        "{answer:?}"
    );
    assert_eq!(site.ask("files", &text(&renewed["key"])).await, admitted());
}

#[tokio::test]
async fn m6_a_key_opens_only_what_is_configured_for_its_app() {
    let site = Site::with(&["desktop", "editor"]).await;
    let desktop = site.create("--name desktop --server desktop --rate 2/h");
    let editor = site.create("--name editor --server editor --quota 3/day");
    let elsewhere = refused(403, "server_not_allowed");
    assert_eq!(site.ask("editor", &desktop.key()).await, elsewhere);
    assert_eq!(site.ask("desktop", &editor.key()).await, elsewhere);

    // Each app has its own tools, on one server as well.
    let tools = [("reader", "read_*"), ("writer", "write_*")];
    let [reader, writer] = tools.map(|(name, tools)| {
        let options = format!("--name {name} --server desktop --allow-tool {tools}");
        site.create(&options).key()
    });
    let denied = || Err("tool_not_allowed".to_owned());
    assert_eq!(site.call("desktop", &reader, "read_note").await, Ok(()));
    assert_eq!(site.call("desktop", &reader, "write_note").await, denied());
    assert_eq!(site.call("desktop", &writer, "write_note").await, Ok(()));
    assert_eq!(site.call("desktop", &writer, "read_note").await, denied());

    // Each app has its own limits, and using up one's leaves the other's whole.
    for _ in 0..2 {
        assert_eq!(site.ask("desktop", &desktop.key()).await, admitted());
    }
    assert_eq!(
        site.ask("desktop", &desktop.key()).await,
        refused(429, "rate_limit_exceeded")
    );
    for _ in 0..3 {
        assert_eq!(site.ask("editor", &editor.key()).await, admitted());
    }
    assert_eq!(
        site.ask("editor", &editor.key()).await,
        refused(429, "quota_exceeded")
    );

    // What is configured for one changes nothing for the other.
    site.office.json(&format!(
        "update {} --no-rates --server editor",
        desktop.id()
    ));
    site.soon("editor", &desktop.key(), (200, "")).await;
    assert_eq!(site.ask("desktop", &desktop.key()).await, elsewhere);
    assert_eq!(
        site.ask("editor", &editor.key()).await,
        refused(429, "quota_exceeded")
    );
    let shown = site.office.json(&format!("show {}", editor.id()));
    assert_eq!(shown["quota_status"][0]["used"], json!(3));
}
