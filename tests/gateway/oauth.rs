//! Programs that connect by OAuth, beside callers that have a key.

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use mcp_api_keys::NewKey;
use mcp_api_keys::key::Owner;
use serde_json::json;

use crate::support::consent::{connect, renew};
use crate::support::{Answer, Client, bearer, issue};
use crate::world::{Gateway, header, mirror, refused, until};

async fn get(url: &str, headers: &[(&str, &str)]) -> Answer {
    let request = headers
        .iter()
        .fold(Request::get(url), |request, (name, value)| {
            request.header(*name, *value)
        });
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    Answer::of(Client::http1().open(request).await).await
}

const OF_FILES: &str = "/.well-known/oauth-protected-resource/files/mcp";
const OF_SERVER: &str = "/.well-known/oauth-authorization-server";

#[tokio::test]
async fn without_it_nothing_of_it_is_there() {
    let upstream = mirror().await;
    let route = format!("files={}", upstream.url(""));
    let gateway = Gateway::start(&["--route", &route]).await;
    let challenged = get(&gateway.url("/files/mcp"), &[]).await;
    assert_eq!(challenged.status, 401);
    assert_eq!(challenged.header("www-authenticate"), "Bearer");
    let key = bearer(&gateway.key_for("files").await);
    for path in [OF_FILES, OF_SERVER, "/oauth/authorize", "/oauth/token"] {
        let answer = get(&gateway.url(path), &[("authorization", &key)]).await;
        assert_eq!(answer.refusal(), (404, "not_found".to_owned()), "{path}");
        assert_eq!(get(&gateway.url(path), &[]).await.status, 401, "{path}");
    }
    let answer = get(
        &gateway.url("/files/mcp"),
        &[("authorization", key.as_str())],
    )
    .await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-security-policy"), "");
}

