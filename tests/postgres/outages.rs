//! When the server does not answer, or says no.

use std::time::{Duration, Instant};

use http::StatusCode;
use mcp_api_keys::key::Revision;
use mcp_api_keys::store::{ChangeLog, KeyFilter, KeyStore, KeyUse, PageRequest, PostgresStore};
use mcp_api_keys::testing::act;
use mcp_api_keys::testing::records::{NOON, handle, record};
use mcp_api_keys::{ApiKeys, Argon2Params, ErrorKind};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::proxy::Proxy;
use crate::world::{ALONE, execute, issue, node, open, refused_after, schema, status, with};

/// As an administrator's shutdown, or a failover.
#[tokio::test]
async fn connections_that_the_server_ends_are_replaced() {
    let schema = schema!();
    let store = open(&with(&schema, "application_name=ended")).await;
    store.insert(&record(1), &act()).await.unwrap();
    for _ in 0..5 {
        execute(
            &schema.url,
            format!(
                "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a
                 WHERE a.application_name = 'ended' AND a.pid <> pg_backend_pid()
                   AND a.usename = current_user AND '{}' <> ''",
                schema.name
            ),
        )
        .await;
        let mut failures = 0;
        while let Err(error) = store.get(record(1).id).await {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
            failures += 1;
            assert!(failures <= 12, "the pool does not recover");
        }
        while let Err(error) = store.changes_since(Revision::new(0), 1).await {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
            failures += 1;
            assert!(failures <= 12, "the log does not recover");
        }
    }
    let mut written = store.insert(&record(2), &act()).await;
    while let Err(error) = written {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        written = store.insert(&record(2), &act()).await;
    }
}

/// P5. The other end of every socket of the store is gone without a word, and new ones work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_are_noticed_and_replaced() {
    let _alone = ALONE.lock().await;
    let schema = schema!();
    let proxy = Proxy::to(&schema.url).await;
    let here = node(open(&schema.url).await).await;
    let there = node(open(&proxy.url(&schema.url)).await).await;
    let layer = there.layer();
    let (revoked, unknown) = (issue(&here).await, issue(&here).await);
    // Several connections of the pool are idle, and the log's and the listener's are in use.
    let many: Vec<_> = (0..8)
        .map(|_| {
            let manager = there.manager().clone();
            tokio::spawn(async move {
                let filter = KeyFilter::default();
                manager
                    .list(&filter, PageRequest::default())
                    .await
                    .map(drop)
            })
        })
        .collect();
    for listed in many {
        listed.await.unwrap().unwrap();
    }
    assert_eq!(status(&layer, &revoked).await, StatusCode::OK);
    tokio::time::sleep(Duration::from_millis(1_500)).await;

    proxy.silence();
    let fell = Instant::now();
    here.manager()
        .revoke(revoked.info().id, None)
        .await
        .unwrap();
    let unknown_works = async {
        let mut answers = Vec::new();
        loop {
            match status(&layer, &unknown).await {
                StatusCode::OK => break (fell.elapsed(), answers),
                other => answers.push(other),
            }
            assert!(
                fell.elapsed() < Duration::from_secs(20),
                "it does not recover"
            );
        }
    };
    let (refused, (recovered, answers)) =
        tokio::join!(refused_after(&layer, &revoked), unknown_works);
    println!(
        "P5: sockets gone silent: a revoked key refused after {refused:?}, an unknown one served after {recovered:?}, before that {answers:?}"
    );
    assert!(refused <= Duration::from_secs(5), "{refused:?}");
    assert!(recovered <= Duration::from_secs(5), "{recovered:?}");
    assert!(
        answers
            .iter()
            .all(|status| *status == StatusCode::SERVICE_UNAVAILABLE)
    );
}

