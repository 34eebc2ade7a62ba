//! How soon other nodes know of a change by word over Redis, and that nothing else depends on it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use mcp_api_keys::key::{CredentialId, Subject};
use mcp_api_keys::redis::Redis;
use mcp_api_keys::store::{
    ChangeBell, Document, KeyStore, KeyUse, MemoryStore, QuotaAccount, QuotaLedger,
};
use mcp_api_keys::testing::records::{NOON, record};
use mcp_api_keys::testing::{Call, Fault, FaultyStore, act, store as suite};
use mcp_api_keys::{ApiKeys, ErrorKind, IssuedKey};
use tokio::time::timeout;

use crate::server::{Server, Wire, url};
use crate::world::{ALONE, Guarded, builder, issue, percentile, size};

/// Polls are so rare that what is known soon was said by word.
const RARELY: Duration = Duration::from_secs(20);

async fn node(store: impl KeyStore, poll: Duration) -> ApiKeys {
    let builder = builder(store).poll_interval(poll);
    builder
        .max_stale(Duration::from_secs(60))
        .build()
        .await
        .unwrap()
}

async fn status(node: &Guarded, key: &IssuedKey) -> StatusCode {
    node.send(key.key().expose_secret()).await.status()
}

async fn refused_after(node: &Guarded, key: &IssuedKey) -> Duration {
    let start = Instant::now();
    while status(node, key).await == StatusCode::OK {
        assert!(start.elapsed() < Duration::from_secs(30), "never refused");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    start.elapsed()
}

/// Redis at `url`, with names of this test alone.
fn redis(url: &str, name: &str) -> Redis {
    let prefix = format!("changes-{name}-{}:", std::process::id());
    Redis::open(url).unwrap().prefix(&prefix).unwrap()
}

/// A bell of `redis` that has rung for its beginning.
async fn bell(redis: &Redis) -> Box<dyn ChangeBell> {
    let mut bell: Box<dyn ChangeBell> = Box::new(redis.change_channel());
    rings_within(&mut bell, Duration::from_secs(5)).await;
    quiet(&mut bell).await;
    bell
}

async fn quiet(bell: &mut Box<dyn ChangeBell>) {
    while timeout(Duration::from_millis(300), bell.rung())
        .await
        .is_ok()
    {}
}

async fn rings_within(bell: &mut Box<dyn ChangeBell>, time: Duration) {
    timeout(time, bell.rung()).await.expect("it rings");
}

/// Two processes on one SQLite file, which has no word of its own.
#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_on_one_file_hear_of_a_revocation_at_once() {
    use mcp_api_keys::store::SqliteStore;

    let _alone = ALONE.lock().await;
    let Some(url) = url() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite://{}", folder.path().join("keys.db").display());
    let open = async || {
        let store = SqliteStore::connect(&file).await.unwrap();
        node(redis(&url, "file").announcing(store), RARELY).await
    };
    let (here, there) = (open().await, open().await);
    let guarded = Guarded::new(there.layer());
    // Both listen before the first word.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut delays = Vec::new();
    for _ in 0..size(40, 1_000) {
        let key = issue(&here).await;
        assert_eq!(status(&guarded, &key).await, StatusCode::OK);
        here.manager().revoke(key.info().id, None).await.unwrap();
        delays.push(refused_after(&guarded, &key).await);
    }
    let [p50, p99, max] = [50.0, 99.0, 100.0].map(|p| percentile(&mut delays, p));
    println!(
        "P3, word over Redis, one SQLite file: {} revocations refused after p50 {p50:?}, p99 {p99:?}, \
         max {max:?}",
        delays.len()
    );
    assert!(p99 <= Duration::from_millis(250), "{p99:?}");
    assert!(max <= Duration::from_secs(2), "{max:?}");
}

/// The wire of the listener loses everything: the next poll finds the change, and after a while the
/// listener has a new connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_word_costs_no_more_than_a_poll() {
    const POLL: Duration = Duration::from_millis(1_500);

    let _alone = ALONE.lock().await;
    let Some(server) = Server::start().await else {
        return;
    };
    let wire = Wire::to(server.port).await;
    let store = Arc::new(MemoryStore::new());
    let here = node(
        redis(&server.url(), "lost").announcing(Arc::clone(&store)),
        RARELY,
    );
    let heard = redis(&wire.url(), "lost");
    let there = node(heard.announcing(Arc::clone(&store)), POLL);
    let (here, there) = (here.await, there.await);
    let guarded = Guarded::new(there.layer());
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut delays = Vec::new();
    for _ in 0..3 {
        let key = issue(&here).await;
        assert_eq!(status(&guarded, &key).await, StatusCode::OK);
        wire.cut(true);
        here.manager().revoke(key.info().id, None).await.unwrap();
        delays.push(refused_after(&guarded, &key).await);
    }
    let worst = percentile(&mut delays, 100.0);
    assert!(worst <= POLL + Duration::from_millis(500), "{worst:?}");

    // It asks after five seconds of silence, and waits two for the answer.
    wire.cut(false);
    let start = Instant::now();
    loop {
        let key = issue(&here).await;
        assert_eq!(status(&guarded, &key).await, StatusCode::OK);
        here.manager().revoke(key.info().id, None).await.unwrap();
        if refused_after(&guarded, &key).await < Duration::from_millis(100) {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(25), "it stays deaf");
    }
    println!(
        "P4, word over Redis lost: refused after at most {worst:?} with a poll every {POLL:?}; heard \
         again {:?} after the repair",
        start.elapsed()
    );
}