#[tokio::test]
async fn each_route_is_a_resource_that_the_challenge_leads_to() {
    let upstream = mirror().await;
    let files = format!("files={}", upstream.url(""));
    let mail = format!("mail={}", upstream.url(""));
    let gateway = Gateway::start(&[
        "--route",
        &files,
        "--route",
        &mail,
        "--require-scope",
        "use",
        "--oauth",
        "--oauth-scope",
        "more",
    ])
    .await;
    for name in ["files", "mail"] {
        let place = gateway.url(&format!("/{name}/mcp"));
        let document = gateway.url(&format!("/.well-known/oauth-protected-resource/{name}/mcp"));
        let challenge = get(&place, &[]).await;
        assert_eq!(challenge.status, 401);
        let challenge = challenge.header("www-authenticate").to_owned();
        assert!(
            challenge.starts_with("Bearer ")
                && challenge.contains(&format!(r#"resource_metadata="{document}""#))
                && !challenge.contains("error="),
            "{challenge}"
        );
        let document = get(&document, &[]).await;
        assert_eq!(document.status, 200);
        let document = document.json();
        assert_eq!(document["resource"], place);
        assert_eq!(document["authorization_servers"], json!([gateway.url]));
        assert_eq!(document["scopes_supported"], json!(["use", "more"]));
    }
    let server = get(&gateway.url(OF_SERVER), &[]).await.json();
    assert_eq!(server["issuer"], gateway.url);
    assert_eq!(server["token_endpoint"], gateway.url("/oauth/token"));
    assert_eq!(
        server["registration_endpoint"],
        gateway.url("/oauth/register")
    );
    assert!(server["client_id_metadata_document_supported"].is_null());

    // Whoever has a key needs none of it.
    let key = gateway.created(&["--scope", "use"]).await;
    let answer = get(
        &gateway.url("/files/mcp"),
        &[("authorization", &bearer(&key))],
    )
    .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        answer.header("content-security-policy"),
        "sandbox",
        "a server's page is no page of the gateway's"
    );
    let wrong = get(
        &gateway.url("/files/mcp"),
        &[("authorization", "Bearer mcp_sk_x")],
    )
    .await;
    let challenge = wrong.header("www-authenticate");
    assert!(
        challenge.contains(r#"error="invalid_token""#) && challenge.contains("resource_metadata="),
        "{challenge}"
    );
}

#[tokio::test]
async fn behind_a_proxy_it_is_known_by_its_public_url() {
    let upstream = mirror().await;
    let gateway = Gateway::start(&[
        "--upstream",
        &upstream.url(""),
        "--server",
        "files",
        "--oauth",
        "--public-url",
        "https://mcp.example.com/",
        "--oauth-client-documents",
        "claude.ai",
        "--oauth-registration",
        "off",
    ])
    .await;
    for host in ["mcp.example.com", "localhost"] {
        let server = get(&gateway.url(OF_SERVER), &[("host", host)]).await.json();
        assert_eq!(server["issuer"], "https://mcp.example.com");
        assert_eq!(
            server["authorization_endpoint"],
            "https://mcp.example.com/oauth/authorize"
        );
        assert!(server["registration_endpoint"].is_null());
        assert_eq!(server["client_id_metadata_document_supported"], true);
    }
    let forwarded = [
        ("host", "mcp.example.com"),
        ("x-forwarded-host", "evil.test"),
    ];
    let challenge = get(&gateway.url("/mcp"), &forwarded).await;
    assert!(
        challenge.header("www-authenticate").contains(
            r#"resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp""#
        ),
        "{challenge:?}"
    );
    let rebound = get(&gateway.url(OF_SERVER), &[("host", "evil.test")]).await;
    assert_eq!(rebound.refusal(), (403, "host_not_allowed".to_owned()));
}

#[tokio::test]
async fn what_programs_could_not_find_or_be_granted_ends_the_start() {
    let with = |more: &[&'static str]| {
        let base = ["--upstream", "http://127.0.0.1:9"];
        [&base[..], more].concat()
    };
    let local = ["--listen", "127.0.0.1:0", "--server", "files"];
    for (arguments, named) in [
        (
            with(&["--listen", "127.0.0.1:0", "--oauth"]),
            "--oauth: needs --server",
        ),
        (
            with(&["--listen", "0.0.0.0:0", "--server", "files", "--oauth"]),
            "--oauth: needs --public-url",
        ),
        (
            with(
                &[
                    &local[..],
                    &["--oauth", "--public-url", "http://example.com"],
                ]
                .concat(),
            ),
            "--public-url: ",
        ),
        (
            with(&[&local[..], &["--oauth", "--oauth-registration", "x"]].concat()),
            "--oauth-registration: ",
        ),
        (
            with(&[&local[..], &["--oauth-scope", "a"]].concat()),
            "--oauth-scope: means nothing without --oauth",
        ),
    ] {
        let output = refused(&arguments).await;
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains(named), "{arguments:?}: {errors}");
    }
}

#[tokio::test]
async fn a_program_that_somebody_lets_in_acts_for_them() {
    let upstream = mirror().await;
    let files = format!("files={}", upstream.url(""));
    let mail = format!("mail={}", upstream.url(""));
    let gateway = Gateway::start(&[
        "--route",
        &files,
        "--route",
        &mail,
        "--require-scope",
        "use",
        "--oauth",
    ])
    .await;
    let manager = gateway.keys.manager();
    let bob = Owner::member("bob".parse().unwrap())
        .server("files".parse().unwrap())
        .server("mail".parse().unwrap())
        .scope("use".parse().unwrap());
    manager.put_owner(bob).await.unwrap();
    let new = NewKey::named("bob's own").owner("bob").server("files");
    let key = issue(&gateway.keys, new.scope("use").unwrap()).await;

    let url = gateway.url("/files/mcp");
    let tokens = connect(&url, &key, "full").await;
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["scope"], "use");
    let token = bearer(tokens["access_token"].as_str().unwrap());
    let with = [("authorization", token.as_str())];
    let answer = get(&url, &with).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = answer.json();
    assert_eq!(header(&seen, "x-mcp-key-owner"), "bob");
    assert_eq!(header(&seen, "x-mcp-key-scopes"), "use");
    assert_eq!(header(&seen, "x-mcp-key-access"), "read-only", "a member's");
    assert_eq!(header(&seen, "authorization"), "", "no server sees a token");
    let elsewhere = get(&gateway.url("/mail/mcp"), &with).await;
    assert_eq!(elsewhere.refusal(), (403, "server_not_allowed".to_owned()));
    let query = get(
        &gateway.url(&format!(
            "/files/mcp?access_token={}",
            tokens["access_token"].as_str().unwrap()
        )),
        &[],
    )
    .await;
    assert_eq!(query.refusal(), (400, "key_in_query".to_owned()));

    let renewed = renew(&url, &tokens).await;
    assert_eq!(renewed.status, 200, "{renewed:?}");
    let new = renewed.json();
    let token = bearer(new["access_token"].as_str().unwrap());
    let with = [("authorization", token.as_str())];
    let answer = get(&url, &with).await;
    assert_eq!(
        header(&answer.json(), "x-mcp-key-id"),
        header(&seen, "x-mcp-key-id"),
        "the same connection"
    );

    let id = header(&seen, "x-mcp-key-id").parse().unwrap();
    manager.disconnect(id).await.unwrap();
    until("the end of the connection", async || {
        get(&url, &with).await.status == 401
    })
    .await;
    let answer = get(&url, &with).await;
    assert_eq!(answer.refusal(), (401, "invalid_api_key".to_owned()));
    let mut kept = new;
    kept["client_id"] = tokens["client_id"].clone();
    let refused = renew(&url, &kept).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["error"], "invalid_grant");
    for tells in [&tokens, &kept] {
        for name in ["access_token", "refresh_token"] {
            let token = tells[name].as_str().unwrap();
            assert!(!gateway.errors().contains(&token[token.len() - 12..]));
        }
    }
}
