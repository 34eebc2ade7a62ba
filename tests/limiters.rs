//! Every shared limiter passes the suite; then what several nodes promise together.
//!
//! What needs Redis or Valkey asks for it at `REDIS_URL`. Without that it is left out with a note, or
//! fails, if `MCP_KEYS_REQUIRE_SERVICES=1`.

#![cfg(all(feature = "redis", feature = "testing"))]
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests panic")]

use std::sync::Arc;
use std::time::Duration;

use mcp_api_keys::Timestamp;
use mcp_api_keys::limit::SharedLimiter;
use mcp_api_keys::redis::Redis;
use mcp_api_keys::testing::ManualClock;
use mcp_api_keys::testing::limiter::{self as suite, LocalLimiter};

#[tokio::test]
async fn the_local_limiter_passes_the_suite() {
    let clock = ManualClock::at(Timestamp::from_millis(1_790_000_000_000));
    let limiter = LocalLimiter::new(clock.clone());
    suite::run_all(limiter, async |time| clock.advance(time)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_passes_the_suite() {
    let Some(redis) = redis().await else { return };
    suite::run_all(redis.limiter(), tokio::time::sleep).await;
    let boxed: Arc<dyn SharedLimiter> = Arc::new(redis.limiter());
    suite::run_all(boxed, tokio::time::sleep).await;
}

/// The server that the environment names.
async fn redis() -> Option<Redis> {
    let Ok(url) = std::env::var("REDIS_URL") else {
        let required = std::env::var_os("MCP_KEYS_REQUIRE_SERVICES").is_some_and(|v| v == "1");
        assert!(!required, "REDIS_URL is not set");
        println!("left out: REDIS_URL is not set");
        return None;
    };
    // Longer than in use: the tests of other files run at the same time.
    Some(Redis::connect(&url).await.unwrap().patience(Duration::from_secs(2)))
}
