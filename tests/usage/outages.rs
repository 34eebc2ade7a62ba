//! P20: a sink that is down, hangs, or does not say whether it took a batch loses nothing and counts
//! nothing twice.

use std::time::Duration;

use mcp_api_keys::store::{MemoryStore, SqliteStore};
use mcp_api_keys::usage::UsageDimension;
use mcp_api_keys::{ErrorKind, NewKey};

use crate::world::{Fault, Faulty, are, builder, issue, request, send, told, total};

#[tokio::test]
async fn what_a_sink_did_not_take_is_sent_again() {
    let sqlite = SqliteStore::connect("sqlite::memory:").await.unwrap();
    let sink = Faulty::new(sqlite.clone());
    let keys = builder(sqlite, sink.clone()).build().await.unwrap();
    let (id, key) = issue(&keys, NewKey::named("agent").server("files")).await;
    let layer = keys.layer().server("files");
    let mut sent = 0;
    for fault in [
        Fault::Fail,
        Fault::Lose,
        Fault::Fail,
        Fault::None,
        Fault::Lose,
        Fault::Lose,
        Fault::None,
    ] {
        sink.set(fault);
        for path in ["/200", "/404", "/500"] {
            assert!(!send(&layer, request(path, &key)).await.is_informational());
            sent += 1;
        }
        let flushed = keys.flush().await;
        assert_eq!(flushed.is_ok(), fault == Fault::None, "{fault:?}");
        assert!(total(&keys, Some(id)).await <= sent);
        let stats = keys.usage_stats().unwrap();
        assert_eq!((stats.noted, stats.dropped), (sent, 0));
    }
    assert_eq!(total(&keys, Some(id)).await, sent);
    assert_eq!(total(&keys, None).await, sent);
    assert_eq!(keys.usage_stats().unwrap().written, sent);
    assert_eq!(keys.usage_stats().unwrap().waiting_rows, 0);
    let expected = are(&[("2xx", 7), ("4xx", 7), ("5xx", 7)]);
    assert_eq!(
        told(&keys, Some(id), UsageDimension::Status).await,
        expected
    );
    // The same batch was sent under the same name, with the same rows.
    let given = sink.given.lock().unwrap().clone();
    for (earlier, later) in given.iter().zip(given.iter().skip(1)) {
        assert!(earlier.0 < later.0 || earlier == later, "{given:?}");
    }
}

/// A minute without the sink, in a moment of tokio's own time.
#[tokio::test(start_paused = true)]
async fn a_minute_without_the_sink_loses_nothing() {
    let store = MemoryStore::new();
    let sink = Faulty::new(store.clone());
    let keys = builder(store, sink.clone()).build().await.unwrap();
    let layer = keys.layer().any_server();
    let mut held = Vec::new();
    for number in 0..20 {
        held.push(issue(&keys, NewKey::named(format!("agent {number}"))).await);
    }
    for fault in [Fault::Fail, Fault::Hang, Fault::Lose, Fault::Panic] {
        sink.set(fault);
        for second in 0..60_usize {
            let (_, key) = &held[second % held.len()];
            assert_eq!(send(&layer, request("/", key)).await, 200);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        sink.set(Fault::None);
        // By itself, within two intervals and the time that a silent sink is given.
        tokio::time::sleep(Duration::from_secs(20)).await;
        let stats = keys.usage_stats().unwrap();
        assert_eq!(
            (stats.written, stats.dropped),
            (stats.noted, 0),
            "{fault:?}"
        );
    }
    assert_eq!(total(&keys, None).await, 240);
    for (id, _) in held {
        assert_eq!(total(&keys, Some(id)).await, 12);
    }
}

#[tokio::test]
async fn a_sink_that_refuses_for_good_stands_in_nobody_s_way() {
    let store = MemoryStore::new();
    let sink = Faulty::new(store.clone());
    let keys = builder(store, sink.clone()).build().await.unwrap();
    let layer = keys.layer().any_server();
    let (id, key) = issue(&keys, NewKey::named("agent")).await;
    sink.set(Fault::Refuse);
    send(&layer, request("/", &key)).await;
    let error = keys.flush().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(keys.usage_stats().unwrap().dropped, 1);
    sink.set(Fault::None);
    send(&layer, request("/", &key)).await;
    keys.flush().await.unwrap();
    assert_eq!(total(&keys, Some(id)).await, 1);
    let stats = keys.usage_stats().unwrap();
    assert_eq!((stats.noted, stats.written, stats.dropped), (1, 1, 1));
}

/// While the sink is down, so many rows are kept and no more. What fits a row that is kept is counted
/// exactly; the rest is told as dropped.
#[tokio::test]
async fn what_is_held_is_bounded_and_what_is_not_held_is_counted() {
    let store = MemoryStore::new();
    let sink = Faulty::new(store.clone());
    let keys = builder(store, sink.clone()).usage_rows(10);
    let keys = keys.build().await.unwrap();
    let layer = keys.layer().any_server();
    sink.set(Fault::Fail);
    let mut held = Vec::new();
    for number in 0..30 {
        held.push(issue(&keys, NewKey::named(format!("agent {number}"))).await);
    }
    for _ in 0..5 {
        for (_, key) in &held {
            assert_eq!(send(&layer, request("/", key)).await, 200);
        }
        keys.flush().await.unwrap_err();
    }
    let stats = keys.usage_stats().unwrap();
    assert!(stats.waiting_rows <= 10, "{stats:?}");
    assert_eq!(stats.noted + stats.dropped, 150);
    assert!(stats.noted >= 10 && stats.dropped > 0, "{stats:?}");
    sink.set(Fault::None);
    keys.flush().await.unwrap();
    assert_eq!(total(&keys, None).await, stats.noted);
    let mut sum = 0;
    for (id, _) in held {
        let own = total(&keys, Some(id)).await;
        assert!(own <= 5);
        sum += own;
    }
    assert_eq!(sum, stats.noted);
}
