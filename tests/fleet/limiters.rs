//! Every limiter passes the suite.

use std::sync::Arc;
use std::time::Duration;

use mcp_api_keys::Timestamp;
use mcp_api_keys::limit::SharedLimiter;
use mcp_api_keys::redis::Redis;
use mcp_api_keys::testing::ManualClock;
use mcp_api_keys::testing::limiter::{self as suite, LocalLimiter};

use crate::server::{Server, redis};

#[tokio::test]
async fn the_local_limiter() {
    let clock = ManualClock::at(Timestamp::from_millis(1_790_000_000_000));
    let limiter = LocalLimiter::new(clock.clone());
    suite::run_all(limiter, async |time| clock.advance(time)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_as_a_value_and_in_an_arc() {
    let Some(redis) = redis().await else { return };
    suite::run_all(redis.limiter(), tokio::time::sleep).await;
    let shared: Arc<dyn SharedLimiter> = Arc::new(redis.limiter());
    suite::run_all(shared, tokio::time::sleep).await;
}

/// In a cluster a script may touch what is in one place only. One node with all places asks for that too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_in_cluster_mode() {
    let options = ["--cluster-enabled", "yes"];
    let Some(server) = Server::start_with(&options).await else {
        return;
    };
    let mut client = ::redis::Client::open(server.url())
        .unwrap()
        .get_connection()
        .unwrap();
    let mut slots = ::redis::cmd("CLUSTER");
    slots.arg("ADDSLOTS");
    for slot in 0..16_384 {
        slots.arg(slot);
    }
    let () = slots.query(&mut client).unwrap();
    let redis = Redis::open(&server.url()).unwrap();
    let redis = redis.patience(Duration::from_secs(2));
    let mut tries = 0;
    while redis.check().await.is_err() {
        tries += 1;
        assert!(tries < 100, "the cluster does not come up");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    suite::run_all(redis.limiter(), tokio::time::sleep).await;
}

/// A user who may do no more than the manual says is enough.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_of_few_rights() {
    let Some(server) = Server::start().await else {
        return;
    };
    let mut client = ::redis::Client::open(server.url())
        .unwrap()
        .get_connection()
        .unwrap();
    let mut user = ::redis::cmd("ACL");
    user.arg("SETUSER").arg("gateway").arg("on").arg(">pass");
    for right in [
        "~mcp-keys:*",
        "+@read",
        "+@write",
        "+@scripting",
        "+@connection",
        "+time",
    ] {
        user.arg(right);
    }
    let () = user.query(&mut client).unwrap();
    let url = server.url().replace("//", "//gateway:pass@");
    let redis = Redis::connect(&url).await.unwrap();
    let redis = redis.patience(Duration::from_secs(2));
    suite::run_all(redis.limiter(), tokio::time::sleep).await;
}

/// Over TLS, with a certificate that nobody else would trust.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_over_tls() {
    let names = vec!["localhost".to_owned()];
    let own = rcgen::generate_simple_self_signed(names).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let certificate = own.cert.pem();
    let cert = file("cert.pem", &certificate);
    let key = file("key.pem", &own.signing_key.serialize_pem());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = port.local_addr().unwrap().port().to_string();
    let mut options = vec!["--tls-port", &port, "--tls-auth-clients", "no"];
    options.extend(["--tls-cert-file", &cert, "--tls-key-file", &key]);
    options.extend(["--tls-ca-cert-file", &cert]);
    let Some(_server) = Server::start_with(&options).await else {
        return;
    };
    let url = format!("rediss://localhost:{port}");
    let redis = Redis::open_trusting(&url, certificate.as_bytes()).unwrap();
    redis.check().await.unwrap();
    let redis = redis.patience(Duration::from_secs(2));
    suite::run_all(redis.limiter(), tokio::time::sleep).await;
    // Whom nobody vouches for is not asked.
    assert!(Redis::connect(&url).await.is_err());
}
