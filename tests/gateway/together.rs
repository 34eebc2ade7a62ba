//! Several gateways that share limits and used signatures over Redis.
//!
//! They ask for Redis or Valkey at `REDIS_URL`; without it they are left out, or fail, if
//! `MCP_KEYS_REQUIRE_SERVICES=1`.

use http::Request;
use mcp_api_keys::signing::Signer;
use mcp_api_keys::{Clock, NewKey, RateLimit, SystemClock};

use crate::support::{Client, issue};
use crate::world::{Gateway, mirror, refused};

fn redis() -> Option<String> {
    let url = std::env::var("REDIS_URL").ok();
    let required = std::env::var_os("MCP_KEYS_REQUIRE_SERVICES").is_some_and(|v| v == "1");
    assert!(url.is_some() || !required, "REDIS_URL is not set");
    url
}

#[tokio::test]
async fn two_gateways_share_a_keys_limit_and_its_signatures() {
    let Some(redis) = redis() else { return };
    let upstream = mirror().await;
    let upstream = upstream.url("");
    let arguments = ["--upstream", &upstream, "--redis", &redis];
    let signing = ["--sign", "optional", "--sign-replay-guard"];
    let one = Gateway::start(&[&arguments[..], &signing].concat()).await;
    let other = one.another(&[], &[&arguments[..], &signing].concat()).await;
    let limited = NewKey::named("limited").all_servers();
    let key = issue(&one.keys, limited.rate(RateLimit::per_hour(6))).await;
    let mut admitted = 0;
    for _ in 0..6 {
        for url in [one.url("/mcp"), other.url("/mcp")] {
            let answer = Client::http1().get(&url, &[("x-api-key", &key)]).await;
            admitted += u32::from(answer.status == 200);
        }
    }
    assert_eq!(admitted, 6);

    let key = one.key().await;
    let signature = Signer::new(&key).sign(SystemClock::new().now().wall, b"{}");
    for (url, status) in [
        (one.url("/mcp"), 200),
        (other.url("/mcp"), 401),
        (one.url("/mcp"), 401),
    ] {
        let mut request = Request::post(url).header("x-api-key", &key);
        signature.set(request.headers_mut().unwrap());
        let request = request.header("content-type", "application/json");
        let answer = Client::http1()
            .send(request.body("{}".to_owned()).unwrap())
            .await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
}

#[tokio::test]
async fn without_its_redis_a_gateway_does_as_it_is_told() {
    let upstream = mirror().await;
    let upstream = upstream.url("");
    for (mode, admitted) in [("local", 3), ("open", 5), ("closed", 0)] {
        let gateway = Gateway::start(&[
            "--upstream",
            &upstream,
            "--redis",
            "redis://:hunter2@127.0.0.1:1",
            "--redis-outage",
            mode,
        ])
        .await;
        let limited = NewKey::named("limited").all_servers();
        let key = issue(&gateway.keys, limited.rate(RateLimit::per_hour(3))).await;
        let mut passed = 0;
        for _ in 0..5 {
            let answer = Client::http1()
                .get(&gateway.url("/mcp"), &[("x-api-key", &key)])
                .await;
            passed += u32::from(answer.status == 200);
        }
        assert_eq!(passed, admitted, "{mode}");
        let errors = gateway.errors();
        assert!(errors.contains("serving without Redis"), "{errors}");
        let lines = errors.matches("the shared limiter does not answer").count();
        assert_eq!(lines, 1, "once, not for each request: {errors}");
        assert!(!errors.contains("hunter2"));
    }
}

#[tokio::test]
async fn a_redis_that_is_none_or_says_no_ends_the_start() {
    let base = [
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        "http://127.0.0.1:9",
    ];
    for (more, named) in [
        (vec!["--redis", "hunter2"], "--redis: must be a URL"),
        (vec!["--redis-outage", "open"], "--redis-outage"),
        (
            vec!["--redis", "redis://h", "--redis-outage", "x"],
            "--redis-outage",
        ),
    ] {
        let output = refused(&[&base[..], &more].concat()).await;
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(
            errors.contains(named) && !errors.contains("hunter2"),
            "{errors}"
        );
    }
    let Some(redis) = redis() else { return };
    let wrong = redis.replace("//", "//nobody:hunter2@");
    let output = refused(&[&base[..], &["--redis", &wrong]].concat()).await;
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(
        errors.contains("--redis: refuses the user or the password"),
        "{errors}"
    );
    assert!(!errors.contains("hunter2"), "{errors}");
}