/// A node whose own wire loses everything writes as before, but for one wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_word_that_cannot_be_sent_fails_no_write_and_holds_up_one() {
    let _alone = ALONE.lock().await;
    let Some(server) = Server::start().await else {
        return;
    };
    let wire = Wire::to(server.port).await;
    let redis = redis(&wire.url(), "unsent");
    let store = redis.announcing(MemoryStore::new());
    store.insert(&record(1), &act()).await.unwrap();
    wire.cut(true);
    let mut delays = Vec::new();
    for number in 2..50 {
        let start = Instant::now();
        store.insert(&record(number), &act()).await.unwrap();
        delays.push(start.elapsed());
    }
    let (first, later) = (delays[0], &mut delays[1..]);
    let [p50, max] = [50.0, 100.0].map(|p| percentile(later, p));
    println!(
        "word cannot be sent: the first write takes {first:?}, others p50 {p50:?}, max {max:?}"
    );
    assert!(first <= Duration::from_millis(150), "{first:?}");
    assert!(p50 <= Duration::from_millis(5), "{p50:?}");
    wire.cut(false);
    let mut heard = bell(&redis).await;
    // It is looked for twice a second.
    let start = Instant::now();
    while !redis.is_answering() {
        assert!(start.elapsed() < Duration::from_secs(10), "it stays away");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    quiet(&mut heard).await;
    store.insert(&record(60), &act()).await.unwrap();
    rings_within(&mut heard, Duration::from_secs(3)).await;

    // Nobody is there at all.
    let nowhere = Redis::open("redis://127.0.0.1:1").unwrap();
    let store = nowhere.announcing(MemoryStore::new());
    let start = Instant::now();
    store.insert(&record(1), &act()).await.unwrap();
    assert!(start.elapsed() <= Duration::from_millis(150));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_rings_for_changes_and_not_for_use_or_failures() {
    let Some(url) = url() else { return };
    let redis = redis(&url, "changes").patience(Duration::from_secs(2));
    let store = redis.announcing(MemoryStore::new());
    let mut bell = bell(&redis).await;
    let soon = Duration::from_secs(2);

    let mut key = record(1);
    key.revision = store.insert(&key, &act()).await.unwrap();
    rings_within(&mut bell, soon).await;
    key.revision = store.replace(&key, key.revision, &act()).await.unwrap();
    rings_within(&mut bell, soon).await;
    let subject = Subject::Plan("free".parse().unwrap());
    let mut plan = Document {
        subject: subject.clone(),
        body: serde_json::json!({}),
        revision: Default::default(),
    };
    plan.revision = store.put_document(&plan, &act()).await.unwrap();
    rings_within(&mut bell, soon).await;
    store
        .remove_document(&subject, plan.revision, &act())
        .await
        .unwrap();
    rings_within(&mut bell, soon).await;
    quiet(&mut bell).await;

    let one = KeyUse {
        key: key.id,
        credential: CredentialId::FIRST,
        at: NOON,
    };
    store.note_uses(&[one]).await.unwrap();
    let account = QuotaAccount {
        key: key.id,
        quota: "daily".to_owned(),
        period: NOON,
    };
    store.take(&account, 1, 5).await.unwrap();
    store.amend(&key).await.unwrap();
    store.insert(&key, &act()).await.unwrap_err();
    assert!(!store.delete(record(9).id, &act()).await.unwrap());
    let rang = timeout(Duration::from_millis(400), bell.rung()).await;
    assert!(rang.is_err(), "it rang for nothing");

    assert!(store.delete(key.id, &act()).await.unwrap());
    rings_within(&mut bell, soon).await;
}

/// What may have been written is announced: a lost answer, and a write whose caller went away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_of_unknown_end_is_announced() {
    let Some(url) = url() else { return };
    let redis = redis(&url, "unknown").patience(Duration::from_secs(2));
    let faulty = FaultyStore::new(MemoryStore::new());
    let faults = faulty.faults();
    let store = redis.announcing(faulty);
    let mut bell = bell(&redis).await;
    let soon = Duration::from_secs(2);

    faults.nth_call_of(Call::Insert, 1, Fault::Lose);
    let lost = store.insert(&record(1), &act()).await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Unavailable);
    rings_within(&mut bell, soon).await;
    quiet(&mut bell).await;

    faults.nth_call_of(Call::Insert, 1, Fault::Hang);
    let given_up = timeout(Duration::from_millis(50), store.insert(&record(2), &act())).await;
    assert!(given_up.is_err());
    rings_within(&mut bell, soon).await;
}

