//! A signature passes once, whichever node it reaches, also when Redis does not answer.

use std::sync::Arc;
use std::time::Duration;

use mcp_api_keys::limit::OutageMode;
use mcp_api_keys::redis::{Redis, RedisReplayGuard};
use mcp_api_keys::signing::{ReplayGuard, Seen, SignatureId};
use mcp_api_keys::testing::limiter::fresh_key;
use mcp_api_keys::{Clock, Error, ErrorKind, SystemClock};

use crate::server::{Server, redis, url};
use crate::world::ALONE;

const KEEP: Duration = Duration::from_secs(600);

async fn ask(guard: &RedisReplayGuard, signature: &SignatureId) -> Result<Seen, Error> {
    guard
        .remember(signature, SystemClock::new().now(), KEEP)
        .await
}

fn signature(number: u8) -> SignatureId {
    SignatureId::new(fresh_key(), [number; 32])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_on_four_nodes_one_is_the_first() {
    let Some(_) = redis().await else { return };
    let mut nodes = Vec::new();
    for _ in 0..4 {
        let redis = Redis::connect(&url().unwrap()).await.unwrap();
        nodes.push(Arc::new(
            redis.patience(Duration::from_secs(2)).replay_guard(),
        ));
    }
    for number in 0..50 {
        let signature = signature(number);
        let tasks: Vec<_> = (0..16)
            .map(|task| {
                let node = Arc::clone(&nodes[task % 4]);
                tokio::spawn(async move { ask(&node, &signature).await.unwrap() })
            })
            .collect();
        let mut firsts = 0;
        for task in tasks {
            firsts += u32::from(task.await.unwrap() == Seen::First);
        }
        assert_eq!(firsts, 1);
    }
}

#[tokio::test]
async fn a_signature_is_forgotten_when_it_is_kept_no_longer() {
    let Some(redis) = redis().await else { return };
    let guard = redis.replay_guard();
    let (signature, now) = (signature(1), SystemClock::new().now());
    let keep = Duration::from_millis(300);
    assert_eq!(
        guard.remember(&signature, now, keep).await.unwrap(),
        Seen::First
    );
    assert_eq!(
        guard.remember(&signature, now, keep).await.unwrap(),
        Seen::Again
    );
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert_eq!(
        guard.remember(&signature, now, keep).await.unwrap(),
        Seen::First
    );
    for keep in [Duration::ZERO, Duration::MAX] {
        let signature = SignatureId::new(fresh_key(), [2; 32]);
        assert_eq!(
            guard.remember(&signature, now, keep).await.unwrap(),
            Seen::First
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_mode_does_what_it_says_when_redis_is_gone() {
    let _alone = ALONE.lock().await;
    let Some(mut server) = Server::start().await else {
        return;
    };
    let redis = Redis::connect(&server.url()).await.unwrap();
    let closed = redis.replay_guard();
    let local = redis.replay_guard().outage(OutageMode::LocalFallback);
    let open = redis.replay_guard().outage(OutageMode::Open);
    let earlier = signature(1);
    assert_eq!(ask(&local, &earlier).await.unwrap(), Seen::First);
    assert_eq!(ask(&closed, &earlier).await.unwrap(), Seen::Again);
    server.kill();
    for number in 2..20 {
        let signature = signature(number);
        let error = ask(&closed, &signature).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(ask(&local, &signature).await.unwrap(), Seen::First);
        assert_eq!(ask(&local, &signature).await.unwrap(), Seen::Again);
        assert_eq!(ask(&open, &signature).await.unwrap(), Seen::First);
        assert_eq!(ask(&open, &signature).await.unwrap(), Seen::First);
    }
    // What was used before the outage stays used.
    assert_eq!(ask(&local, &earlier).await.unwrap(), Seen::Again);
}
