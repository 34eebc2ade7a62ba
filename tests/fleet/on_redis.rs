//! What nodes promise that share limits over a real Redis, whose time passes by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use mcp_api_keys::key::Quota;
use mcp_api_keys::limit::SharedLimiter;
use mcp_api_keys::redis::Redis;
use mcp_api_keys::store::{KeyStore, MemoryStore};
use mcp_api_keys::testing::limiter::{charge, fresh_key};
use mcp_api_keys::{ApiKeys, Clock, Moment, NewKey, RateLimit, SystemClock, Timestamp};

use crate::server::{Server, redis, url};
use crate::world::{Guarded, builder, percentile, size};

/// A clock that is off by so many minutes.
#[derive(Debug)]
struct Off(SystemClock, i64);

impl Clock for Off {
    fn now(&self) -> Moment {
        let now = self.0.now();
        let wall = now.wall.as_millis() + self.1 * 60_000;
        Moment::new(Timestamp::from_millis(wall), now.ticks)
    }
}

async fn nodes(count: i64, redis: &Redis) -> (ApiKeys, Vec<Guarded>) {
    let store = Arc::new(MemoryStore::new());
    let mut nodes = Vec::new();
    for node in 0..count {
        let builder = builder(Arc::clone(&store)).clock(Off(SystemClock::new(), node * 7 - 10));
        // A connection of its own for each node.
        let own = Redis::connect(&url().unwrap())
            .await
            .unwrap()
            .patience(Duration::from_secs(2));
        let _ = redis;
        nodes.push(builder.shared_limits(own.limiter()).build().await.unwrap());
    }
    let guarded = nodes
        .iter()
        .map(|keys| Guarded::new(keys.layer()))
        .collect();
    (nodes.remove(0), guarded)
}

/// P15 over Redis: sixty-four tasks on four nodes whose clocks are minutes apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_nodes_with_wrong_clocks_admit_the_burst_and_the_rate() {
    const RATE: u32 = 100;
    const BURST: u32 = 20;

    let Some(redis) = redis().await else { return };
    let (keys, guarded) = nodes(4, &redis).await;
    let new = NewKey::named("limited")
        .all_servers()
        .rate(RateLimit::per_second(RATE).burst(BURST))
        .rate(RateLimit::per_hour(1_000_000).named("hour"));
    let issued = keys.manager().issue(new).await.unwrap();
    let key: Arc<str> = issued.key().expose_secret().into();
    let mut worst = 0_u64;
    for _ in 0..size(3, 20) {
        // The burst is there again before each round.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let (admitted, stop) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let first = Arc::new(std::sync::OnceLock::new());
        let before = Instant::now();
        let tasks: Vec<_> = (0..64)
            .map(|task| {
                let (guarded, key) = (guarded[task % 4].clone(), Arc::clone(&key));
                let (admitted, stop) = (Arc::clone(&admitted), Arc::clone(&stop));
                let first = Arc::clone(&first);
                tokio::spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        if guarded.send(&key).await.status() == StatusCode::OK {
                            first.get_or_init(Instant::now);
                            admitted.fetch_add(1, Ordering::Relaxed);
                        } else {
                            tokio::time::sleep(Duration::from_millis(1)).await;
                        }
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        stop.store(true, Ordering::Relaxed);
        for task in tasks {
            task.await.unwrap();
        }
        // What has come back until now is taken as well, so that nothing is left to chance.
        let mut begun = Instant::now();
        while guarded[0].send(&key).await.status() == StatusCode::OK {
            admitted.fetch_add(1, Ordering::Relaxed);
            begun = Instant::now();
        }
        let ended = Instant::now();
        // The server's time of the first and of the last decision lies between these.
        let longest = ended.duration_since(before).as_secs_f64();
        let shortest = begun.duration_since(*first.get().unwrap()).as_secs_f64();
        let most = u64::from(BURST) + (longest * f64::from(RATE)).floor() as u64;
        let least = u64::from(BURST) + (shortest * f64::from(RATE)).floor() as u64;
        let admitted = admitted.load(Ordering::Relaxed);
        println!("P15 on Redis: {admitted} admitted, {least} to {most} expected");
        worst = worst
            .max(admitted.saturating_sub(most))
            .max(least.saturating_sub(admitted));
    }
    assert!(worst <= 1, "{worst} off");
}

/// P17 over Redis: a flood of other keys does not reset a limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_other_keys_does_not_reset_a_limit() {
    let Some(redis) = redis().await else { return };
    let limiter = redis.limiter();
    let key = fresh_key();
    let limited = [charge(&RateLimit::per_hour(10), 1)];
    let taken = async |key, charges: &[_]| {
        let decision = limiter.take(key, charges).await.unwrap();
        matches!(decision, mcp_api_keys::limit::Decision::Taken(_))
    };
    let mut admitted = 0;
    for round in 0..size(200, 20_000) {
        admitted += u32::from(taken(key, &limited).await);
        for _ in 0..50 {
            assert!(taken(fresh_key(), &limited).await, "round {round}");
        }
    }
    assert_eq!(admitted, 10);
}

