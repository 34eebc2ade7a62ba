//! Every limiter passes the suite.

use std::sync::Arc;

use mcp_api_keys::Timestamp;
use mcp_api_keys::limit::SharedLimiter;
use mcp_api_keys::testing::ManualClock;
use mcp_api_keys::testing::limiter::{self as suite, LocalLimiter};

use crate::server::redis;

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