/// Words that nobody has sent, and a great many of them, change nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_up_and_doubled_words_change_nothing() {
    let Some(url) = url() else { return };
    let redis = redis(&url, "made-up").patience(Duration::from_secs(2));
    let faulty = FaultyStore::new(MemoryStore::new());
    let faults = faulty.faults();
    let keys = node(redis.announcing(faulty), RARELY).await;
    let guarded = Guarded::new(keys.layer());
    let (kept, revoked) = (issue(&keys).await, issue(&keys).await);
    keys.manager()
        .revoke(revoked.info().id, None)
        .await
        .unwrap();
    assert_eq!(status(&guarded, &kept).await, StatusCode::OK);
    tokio::time::sleep(Duration::from_millis(200)).await;

    let before = faults.calls_of(Call::ChangesSince);
    let channel = format!("changes-made-up-{}:changes", std::process::id());
    let client = ::redis::Client::open(url).unwrap();
    let mut client = client.get_multiplexed_async_connection().await.unwrap();
    for word in ["changed", "", "\0\u{feff}", "revoke everything"] {
        for _ in 0..500 {
            let mut publish = ::redis::cmd("PUBLISH");
            publish.arg(&channel).arg(word);
            let heard: i64 = publish.query_async(&mut client).await.unwrap();
            assert_eq!(heard, 1, "the node listens");
        }
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let read = faults.calls_of(Call::ChangesSince) - before;
    assert!((1..2_000).contains(&read), "read {read} times");
    assert_eq!(status(&guarded, &kept).await, StatusCode::OK);
    assert_eq!(status(&guarded, &revoked).await, StatusCode::UNAUTHORIZED);
}

/// The server is killed and started again: what is written then is heard of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_back_is_listened_to_again() {
    let _alone = ALONE.lock().await;
    let Some(mut server) = Server::start().await else {
        return;
    };
    let redis = redis(&server.url(), "restart");
    let store = redis.announcing(MemoryStore::new());
    let mut bell = bell(&redis).await;
    server.kill();
    store.insert(&record(1), &act()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    server.launch_again();
    let start = Instant::now();
    // Something may have been missed, so it rings by itself.
    rings_within(&mut bell, Duration::from_secs(10)).await;
    println!("Redis back: listening again after {:?}", start.elapsed());
    quiet(&mut bell).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    store.insert(&record(2), &act()).await.unwrap();
    rings_within(&mut bell, Duration::from_secs(2)).await;
}

/// A user who may not listen is named in the log once, and everything else goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_may_not_listen_goes_on_polling() {
    let Some(server) = Server::start().await else {
        return;
    };
    let mut client = ::redis::Client::open(server.url())
        .unwrap()
        .get_connection()
        .unwrap();
    let mut user = ::redis::cmd("ACL");
    user.arg("SETUSER").arg("deaf").arg("on").arg(">pass");
    user.arg("~*").arg("+@all").arg("-@pubsub");
    let () = user.query(&mut client).unwrap();
    let url = server.url().replace("//", "//deaf:pass@");
    let store = Arc::new(MemoryStore::new());
    let heard = redis(&url, "deaf").announcing(Arc::clone(&store));
    let there = node(heard, Duration::from_millis(300)).await;
    let here = node(Arc::clone(&store), RARELY).await;
    let guarded = Guarded::new(there.layer());
    let key = issue(&here).await;
    assert_eq!(status(&guarded, &key).await, StatusCode::OK);
    here.manager().revoke(key.info().id, None).await.unwrap();
    let delay = refused_after(&guarded, &key).await;
    assert!(delay <= Duration::from_secs(1), "{delay:?}");
    // It may write, though it cannot say so.
    let other = issue(&there).await;
    assert_eq!(status(&guarded, &other).await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_announces_is_a_store() {
    let Some(url) = url() else { return };
    let redis = redis(&url, "suite").patience(Duration::from_secs(2));
    suite::run_all(async || redis.announcing(MemoryStore::new())).await;
}