/// What is not used any more goes away by itself.
#[tokio::test]
async fn what_is_idle_is_forgotten_by_redis() {
    let Some(redis) = redis().await else { return };
    let redis = redis.prefix(&format!("idle-{}:", fresh_key())).unwrap();
    let (limiter, key) = (redis.limiter(), fresh_key());
    let charges = [
        charge(&RateLimit::per_second(2).named("short"), 2),
        charge(&RateLimit::per_hour(60).named("long"), 1),
    ];
    limiter.take(key, &charges).await.unwrap();
    let left = async || {
        let mut names = Monitor::connect().await.names("idle-*").await;
        names.retain(|name| name.contains(&key.to_string()));
        names
    };
    assert_eq!(left().await.len(), 2);
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let names = left().await;
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(names[0].ends_with("limit:long"));
    limiter.give_back(key, &charges[1..]).await.unwrap();
    assert_eq!(left().await.len(), 0);
}

/// P23: neither what Redis is told nor what it keeps holds eight characters of a secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_part_of_a_secret_reaches_redis() {
    use mcp_api_keys::SignedRequestLayer;
    use mcp_api_keys::limit::OutageMode;
    use mcp_api_keys::signing::Signer;

    let Some(server) = Server::start().await else {
        return;
    };
    let heard = Monitor::at(&server.url()).await.hear();
    let redis = Redis::connect(&server.url()).await.unwrap();
    let keys = builder(MemoryStore::new())
        .shared_limits(redis.limiter())
        .quota_ledger(redis.quota_ledger())
        .build()
        .await
        .unwrap();
    let guard = redis.replay_guard().outage(OutageMode::LocalFallback);
    let layer = keys
        .layer()
        .with_signing(SignedRequestLayer::optional().replay_guard(guard));
    let mut secrets = Vec::new();
    for number in 0..20 {
        let new = NewKey::named(format!("key {number}")).all_servers();
        let new = new
            .rate(RateLimit::per_minute(600))
            .quota(Quota::per_day(1_000));
        let issued = keys.manager().issue(new).await.unwrap();
        let text = issued.key().expose_secret().to_owned();
        let signed = Signer::new(&text).sign(SystemClock::new().now().wall, b"");
        for sign in [false, true] {
            let mut request = crate::world::request(&text);
            if sign {
                signed.set(request.headers_mut());
            }
            let inner = tower::service_fn(async |_: http::Request<_>| {
                Ok::<_, std::convert::Infallible>(http::Response::new(Nothing::new()))
            });
            let service = tower::Layer::layer(&layer, inner);
            let response = tower::ServiceExt::oneshot(service, request).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
        }
        secrets.push(text);
    }
    let mut kept = Monitor::at(&server.url()).await.everything().await;
    assert!(
        kept.windows(6).any(|run| run == b":limit"),
        "it has kept limits"
    );
    kept.extend(heard.stop().await);
    assert!(
        kept.windows(7)
            .any(|run| run.eq_ignore_ascii_case(b"evalsha"))
    );
    for secret in &secrets {
        let secret = &secret.as_bytes()["mcp_sk_".len() + 8..];
        for run in secret.windows(8) {
            assert!(!kept.windows(8).any(|other| other == run));
        }
    }
}

type Nothing = http_body_util::Empty<bytes::Bytes>;

