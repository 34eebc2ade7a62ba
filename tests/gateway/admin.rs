//! The admin API on an address of its own.

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use mcp_api_keys::NewKey;

use crate::support::{Answer, Client, bearer, issue};
use crate::world::{Gateway, mirror, refused};

async fn ask(url: &str, headers: &[(&str, &str)]) -> Answer {
    let request = headers
        .iter()
        .fold(Request::get(url), |request, (name, value)| {
            request.header(*name, *value)
        });
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    Answer::of(Client::http1().open(request).await).await
}

#[tokio::test]
async fn the_api_is_on_its_own_address_alone() {
    let upstream = mirror().await;
    let gateway = Gateway::start(&["--upstream", &upstream.url(""), "--admin-listen", "0"]).await;
    let admin = gateway.admin.clone().unwrap();
    assert!(admin.starts_with("http://127.0.0.1:"), "{admin}");
    assert_eq!(ask(&format!("{admin}/healthz"), &[]).await.status, 200);
    let document = ask(&format!("{admin}/api/v1/openapi.json"), &[]).await;
    assert_eq!(document.json()["servers"][0]["url"], "/api/v1");

    let key = gateway.created(&["--scope", "keys:*"]).await;
    let root = bearer(&key);
    let with_key = [("authorization", root.as_str())];
    let list = ask(&format!("{admin}/api/v1/keys"), &with_key).await;
    assert_eq!(list.status, 200, "{list:?}");
    assert_eq!(
        ask(&format!("{admin}/mcp"), &with_key).await.status,
        404,
        "no server is there"
    );
    let elsewhere = ask(&gateway.url("/api/v1/keys"), &with_key).await;
    assert_eq!(elsewhere.status, 404, "and the API nowhere else");

    let rebound = [("authorization", root.as_str()), ("host", "evil.test")];
    let answer = ask(&format!("{admin}/api/v1/keys"), &rebound).await;
    assert_eq!(answer.refusal(), (403, "host_not_allowed".to_owned()));
    let query = ask(&format!("{admin}/api/v1/keys?name={key}"), &with_key).await;
    assert_eq!(query.refusal(), (400, "key_in_query".to_owned()));
    assert!(!gateway.errors().contains(&key[20..28]));
}

#[tokio::test]
async fn it_ends_with_the_gateway() {
    let upstream = mirror().await;
    let mut gateway =
        Gateway::start(&["--upstream", &upstream.url(""), "--admin-listen", "0"]).await;
    let admin = gateway.admin.clone().unwrap();
    assert_eq!(ask(&format!("{admin}/healthz"), &[]).await.status, 200);
    gateway.terminate().await;
    assert!(gateway.ended().await.success());
    let address = admin.strip_prefix("http://").unwrap().to_owned();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn an_address_that_cannot_be_used_ends_the_start() {
    let base = [
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        "http://127.0.0.1:9",
        "--admin-listen",
    ];
    let output = refused(&[&base[..], &["x"]].concat()).await;
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("--admin-listen"), "{errors}");
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = refused(&[&base[..], &[&port]].concat()).await;
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("--admin-listen"), "{errors}");
    assert!(output.stdout.is_empty(), "nothing is announced");
}

#[tokio::test]
async fn metrics_ask_for_their_scope() {
    let upstream = mirror().await;
    let gateway = Gateway::start(&["--upstream", &upstream.url(""), "--admin-listen", "0"]).await;
    let url = format!("{}/metrics", gateway.admin.clone().unwrap());
    let refusal = ask(&url, &[]).await.refusal();
    assert_eq!(refusal, (401, "missing_api_key".to_owned()));
    let reader = gateway.created(&["--scope", "metrics:read"]).await;
    let bearer_of_reader = bearer(&reader);
    let answer = ask(&url, &[("authorization", &bearer_of_reader)]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.header("content-type").starts_with("text/plain"));
    assert_eq!(answer.header("cache-control"), "no-store");
    for name in ["mcp_api_keys_cached_keys", "mcp_api_keys_alerts_open"] {
        assert!(answer.text.contains(name), "{name}: {}", answer.text);
    }
    let star = bearer(&gateway.created(&["--scope", "*"]).await);
    assert_eq!(ask(&url, &[("authorization", &star)]).await.status, 200);
    let of_one = issue(&gateway.keys, NewKey::named("one").server("files"));
    let others = [
        gateway.created(&["--scope", "keys:*"]).await,
        of_one.await,
        issue(
            &gateway.keys,
            NewKey::named("star of one server")
                .server("files")
                .scope("*")
                .unwrap(),
        )
        .await,
    ];
    for other in others {
        let answer = ask(&url, &[("authorization", &bearer(&other))]).await;
        assert_eq!(answer.refusal(), (403, "insufficient_scope".to_owned()));
        assert!(!answer.text.contains("mcp_api_keys_"));
    }
    let elsewhere = ask(&gateway.url("/metrics"), &[]).await;
    assert_eq!(elsewhere.status, 401, "and nowhere else");
    assert!(!answer.text.contains(&reader[20..28]));
}
