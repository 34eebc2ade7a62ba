//! Who gets in, where, and what is known of them behind.

use http::Request;
use mcp_api_keys::NewKey;
use serde_json::json;

use crate::support::{Client, bearer, issue, secret};
use crate::world::{Gateway, header, mirror, named_mirror, tells};

#[tokio::test]
async fn a_key_opens_the_server_from_each_of_its_places_and_is_gone_behind() {
    let upstream = mirror().await;
    let gateway = Gateway::start(&["--upstream", &upstream.url(""), "--path-keys"]).await;
    let key = gateway.key().await;
    let client = Client::http1();
    let plain = gateway.url("/mcp?a=b");
    let bearer = bearer(&key);
    for (url, headers) in [
        (plain.clone(), vec![("authorization", bearer.as_str())]),
        (plain.clone(), vec![("x-api-key", &key)]),
        (gateway.url(&format!("/mcp/{key}?a=b")), vec![]),
    ] {
        let answer = client.get(&url, &headers).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let seen = answer.json();
        assert_eq!(seen["uri"], "/mcp?a=b");
        assert!(!tells(&answer.text, &key), "{answer:?}");
        assert_eq!(header(&seen, "authorization"), "");
        assert_eq!(header(&seen, "x-api-key"), "");
    }
    let below = gateway.url(&format!("/mcp/{key}/messages"));
    let answer = client.get(&below, &[("referer", &below)]).await;
    assert_eq!(answer.json()["uri"], "/mcp/messages");
    assert!(!tells(&answer.text, &key), "{answer:?}");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");

    let answer = client.get(&plain, &[]).await;
    assert_eq!(answer.refusal(), (401, "missing_api_key".to_owned()));
}

#[tokio::test]
async fn without_path_keys_a_path_with_a_key_is_neither_read_nor_passed_on() {
    let upstream = mirror().await;
    let gateway = Gateway::before(&upstream).await;
    let key = gateway.key().await;
    let url = gateway.url(&format!("/mcp/{key}"));
    let answer = Client::http1().get(&url, &[]).await;
    assert_eq!(answer.refusal(), (401, "missing_api_key".to_owned()));
    let answer = Client::http1().get(&url, &[("x-api-key", &key)]).await;
    assert_eq!(answer.refusal(), (404, "not_found".to_owned()));
}