/// The quota ledger over Redis keeps the promises that the stores keep.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotas_can_be_counted_in_redis() {
    use mcp_api_keys::store::{QuotaAccount, QuotaLedger};

    let Some(redis) = redis().await else { return };
    let ledger = Arc::new(redis.quota_ledger());
    let account = |key, quota: &str, day: i64| QuotaAccount {
        key,
        quota: quota.to_owned(),
        period: Timestamp::from_millis(day * 86_400_000),
    };
    let key = fresh_key();
    let today = account(key, "calls", 20_000);
    assert!(ledger.taken(key).await.unwrap().is_empty());
    assert_eq!(ledger.take(&today, 70, 100).await.unwrap(), 70);
    assert_eq!(ledger.take(&today, 70, 100).await.unwrap(), 30);
    assert_eq!(ledger.take(&today, 1, 100).await.unwrap(), 0);
    ledger.give_back(&today, 10).await.unwrap();
    assert_eq!(ledger.take(&today, 50, 100).await.unwrap(), 10);
    // A later period begins anew; who is behind counts for it.
    let tomorrow = account(key, "calls", 20_001);
    assert_eq!(ledger.take(&tomorrow, 60, 100).await.unwrap(), 60);
    assert_eq!(ledger.take(&today, 60, 100).await.unwrap(), 40);
    ledger.give_back(&today, 40).await.unwrap();
    assert_eq!(
        ledger
            .take(&account(key, "other", 20_000), 5, 5)
            .await
            .unwrap(),
        5
    );
    let taken = ledger.taken(key).await.unwrap();
    let taken: Vec<_> = taken.iter().map(|t| (t.account.clone(), t.units)).collect();
    assert_eq!(taken, [(tomorrow, 100), (account(key, "other", 20_000), 5)]);
    // Many at once never come to more than there is.
    let all = account(fresh_key(), "calls", 20_000);
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let (ledger, all) = (Arc::clone(&ledger), all.clone());
            tokio::spawn(async move {
                let mut given = 0;
                for _ in 0..10 {
                    given += ledger.take(&all, 7, 1_000).await.unwrap();
                }
                given
            })
        })
        .collect();
    let mut given = 0;
    for task in tasks {
        given += task.await.unwrap();
    }
    assert_eq!(given, 1_000);
}

/// Four nodes with a quota in Redis admit exactly the quota, though they hold parts of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_in_redis_holds_for_all_nodes() {
    let Some(redis) = redis().await else { return };
    let store: Arc<dyn KeyStore> = Arc::new(MemoryStore::new());
    let mut guarded = Vec::new();
    let mut first = None;
    for _ in 0..4 {
        let builder = builder(Arc::clone(&store)).quota_ledger(redis.quota_ledger());
        let keys = builder.build().await.unwrap();
        guarded.push(Guarded::new(keys.layer()));
        first.get_or_insert(keys);
    }
    let new = NewKey::named("quota")
        .all_servers()
        .quota(Quota::per_day(1_000));
    let issued = first.unwrap().manager().issue(new).await.unwrap();
    let mut admitted = 0;
    for request in 0..1_100 {
        let answer = guarded[request % 4]
            .send(issued.key().expose_secret())
            .await;
        admitted += u32::from(answer.status() == StatusCode::OK);
    }
    assert!((990..=1_000).contains(&admitted), "{admitted}");
}

/// How long an admitted request takes beside one command of the same connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admitted_request_takes_one_round_trip() {
    let Some(redis) = redis().await else { return };
    let _alone = crate::world::ALONE.lock().await;
    let limiter = redis.limiter();
    let keys = builder(MemoryStore::new())
        .shared_limits(redis.limiter())
        .build()
        .await
        .unwrap();
    let limit = RateLimit::per_second(1_000_000);
    let new = NewKey::named("fast").all_servers().rate(limit.clone());
    let issued = keys.manager().issue(new).await.unwrap();
    let guarded = Guarded::new(keys.layer());
    let (key, charges) = (fresh_key(), [charge(&limit, 1)]);
    let (mut bare, mut admitted) = (Vec::new(), Vec::new());
    for round in 0..size(2_000, 20_000) {
        let start = Instant::now();
        limiter.take(key, &charges).await.unwrap();
        let middle = Instant::now();
        let answer = guarded.send(issued.key().expose_secret()).await;
        let end = Instant::now();
        assert_eq!(answer.status(), StatusCode::OK);
        if round >= 200 {
            bare.push(middle.duration_since(start));
            admitted.push(end.duration_since(middle));
        }
    }
    let (bare, admitted) = (percentile(&mut bare, 50.0), percentile(&mut admitted, 50.0));
    println!("p50: one decision of Redis {bare:?}, a whole admitted request {admitted:?}");
    // Far more than is promised: this is to notice a second round trip.
    assert!(admitted < bare * 2 + Duration::from_micros(100));
}

