//! P19: Redis is killed, stopped, cut off, emptied and started again, under load, in each mode.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use mcp_api_keys::limit::{OutageMode, SharedLimits};
use mcp_api_keys::redis::Redis;
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::{ApiKeys, NewKey, RateLimit};

use crate::server::{Server, Wire};
use crate::world::{ALONE, Guarded, builder};

const MODES: [OutageMode; 3] = [
    OutageMode::LocalFallback,
    OutageMode::Open,
    OutageMode::Closed,
];

/// What a request may wait at most: the patience, and what the code itself takes. How much longer this
/// machine took at worst to wake anybody up at all is measured in the same time, and comes on top.
const LONGEST: Duration = Duration::from_millis(50 + 50);

/// How soon everything is as it was.
const BACK: Duration = Duration::from_secs(2);

struct Node {
    redis: Redis,
    keys: ApiKeys,
    guarded: Guarded,
    /// Of a key that is never over its limit.
    wide: Arc<str>,
}

async fn node(url: &str, mode: OutageMode) -> Node {
    let redis = Redis::connect(url).await.unwrap();
    let limits = SharedLimits::new(redis.limiter()).outage(mode);
    let keys = builder(MemoryStore::new())
        .shared_limits(limits)
        .build()
        .await
        .unwrap();
    let guarded = Guarded::new(keys.layer());
    let wide = issue(&keys, RateLimit::per_second(1_000_000)).await;
    // Remembered, so that no hash is in the way when times are taken.
    assert_eq!(guarded.send(&wide).await.status(), StatusCode::OK);
    Node {
        redis,
        keys,
        guarded,
        wide,
    }
}

async fn issue(keys: &ApiKeys, limit: RateLimit) -> Arc<str> {
    let new = NewKey::named("test").all_servers().rate(limit);
    keys.manager()
        .issue(new)
        .await
        .unwrap()
        .key()
        .expose_secret()
        .into()
}

/// Requests that come all the time, and what became of them.
struct Load {
    stop: Arc<AtomicBool>,
    admitted: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
    tasks: Vec<tokio::task::JoinHandle<Duration>>,
    /// How late a timer was at worst, meanwhile.
    stall: tokio::task::JoinHandle<Duration>,
}

/// How late a timer is at worst until `stop`.
async fn stall(stop: Arc<AtomicBool>) -> Duration {
    let (pause, mut worst) = (Duration::from_millis(1), Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        tokio::time::sleep(pause).await;
        worst = worst.max(start.elapsed().saturating_sub(pause));
    }
    worst
}