#[tokio::test]
async fn each_route_wants_a_key_for_itself() {
    let (files, mail) = (named_mirror("files").await, named_mirror("mail").await);
    let gateway = Gateway::start(&[
        "--route",
        &format!("files={}", files.url("")),
        "--route",
        &format!("mail={}", mail.url("/inbox/mcp/")),
        "--path-keys",
    ])
    .await;
    let client = Client::http1();
    let key = gateway.key_for("files").await;
    let with_key = [("x-api-key", key.as_str())];

    let answer = client.get(&gateway.url("/files/mcp/x"), &with_key).await;
    assert_eq!(
        (&answer.json()["name"], &answer.json()["uri"]),
        (&json!("files"), &json!("/mcp/x"))
    );
    let answer = client
        .get(&gateway.url(&format!("/files/mcp/{key}")), &[])
        .await;
    assert_eq!(answer.json()["uri"], "/mcp");
    for path in ["/mail/mcp", "/mail/mcp/x"] {
        let answer = client.get(&gateway.url(path), &with_key).await;
        assert_eq!(answer.refusal(), (403, "server_not_allowed".to_owned()));
    }
    let all = gateway.key().await;
    for (path, uri) in [
        ("/mail/mcp", "/inbox/mcp/"),
        ("/mail/mcp/x", "/inbox/mcp/x"),
    ] {
        let answer = client.get(&gateway.url(path), &[("x-api-key", &all)]).await;
        assert_eq!(
            (&answer.json()["name"], &answer.json()["uri"]),
            (&json!("mail"), &json!(uri))
        );
    }
    // The way from one server's part to another's.
    for path in ["/files/mcp/../../mail/mcp", "/files/mcp/%2e%2e/mcp"] {
        let answer = client.get(&gateway.url(path), &with_key).await;
        assert_eq!(answer.refusal(), (404, "not_found".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn a_single_server_has_a_name_if_it_is_given_one() {
    let upstream = mirror().await;
    let url = upstream.url("");
    for (arguments, status) in [
        (vec!["--upstream", &url, "--server", "files"], 200),
        (vec!["--upstream", &url, "--server", "mail"], 403),
        (vec!["--upstream", &url], 403),
    ] {
        let gateway = Gateway::start(&arguments).await;
        let key = gateway.key_for("files").await;
        let answer = Client::http1()
            .get(&gateway.url("/mcp"), &[("x-api-key", &key)])
            .await;
        assert_eq!(answer.status, status, "{arguments:?}");
    }
}

#[tokio::test]
async fn every_required_scope_is_required() {
    let upstream = mirror().await;
    let scopes = ["--require-scope", "files:read", "--require-scope", "mcp"];
    let gateway = Gateway::start(&[&["--upstream", &upstream.url("")], &scopes[..]].concat()).await;
    for (grants, status) in [(vec!["files:*", "mcp"], 200), (vec!["files:read"], 403)] {
        let mut new = NewKey::named("scopes").all_servers();
        for grant in grants {
            new = new.scope(grant).unwrap();
        }
        let key = issue(&gateway.keys, new).await;
        let answer = Client::http1()
            .get(&gateway.url("/mcp"), &[("x-api-key", &key)])
            .await;
        assert_eq!(answer.status, status);
    }
}

#[tokio::test]
async fn the_gateways_own_pages() {
    let upstream = mirror().await;
    let route = format!("files={}", upstream.url(""));
    let gateway = Gateway::start(&["--route", &route]).await;
    let client = Client::http1();

    let health = client.get(&gateway.url("/healthz"), &[]).await;
    assert_eq!(health.status, 200);
    assert_eq!(health.text, r#"{"status":"ok"}"#);

    let key = gateway.key_for("elsewhere").await;
    let me = client
        .get(&gateway.url("/me"), &[("x-api-key", &key)])
        .await;
    assert_eq!(me.status, 200);
    assert_eq!(me.header("cache-control"), "no-store");
    let who = me.json();
    assert_eq!(who["name"], "elsewhere");
    assert_eq!(who["servers"], json!(["elsewhere"]));
    assert!(who["id"].as_str().unwrap().starts_with("key_"));
    assert!(!me.text.contains(secret(&key)));

    for path in [
        "/",
        "/mcp",
        "/files",
        "/files/mcpx",
        "/filesx/mcp",
        "/me/",
        "/.well-known/x",
    ] {
        let answer = client.get(&gateway.url(path), &[]).await;
        assert_eq!(
            answer.refusal(),
            (401, "missing_api_key".to_owned()),
            "{path}"
        );
        let answer = client.get(&gateway.url(path), &[("x-api-key", &key)]).await;
        assert_eq!(answer.refusal(), (404, "not_found".to_owned()), "{path}");
    }
    let post = Request::post(gateway.url("/me")).header("x-api-key", &key);
    let answer = client.send(post.body("").unwrap()).await;
    assert_eq!(answer.refusal(), (405, "method_not_allowed".to_owned()));
    assert_eq!(answer.header("allow"), "GET, HEAD");
}

#[tokio::test]
async fn the_server_is_told_who_calls_and_nobody_else_can_tell_it() {
    let upstream = mirror().await;
    let gateway = Gateway::before(&upstream).await;
    let new = NewKey::named("Zoë 100%")
        .owner("team a")
        .all_servers()
        .scope("files:*")
        .unwrap()
        .scope("mail:read")
        .unwrap();
    let issued = gateway.keys.manager().issue(new).await.unwrap();
    let key = issued.key().expose_secret();
    let headers = [
        ("x-api-key", key),
        ("x-mcp-key-id", "spoofed"),
        ("X-MCP-Key-Owner", "spoofed"),
        ("x_mcp_key_owner", "spoofed"),
        ("x-mcp-key-admin", "spoofed"),
        ("x-mcp-key-access", "spoofed"),
        ("X_MCP_Key_Access", "spoofed"),
        ("connection", "x-mcp-key-id, x-mcp-key-name"),
    ];
    let answer = Client::http1().get(&gateway.url("/mcp"), &headers).await;
    let seen = answer.json();
    assert_eq!(header(&seen, "x-mcp-key-id"), issued.info().id.to_string());
    assert_eq!(
        header(&seen, "x-mcp-key-handle"),
        issued.info().handle.as_str()
    );
    assert_eq!(header(&seen, "x-mcp-key-name"), "Zo%C3%AB 100%25");
    assert_eq!(header(&seen, "x-mcp-key-owner"), "team a");
    assert_eq!(header(&seen, "x-mcp-key-scopes"), "files:* mail:read");
    assert_eq!(header(&seen, "x-mcp-key-access"), "full");
    assert!(!answer.text.contains("spoofed"), "{answer:?}");

    let reader = NewKey::named("reader").all_servers().read_only();
    let reader = issue(&gateway.keys, reader).await;
    let headers = [("x-api-key", reader.as_str()), ("x-mcp-key-access", "full")];
    for client in [Client::http1(), Client::http2()] {
        let answer = client.get(&gateway.url("/mcp"), &headers).await;
        assert_eq!(header(&answer.json(), "x-mcp-key-access"), "read-only");
    }

    // A key without an owner has nobody's.
    let key = gateway.key().await;
    let headers = [("x-api-key", key.as_str()), ("x-mcp-key-owner", "spoofed")];
    let answer = Client::http1().get(&gateway.url("/mcp"), &headers).await;
    assert!(answer.json()["headers"].get("x-mcp-key-owner").is_none());
    assert_eq!(answer.json()["headers"]["x-mcp-key-scopes"], "");
}

#[tokio::test]
async fn nothing_of_a_key_is_logged_however_much_is() {
    let upstream = mirror().await;
    let arguments = ["--upstream", &upstream.url(""), "--path-keys"];
    let gateway = Gateway::start_logging("trace", &arguments).await;
    let key = gateway.key().await;
    let query = gateway.url(&format!("/mcp?api_key={key}"));
    for client in [Client::http1(), Client::http2()] {
        for path in ["/mcp", "/me", "/nowhere"] {
            for headers in [[("x-api-key", &*key)], [("authorization", &bearer(&key))]] {
                client.get(&gateway.url(path), &headers).await;
            }
            client
                .get(&gateway.url(&format!("{path}/{key}")), &[])
                .await;
        }
        client.get(&query, &[]).await;
        client.get(&query, &[("x-api-key", &key)]).await;
    }
    drop(upstream);
    let url = gateway.url("/mcp?a=b");
    let answer = Client::http1().get(&url, &[("x-api-key", &key)]).await;
    assert_eq!(answer.status, 502);
    let log = gateway.errors();
    assert!(log.contains("TRACE"), "there is a log to look at");
    let told = log.lines().find(|line| tells(line, &key));
    assert_eq!(told, None);
}