/// A lookup that was given up gives its place in the pool back, even if the server never answers.
#[tokio::test]
async fn calls_that_are_given_up_do_not_use_the_pool_up() {
    let _alone = ALONE.lock().await;
    let schema = schema!();
    let proxy = Proxy::to(&schema.url).await;
    let store = open(&proxy.url(&schema.url)).await;
    store.insert(&record(1), &act()).await.unwrap();
    for _ in 0..3 {
        let calls = (0..20).map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.find_by_handle(&handle(1)).await.map(drop) })
        });
        let calls: Vec<_> = calls.collect();
        tokio::time::sleep(Duration::from_millis(3)).await;
        proxy.silence();
        tokio::time::sleep(Duration::from_millis(200)).await;
        for call in calls {
            call.abort();
            drop(call.await);
        }
    }
    let start = Instant::now();
    loop {
        let wanted = handle(1);
        let found = tokio::time::timeout(Duration::from_secs(2), store.find_by_handle(&wanted));
        if matches!(found.await, Ok(Ok(Some(_)))) {
            break;
        }
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "the pool is used up"
        );
    }
    println!(
        "after three silences under load the pool answers within {:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn lookups_that_use_up_the_pool_do_not_stop_the_log() {
    let schema = schema!();
    let store = open(&schema.url).await;
    store.insert(&record(1), &act()).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..store.pool().options().get_max_connections() {
        held.push(store.pool().acquire().await.unwrap());
    }
    let start = Instant::now();
    let log = store.changes_since(Revision::new(0), 10).await.unwrap();
    assert!(matches!(log, ChangeLog::Changes(changes) if changes.len() == 1));
    assert!(start.elapsed() < Duration::from_secs(1));
    let start = Instant::now();
    let waited = store.get(record(1).id).await.unwrap_err();
    assert_eq!(waited.kind(), ErrorKind::Unavailable);
    assert!(
        start.elapsed() < Duration::from_secs(6),
        "a call is bounded"
    );
}

/// A program that holds the counter and does not end its transaction.
#[tokio::test]
async fn a_lock_that_does_not_end_is_unavailable_for_writers_only() {
    let schema = schema!();
    let store = open(&schema.url).await;
    store.insert(&record(1), &act()).await.unwrap();
    let mut lock = store.pool().begin().await.unwrap();
    sqlx::query("UPDATE api_key_counter SET revision = revision + 1")
        .execute(&mut *lock)
        .await
        .unwrap();
    let start = Instant::now();
    let error = store.insert(&record(2), &act()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(start.elapsed() < Duration::from_secs(6));
    assert!(store.find_by_handle(&handle(1)).await.unwrap().is_some());
    let one = KeyUse {
        key: record(1).id,
        credential: mcp_api_keys::key::CredentialId::FIRST,
        at: NOON,
    };
    store.note_uses(&[one]).await.unwrap();
    lock.rollback().await.unwrap();
    assert_eq!(
        store.insert(&record(3), &act()).await.unwrap(),
        Revision::new(2)
    );
}

/// A server that only reads, as after a failover, is no place to write to.
#[tokio::test]
async fn a_server_that_only_reads_is_unavailable_for_writing() {
    let schema = schema!();
    open(&schema.url)
        .await
        .insert(&record(1), &act())
        .await
        .unwrap();
    let options: PgConnectOptions = schema.url.parse().unwrap();
    let options = options.options([("default_transaction_read_only", "on")]);
    let pool = PgPoolOptions::new().connect_with(options).await.unwrap();
    let store = PostgresStore::with_pool(pool).await.unwrap();
    let before = store.pool().size();
    for _ in 0..3 {
        let error = store.insert(&record(2), &act()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        assert!(error.to_string().contains("read-only"), "{error}");
    }
    assert!(store.pool().size() <= before, "its connections are closed");
    assert!(store.get(record(1).id).await.unwrap().is_some());
}

#[tokio::test]
async fn a_server_without_a_free_connection_is_unavailable() {
    let schema = schema!();
    open(&schema.url).await.close().await;
    let user = format!("{}_few", schema.name);
    execute(
        &schema.url,
        format!(
            "CREATE ROLE {user} LOGIN CONNECTION LIMIT 0;
             GRANT USAGE ON SCHEMA {} TO {user}",
            schema.name
        ),
    )
    .await;
    let error = PostgresStore::connect(&with(&schema, &format!("user={user}"))).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.to_string().contains("no connection left"), "{error}");
    execute(
        &schema.url,
        format!("DROP OWNED BY {user}; DROP ROLE {user}"),
    )
    .await;
}

/// Two nodes that note the same keys, in opposite orders, and a third that deletes them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_note_the_same_keys_do_not_block_each_other() {
    let schema = schema!();
    let store = open(&schema.url).await;
    for number in 0..40 {
        store.insert(&record(number), &act()).await.unwrap();
    }
    let used = |number: u64, round: u64| KeyUse {
        key: record(number).id,
        credential: mcp_api_keys::key::CredentialId::FIRST,
        at: NOON.saturating_add(Duration::from_secs(round)),
    };
    let mut tasks = Vec::new();
    for node in 0..4_u64 {
        let store = open(&schema.url).await;
        tasks.push(tokio::spawn(async move {
            for round in 0..25 {
                let mut uses: Vec<_> = (0..40).map(|number| used(number, round)).collect();
                if node % 2 == 0 {
                    uses.reverse();
                }
                store.note_uses(&uses).await.unwrap();
            }
        }));
    }
    for number in 0..20 {
        assert!(store.delete(record(number).id, &act()).await.unwrap());
    }
    for task in tasks {
        task.await.unwrap();
    }
    let kept: Vec<_> = (0..40).map(|number| record(number).id).collect();
    let uses = store.uses(&kept).await.unwrap();
    assert_eq!(uses.len(), 20);
    assert!(uses.iter().all(|one| one.at == used(0, 24).at));
}

