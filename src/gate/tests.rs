use http::Request;
use http::header::AUTHORIZATION;

use super::*;
use crate::clock::Timestamp;
use crate::store::MemoryStore;
use crate::testing::ManualClock;
use crate::{ApiKeys, NewKey};

/// A key that one thread has at hand is asked for nowhere else. The cache that all threads share hears of
/// it all the same, so that it is not the first to go; and if it has had to go, it comes back.
#[tokio::test]
async fn the_shared_cache_is_told_of_a_key_in_use_every_ten_seconds() {
    let clock = ManualClock::at(Timestamp::from_millis(1_700_000_000_000));
    let builder = ApiKeys::builder(MemoryStore::new()).clock(clock.clone());
    let keys = builder
        .max_stale(Duration::from_secs(3_600))
        .build()
        .await
        .unwrap();
    let issued = keys
        .manager()
        .issue(NewKey::named("bot").all_servers())
        .await;
    let text = issued.unwrap().key().expose_secret().to_owned();
    let gate = keys.layer().gate().clone();
    let used = async || {
        let bearer = Request::get("/").header(AUTHORIZATION, format!("Bearer {text}"));
        let mut head = bearer.body(()).unwrap().into_parts().0;
        let _ = gate.admit(&mut head).await.unwrap();
    };
    let verifier = &gate.core.shared.verifier;
    let fingerprint = verifier.fingerprint(text.as_bytes());
    used().await;
    let lookups = verifier.stats().lookups;
    for (seconds, is_told) in [(0, false), (9, false), (1, true), (9, false), (1, true)] {
        verifier.lose(fingerprint);
        clock.advance(Duration::from_secs(seconds));
        used().await;
        assert_eq!(
            verifier.remembers(fingerprint),
            is_told,
            "after {seconds} s"
        );
    }
    assert_eq!(verifier.stats().lookups, lookups, "it was at hand");
}