/// A plain connection that looks at what a server hears and keeps.
struct Monitor(tokio::io::BufStream<tokio::net::TcpStream>);

/// What is being heard.
struct Heard {
    task: tokio::task::JoinHandle<Vec<u8>>,
    end: Arc<tokio::sync::Notify>,
}

impl Heard {
    async fn stop(self) -> Vec<u8> {
        // What was said last may still be on its way.
        tokio::time::sleep(Duration::from_millis(200)).await;
        self.end.notify_one();
        self.task.await.unwrap()
    }
}

impl Monitor {
    async fn connect() -> Self {
        Self::at(&url().unwrap()).await
    }

    async fn at(url: &str) -> Self {
        let address = url.strip_prefix("redis://").unwrap().trim_end_matches('/');
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        Self(tokio::io::BufStream::new(stream))
    }

    /// All that the server hears from now on.
    fn hear(mut self) -> Heard {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let end = Arc::new(tokio::sync::Notify::new());
        let ended = Arc::clone(&end);
        let task = tokio::spawn(async move {
            self.0.write_all(b"MONITOR\r\n").await.unwrap();
            self.0.flush().await.unwrap();
            let mut heard = Vec::new();
            loop {
                tokio::select! {
                    read = self.0.read_buf(&mut heard) => assert!(read.unwrap() > 0),
                    () = ended.notified() => return heard,
                }
            }
        });
        Heard { task, end }
    }

    async fn command(&mut self, parts: &[&[u8]]) -> Vec<Vec<u8>> {
        use tokio::io::AsyncWriteExt;

        let mut command = format!("*{}\r\n", parts.len()).into_bytes();
        for part in parts {
            command.extend(format!("${}\r\n", part.len()).into_bytes());
            command.extend(*part);
            command.extend(b"\r\n");
        }
        self.0.write_all(&command).await.unwrap();
        self.0.flush().await.unwrap();
        let mut strings = Vec::new();
        let mut due = 1_u64;
        while due > 0 {
            due -= 1;
            let line = self.line().await;
            let number = line[1..].parse::<i64>();
            match (line.as_bytes()[0], number) {
                (b'*', Ok(count)) => due += u64::try_from(count).unwrap(),
                (b'$', Ok(length)) => strings.push(self.bytes(length).await),
                _ => {}
            }
        }
        strings
    }

    async fn line(&mut self) -> String {
        use tokio::io::AsyncBufReadExt;

        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        line.trim_end().to_owned()
    }

    async fn bytes(&mut self, length: i64) -> Vec<u8> {
        use tokio::io::AsyncReadExt;

        let Ok(length) = usize::try_from(length) else {
            return Vec::new();
        };
        let mut bytes = vec![0; length + 2];
        self.0.read_exact(&mut bytes).await.unwrap();
        bytes.truncate(length);
        bytes
    }

    async fn names(&mut self, pattern: &str) -> Vec<String> {
        let names = self.command(&[b"KEYS", pattern.as_bytes()]).await;
        names
            .into_iter()
            .map(|name| String::from_utf8(name).unwrap())
            .collect()
    }

    /// Every name, and everything kept under it.
    async fn everything(&mut self) -> Vec<u8> {
        let names = self.command(&[b"KEYS", b"*"]).await;
        assert!(!names.is_empty());
        let mut all = Vec::new();
        for name in names {
            let kept = self.command(&[b"DUMP", &name]).await;
            all.extend(&name);
            all.extend(kept.into_iter().flatten());
        }
        all
    }
}