/// What is remembered goes on while the server is away; what is not gets 503, never 401.
#[tokio::test]
async fn an_outage_is_no_refusal() {
    let schema = schema!();
    let store = open(&schema.url).await;
    let keys = ApiKeys::builder(store.clone())
        .argon2(Argon2Params::new(8, 1, 1).unwrap())
        .build()
        .await
        .unwrap();
    let layer = keys.layer();
    let (known, unknown) = (issue(&keys).await, issue(&keys).await);
    let fresh = node(open(&schema.url).await).await.layer();
    assert_eq!(status(&layer, &known).await, StatusCode::OK);
    assert_eq!(status(&fresh, &known).await, StatusCode::OK);
    store.close().await;
    assert_eq!(status(&layer, &known).await, StatusCode::OK);
    let other = node(open(&schema.url).await).await;
    let late = issue(&other).await;
    assert_eq!(status(&layer, &late).await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(status(&fresh, &unknown).await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_many_nodes_take_turns() {
    const NODES: u64 = 4;
    const WRITES: u64 = 50;

    let schema = schema!();
    let mut stores = Vec::new();
    for _ in 0..NODES {
        stores.push(open(&schema.url).await);
    }
    let start = Instant::now();
    let writers = stores.iter().enumerate().map(|(node, store)| {
        let (node, store) = (node as u64, store.clone());
        tokio::spawn(async move {
            for write in 0..WRITES {
                store
                    .insert(&record(node * WRITES + write), &act())
                    .await
                    .unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let rate = (NODES * WRITES) as f64 / start.elapsed().as_secs_f64();
    println!("{NODES} nodes on one server: {rate:.0} inserts a second");
    let ChangeLog::Changes(log) = stores[0]
        .changes_since(Revision::new(0), 1_000)
        .await
        .unwrap()
    else {
        panic!("the log is whole");
    };
    let revisions = log.iter().map(|change| change.revision.as_u64());
    assert!(revisions.eq(1..=NODES * WRITES));
}
