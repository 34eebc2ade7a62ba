//! P5, P6 on PostgreSQL: nodes behind a wire that breaks, and how soon they are well again.

use std::time::{Duration, Instant};

use http::StatusCode;
use mcp_api_keys::IssuedKey;
use mcp_api_keys::store::PostgresStore;

use crate::backends::schema;
use crate::revocation::{node, status, wired};
use crate::wire::Mode;
use crate::world::{ALONE, Guarded, builder, issue};

/// How long it takes until a key that the node has not seen is served. Until then it is told to wait,
/// never that the key is wrong.
async fn served_after(node: &Guarded, key: &IssuedKey) -> (Duration, usize) {
    let start = Instant::now();
    let mut told_to_wait = 0;
    loop {
        match status(node, key).await {
            StatusCode::OK => return (start.elapsed(), told_to_wait),
            other => assert_eq!(other, StatusCode::SERVICE_UNAVAILABLE),
        }
        told_to_wait += 1;
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "never well again"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// P5. The sockets of the pool are half open; new ones work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_sockets_of_the_pool_are_replaced() {
    let _alone = ALONE.lock().await;
    let Some(schema) = schema().await else { return };
    let (wire, url) = wired(&schema).await;
    let (here, there) = (node(&schema.url).await, node(&url).await);
    let guarded = Guarded::new(there.layer());
    let known = issue(&here).await;
    assert_eq!(status(&guarded, &known).await, StatusCode::OK);
    for idle in [Duration::ZERO, Duration::from_millis(1_500)] {
        let unknown = issue(&here).await;
        drop(there.manager().get(known.info().id).await.unwrap());
        tokio::time::sleep(idle).await;
        let silenced = wire.silence_all();
        let (delay, told_to_wait) = served_after(&guarded, &unknown).await;
        println!(
            "P5: {silenced} sockets half open, idle for {idle:?}: an unknown key served after \
             {delay:?} and {told_to_wait} x 503"
        );
        assert!(silenced >= 2, "{silenced}");
        assert!(delay <= Duration::from_secs(5), "{delay:?}");
        assert_eq!(status(&guarded, &known).await, StatusCode::OK);
        // Until the log is followed again.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
    }
}

/// P6. Known keys are served until they are too stale, unknown ones are told to wait, nobody is told
/// that their key is wrong, and soon after the repair all is well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_survived_to_max_stale_and_then_admitted() {
    const MAX_STALE: Duration = Duration::from_secs(4);

    let _alone = ALONE.lock().await;
    let Some(schema) = schema().await else { return };
    for mode in [Mode::Reset, Mode::Lose] {
        let (wire, url) = wired(&schema).await;
        let here = node(&schema.url).await;
        let store = PostgresStore::connect(&url).await.unwrap();
        let there = builder(store)
            .poll_interval(Duration::from_millis(500))
            .max_stale(MAX_STALE)
            .build()
            .await
            .unwrap();
        let guarded = Guarded::new(there.layer());
        let (known, unknown, revoked) =
            (issue(&here).await, issue(&here).await, issue(&here).await);
        for key in [&known, &revoked] {
            assert_eq!(status(&guarded, key).await, StatusCode::OK);
        }
        tokio::time::sleep(Duration::from_millis(700)).await;

        wire.set(mode);
        let start = Instant::now();
        here.manager()
            .revoke(revoked.info().id, None)
            .await
            .unwrap();
        let strangers = {
            let (guarded, unknown) = (guarded.clone(), unknown);
            tokio::spawn(async move {
                let mut told_to_wait = 0;
                while start.elapsed() < MAX_STALE {
                    let answer = status(&guarded, &unknown).await;
                    assert_eq!(answer, StatusCode::SERVICE_UNAVAILABLE);
                    told_to_wait += 1;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                (unknown, told_to_wait)
            })
        };
        let served_for = loop {
            match status(&guarded, &known).await {
                StatusCode::OK => {}
                other => {
                    assert_eq!(other, StatusCode::SERVICE_UNAVAILABLE);
                    break start.elapsed();
                }
            }
            assert!(start.elapsed() < Duration::from_secs(20), "served for ever");
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        // What was not heard of goes on no longer than that.
        assert_ne!(status(&guarded, &revoked).await, StatusCode::OK);
        let (unknown, told_to_wait) = strangers.await.unwrap();

        wire.set(Mode::Pass);
        let (well, _) = served_after(&guarded, &known).await;
        let (looked_up, _) = served_after(&guarded, &unknown).await;
        let answer = status(&guarded, &revoked).await;
        println!(
            "P6 ({mode:?}): known keys served for {served_for:?} of {MAX_STALE:?}, unknown ones \
             {told_to_wait} x 503, 0 x 401; well {well:?} after the repair, an unknown key {:?}",
            well + looked_up
        );
        assert!(served_for <= MAX_STALE + Duration::from_millis(100));
        assert!(served_for >= MAX_STALE - Duration::from_millis(1_800));
        assert!(told_to_wait > 0);
        assert_eq!(answer, StatusCode::UNAUTHORIZED);
        // What waits for a silent wire gives up first.
        let bound = if mode == Mode::Reset { 1_000 } else { 2_500 };
        assert!(well <= Duration::from_millis(bound), "{well:?}");
    }
}