impl Load {
    fn on(node: &Node) -> Self {
        let (stop, admitted, refused) =
            (Arc::<AtomicBool>::default(), Arc::default(), Arc::default());
        let mut load = Self {
            stall: tokio::spawn(stall(Arc::clone(&stop))),
            stop,
            admitted,
            refused,
            tasks: Vec::new(),
        };
        for _ in 0..8 {
            let (guarded, key) = (node.guarded.clone(), Arc::clone(&node.wide));
            let (stop, admitted) = (Arc::clone(&load.stop), Arc::clone(&load.admitted));
            let refused = Arc::clone(&load.refused);
            load.tasks.push(tokio::spawn(async move {
                let mut longest = Duration::ZERO;
                while !stop.load(Ordering::Relaxed) {
                    let start = Instant::now();
                    let status = guarded.send(&key).await.status();
                    longest = longest.max(start.elapsed());
                    match status {
                        StatusCode::OK => admitted.fetch_add(1, Ordering::Relaxed),
                        StatusCode::SERVICE_UNAVAILABLE => refused.fetch_add(1, Ordering::Relaxed),
                        other => panic!("{other}"),
                    };
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                longest
            }));
        }
        load
    }

    fn counts(&self) -> (usize, usize) {
        (
            self.admitted.load(Ordering::Relaxed),
            self.refused.load(Ordering::Relaxed),
        )
    }

    /// The longest that a request took, and how late a timer was at worst.
    async fn end(self) -> (Duration, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        let mut longest = Duration::ZERO;
        for task in self.tasks {
            longest = longest.max(task.await.unwrap());
        }
        (longest, self.stall.await.unwrap())
    }
}

/// How long it takes until the server is asked again.
async fn back(node: &Node) -> Duration {
    let start = Instant::now();
    while !node.redis.is_answering() {
        assert!(start.elapsed() < 3 * BACK, "it does not come back");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    start.elapsed()
}

/// Breaks the connection under load, mends it, and looks at what each mode did meanwhile.
async fn outage(name: &str, node: &Node, mode: OutageMode, mut on_and_off: impl AsyncFnMut(bool)) {
    let load = Load::on(node);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (_, refused_before) = load.counts();
    assert_eq!(refused_before, 0, "nothing is wrong yet");
    on_and_off(true).await;
    // Who waits at this moment still waits.
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert!(!node.redis.is_answering());
    let (admitted, refused) = load.counts();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (admitted_then, refused_then) = load.counts();
    let (passed, stopped) = (admitted_then - admitted, refused_then - refused);
    match mode {
        OutageMode::Closed => assert!(passed == 0 && stopped > 100, "{passed} {stopped}"),
        _ => assert!(stopped == 0 && passed > 100, "{passed} {stopped}"),
    }
    on_and_off(false).await;
    let back = back(node).await;
    let (admitted, refused) = load.counts();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (admitted_then, refused_then) = load.counts();
    // What had been judged at the very moment may still be counted.
    assert!(refused_then - refused <= 8 && admitted_then - admitted > 50);
    let all = admitted_then + refused_then;
    let (longest, stall) = load.end().await;
    println!(
        "P19, {name}, {mode}: {all} requests, {refused_then} with 503, the slowest {longest:?} (timers late by {stall:?}), back after {back:?}"
    );
    assert!(longest <= LONGEST + 2 * stall, "{longest:?} {stall:?}");
    assert!(back <= BACK, "{back:?}");
    if mode != OutageMode::Closed {
        assert_eq!(refused_then, 0, "100 % were admitted");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_and_started_again() {
    let _alone = ALONE.lock().await;
    for mode in MODES {
        let Some(server) = Server::start().await else {
            return;
        };
        let node = node(&server.url(), mode).await;
        let server = tokio::sync::Mutex::new(server);
        outage("killed", &node, mode, async |broken: bool| {
            let mut server = server.lock().await;
            if broken {
                server.kill()
            } else {
                server.launch_again()
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_with_its_connections_open() {
    let _alone = ALONE.lock().await;
    for mode in MODES {
        let Some(server) = Server::start().await else {
            return;
        };
        let node = node(&server.url(), mode).await;
        outage("stopped", &node, mode, async |broken: bool| {
            server.signal(if broken { "STOP" } else { "CONT" });
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wire_that_loses_everything() {
    let _alone = ALONE.lock().await;
    for mode in MODES {
        let Some(server) = Server::start().await else {
            return;
        };
        let wire = Wire::to(server.port).await;
        let node = node(&wire.url(), mode).await;
        outage("cut off", &node, mode, async |broken: bool| {
            wire.cut(broken)
        })
        .await;
    }
}

/// In an outage each node goes on from what it knew, and over a limit stays over it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_an_outage_a_node_goes_on_from_what_it_knew() {
    let _alone = ALONE.lock().await;
    let Some(mut server) = Server::start().await else {
        return;
    };
    let node = node(&server.url(), OutageMode::LocalFallback).await;
    let key = issue(&node.keys, RateLimit::per_hour(10)).await;
    for _ in 0..7 {
        assert_eq!(node.guarded.send(&key).await.status(), StatusCode::OK);
    }
    server.kill();
    let mut admitted = 0;
    for _ in 0..30 {
        admitted += u32::from(node.guarded.send(&key).await.status() == StatusCode::OK);
    }
    assert_eq!(admitted, 3);
}

/// A server that was emptied, or has lost the script, counts on without a failure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_emptied_counts_afresh() {
    let _alone = ALONE.lock().await;
    let Some(mut server) = Server::start().await else {
        return;
    };
    let node = node(&server.url(), OutageMode::Closed).await;
    let key = issue(&node.keys, RateLimit::per_hour(3)).await;
    let admitted = async || {
        let mut admitted = 0;
        for _ in 0..10 {
            let status = node.guarded.send(&key).await.status();
            assert_ne!(status, StatusCode::SERVICE_UNAVAILABLE);
            admitted += u32::from(status == StatusCode::OK);
        }
        admitted
    };
    assert_eq!(admitted().await, 3);
    let mut client = ::redis::Client::open(server.url())
        .unwrap()
        .get_connection()
        .unwrap();
    let () = ::redis::cmd("FLUSHALL").query(&mut client).unwrap();
    let () = ::redis::cmd("SCRIPT")
        .arg("FLUSH")
        .query(&mut client)
        .unwrap();
    // What was known is believed for a second.
    assert_eq!(admitted().await, 0);
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    assert_eq!(admitted().await, 3);
    // A connection that was closed while nobody used it is replaced without anybody noticing.
    let killed: i64 = ::redis::cmd("CLIENT")
        .arg("KILL")
        .arg("TYPE")
        .arg("normal")
        .query(&mut client)
        .unwrap();
    assert!(killed >= 1);
    assert_eq!(node.guarded.send(&node.wide).await.status(), StatusCode::OK);
    assert!(node.redis.is_answering());
    // So is a server that was started again in between.
    server.kill();
    server.launch_again();
    let waiting = async {
        while Redis::connect(&server.url()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    waiting.await;
    assert_eq!(node.guarded.send(&node.wide).await.status(), StatusCode::OK);
}

/// Without a server from the start there is one wait, not one for each request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_starts_without_a_server_works_at_once() {
    let _alone = ALONE.lock().await;
    let Some(mut server) = Server::start().await else {
        return;
    };
    server.kill();
    let redis = Redis::open(&server.url()).unwrap();
    assert!(redis.check().await.is_err());
    let keys = builder(MemoryStore::new())
        .shared_limits(redis.limiter())
        .build()
        .await
        .unwrap();
    let guarded = Guarded::new(keys.layer());
    let key = issue(&keys, RateLimit::per_hour(10)).await;
    let mut admitted = 0;
    for _ in 0..30 {
        admitted += u32::from(guarded.send(&key).await.status() == StatusCode::OK);
    }
    assert_eq!(admitted, 10);
    server.launch_again();
    let start = Instant::now();
    while !redis.is_answering() {
        assert!(start.elapsed() < BACK);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Refusals of the server itself: a wrong password, and one that takes no writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_will_not_is_said_to_be_at_fault() {
    use mcp_api_keys::ErrorKind;

    let _alone = ALONE.lock().await;
    let Some(server) = Server::start().await else {
        return;
    };
    let node = node(&server.url(), OutageMode::LocalFallback).await;
    let mut client = ::redis::Client::open(server.url())
        .unwrap()
        .get_connection()
        .unwrap();
    let () = ::redis::cmd("REPLICAOF")
        .arg("127.0.0.1")
        .arg(1)
        .query(&mut client)
        .unwrap();
    for _ in 0..20 {
        assert_eq!(node.guarded.send(&node.wide).await.status(), StatusCode::OK);
    }
    assert!(!node.redis.is_answering());
    assert!(node.redis.check().await.is_err());
    let () = ::redis::cmd("REPLICAOF")
        .arg("NO")
        .arg("ONE")
        .query(&mut client)
        .unwrap();
    assert!(back(&node).await <= BACK);
    let () = ::redis::cmd("CONFIG")
        .arg("SET")
        .arg("requirepass")
        .arg("hunter2")
        .query(&mut client)
        .unwrap();
    for url in [server.url(), server.url().replace("//", "//:wrong@")] {
        let error = Redis::connect(&url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
        assert!(!format!("{error:?}").contains("wrong@"));
    }
    assert!(
        Redis::connect(&server.url().replace("//", "//:hunter2@"))
            .await
            .is_ok()
    );
}

/// Whatever happens to a thousand requests, the log has one line about it, and one about its end.
#[tokio::test]
async fn an_outage_is_two_lines_in_the_log() {
    let _alone = ALONE.lock().await;
    let Some(mut server) = Server::start().await else {
        return;
    };
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .finish();
    let _heard = tracing::subscriber::set_default(subscriber);
    let node = node(&server.url(), OutageMode::LocalFallback).await;
    server.kill();
    for _ in 0..500 {
        assert_eq!(node.guarded.send(&node.wide).await.status(), StatusCode::OK);
    }
    server.launch_again();
    back(&node).await;
    for _ in 0..500 {
        assert_eq!(node.guarded.send(&node.wide).await.status(), StatusCode::OK);
    }
    let log = log.text();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 2, "{log}");
    assert!(lines[0].contains("WARN") && lines[0].contains("limited by each process alone"));
    assert!(lines[1].contains("INFO") && lines[1].contains("answers again"));
}

#[derive(Clone, Debug, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
