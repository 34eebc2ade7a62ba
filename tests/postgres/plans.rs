//! Which indexes the lists use, with many keys.

use std::time::{Duration, Instant};

use mcp_api_keys::Timestamp;
use mcp_api_keys::alert::{Alert, AlertLedger, AlertRequest, AlertRule, AlertState};
use mcp_api_keys::key::{Revision, StatusKind};
use mcp_api_keys::store::{AuditPage, KeyFilter, KeyStore, PageRequest, PostgresStore};
use mcp_api_keys::testing::act;
use mcp_api_keys::testing::records::{handle, record};
use mcp_api_keys::usage::{
    BatchId, UsageBatch, UsageDelta, UsageDimension, UsageOf, UsageQuery, UsageRequest,
    UsageRetention, UsageSink, UsageStep,
};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::world::{ALONE, execute, percentile, schema};

/// The tables that were read from end to end, and how often.
async fn read_from_end_to_end(pool: &PgPool) -> Vec<(String, i64)> {
    read_in_whole(pool, "api\\_key%").await
}

/// The same of the tables whose names are like this, but for those that hold next to nothing.
async fn read_in_whole(pool: &PgPool, names: &str) -> Vec<(String, i64)> {
    // A session passes its counts on when it is idle, at most once a second.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    sqlx::query("SELECT 1").execute(pool).await.unwrap();
    sqlx::query_as(
        "SELECT relname::TEXT, seq_scan FROM pg_stat_user_tables
         WHERE schemaname = current_schema() AND relname LIKE $1 AND seq_scan > 0
           AND relname NOT IN ('api_key_counter', 'api_key_migrations', 'api_usage_gone',
               'api_usage_recorders') ORDER BY 1",
    )
    .bind(names)
    .fetch_all(pool)
    .await
    .unwrap()
}

/// A filter for each condition, with few, many and no keys that meet it, and some together.
fn filters() -> Vec<(&'static str, KeyFilter)> {
    let with = |set: fn(&mut KeyFilter)| {
        let mut filter = KeyFilter::all();
        set(&mut filter);
        filter
    };
    let standing = |set: fn(&mut KeyFilter)| {
        let mut filter = KeyFilter::default();
        set(&mut filter);
        filter
    };
    let at = |millis| Some(Timestamp::from_millis(millis));
    let name = |part: &str| {
        let mut filter = KeyFilter::default();
        filter.name_contains = Some(part.to_owned());
        filter
    };
    let expiring = |millis| {
        let mut filter = KeyFilter::default();
        filter.expires_before = at(millis);
        filter
    };
    let created = |millis| {
        let mut filter = KeyFilter::default();
        filter.created_before = at(millis);
        filter
    };
    vec![
        ("by id", with(|_| ())),
        ("standing", KeyFilter::default()),
        (
            "of an owner",
            with(|f| f.owner = Some("owner-77".parse().unwrap())),
        ),
        (
            "on a plan",
            with(|f| f.plan = Some("free".parse().unwrap())),
        ),
        ("disabled", with(|f| f.status = Some(StatusKind::Disabled))),
        ("revoked", with(|f| f.status = Some(StatusKind::Revoked))),
        ("connections", with(|f| f.connections = Some(true))),
        (
            "standing connections",
            standing(|f| f.connections = Some(true)),
        ),
        ("no connections", with(|f| f.connections = Some(false))),
        (
            "by server",
            with(|f| f.server = Some("files".parse().unwrap())),
        ),
        (
            "by a rare server",
            standing(|f| f.server = Some("rare".parse().unwrap())),
        ),
        (
            "by no server",
            standing(|f| f.server = Some("none".parse().unwrap())),
        ),
        (
            "by a server and an owner",
            standing(|f| {
                f.server = Some("rare".parse().unwrap());
                f.owner = Some("owner-77".parse().unwrap());
            }),
        ),
        ("by a rare name", name("99999")),
        ("by a name of many", name("KEY 9")),
        ("by a name of none", name("zzz")),
        ("by two letters of none", name("zz")),
        ("few that expire", expiring(1_000)),
        ("many that expire", expiring(90_000)),
        ("few that are old", created(1_000)),
        ("many that are old", created(50_000)),
        (
            "a name and a time",
            standing(|f| {
                f.name_contains = Some("key 77".to_owned());
                f.created_before = Some(Timestamp::from_millis(80_000));
            }),
        ),
        (
            "idle",
            standing(|f| f.idle_since = Some(Timestamp::from_millis(50_000))),
        ),
    ]
}

#[tokio::test]
async fn no_list_reads_a_table_from_end_to_end() {
    let _alone = ALONE.lock().await;
    let schema = schema!();
    // One connection, whose counts can be waited for.
    let options: PgConnectOptions = schema.url.parse().unwrap();
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect_with(options)
        .await
        .unwrap();
    let store = PostgresStore::with_pool(pool.clone()).await.unwrap();
    let mut key = record(1);
    key.owner = Some("ada".parse().unwrap());
    store.insert(&key, &act()).await.unwrap();
    execute(
        &schema.url,
        "INSERT INTO api_keys (id, revision, name, owner, plan, client, status, all_servers,
                               created_at, expires_at, record)
         SELECT 'key_1' || lpad(i::TEXT, 21, '0'), i + 1, 'key ' || i, 'owner-' || i % 5000,
                CASE WHEN i % 1000 = 0 THEN 'free' END, CASE WHEN i % 501 = 0 THEN 'desk' END,
                CASE WHEN i % 10 = 0 THEN 'revoked' WHEN i % 777 = 0 THEN 'disabled' ELSE 'active' END,
                TRUE, i, CASE WHEN i % 51 = 0 THEN i END,
                (SELECT record FROM api_keys LIMIT 1)
         FROM generate_series(1, 100000) i;
         UPDATE api_keys SET all_servers = FALSE WHERE created_at % 3 > 0;
         INSERT INTO api_key_servers
         SELECT id, CASE WHEN created_at % 20000 = 1 THEN 'rare' ELSE 'files' END
         FROM api_keys WHERE NOT all_servers;
         INSERT INTO api_key_handles SELECT 'h' || i, 'key_1' || lpad(i::TEXT, 21, '0')
         FROM generate_series(1, 100000) i;
         INSERT INTO api_key_changes SELECT i, 'key_1' || lpad(i::TEXT, 21, '0'), i
         FROM generate_series(2, 100001) i;
         INSERT INTO api_key_audit SELECT i, i, 'actor-' || i % 50, NULL, 'issued',
                'key_1' || lpad(i::TEXT, 21, '0'), NULL, NULL FROM generate_series(2, 100001) i;
         INSERT INTO api_key_uses SELECT 'key_1' || lpad(i::TEXT, 21, '0'), 1, i
         FROM generate_series(1, 100000) i;
         UPDATE api_key_counter SET revision = 100001;
         ANALYZE",
    )
    .await;

    let at_first = read_from_end_to_end(&pool).await;
    assert!(!at_first.is_empty(), "filling the tables is counted");
    for (name, filter) in filters() {
        let mut times = Vec::new();
        for (page, after) in [("first", 0), ("deep", 90_000), ("last", 99_990)] {
            let page_of_it = PageRequest {
                after: (after > 0).then(|| format!("key_1{after:021}").parse().unwrap()),
                ..PageRequest::first(50)
            };
            let mut of_page = Vec::new();
            // Often enough for the server to think of a plan for every filter at once.
            for _ in 0..7 {
                let start = Instant::now();
                // Rows made up here do not read back; that they were found is enough.
                drop(store.list(&filter, page_of_it).await);
                of_page.push(start.elapsed());
            }
            times.push((page, percentile(&mut of_page, 50.0)));
        }
        println!("100,000 keys, {name}: {times:?}");
        assert_eq!(read_from_end_to_end(&pool).await, at_first, "{name}");
        // What is idle is tried key by key, and so is a text that is too short for the index.
        let is_tried = ["idle", "by two letters of none"].contains(&name);
        let bound = Duration::from_millis(if is_tried { 3_000 } else { 100 });
        for (page, time) in times {
            assert!(time <= bound, "{name}, {page} page: {time:?}");
        }
    }
    for number in 0..7 {
        drop(store.find_by_handle(&format!("h{number}")).await);
        drop(store.get(record(number).id).await);
        drop(store.uses(&[record(number).id]).await);
        assert!(store.find_by_handle(&handle(1)).await.unwrap().is_some());
        store
            .changes_since(Revision::new(50_000), 100)
            .await
            .unwrap();
        let mut filter = mcp_api_keys::audit::AuditFilter::default();
        store.audit(&filter, AuditPage::newest(20)).await.unwrap();
        filter.actor = Some("actor-7".to_owned());
        store.audit(&filter, AuditPage::newest(20)).await.unwrap();
        filter.actor = None;
        filter.subject = Some(record(number).id.into());
        store.audit(&filter, AuditPage::newest(20)).await.unwrap();
    }
    assert_eq!(read_from_end_to_end(&pool).await, at_first);
}

/// However much usage and however many alerts there are, no question, no batch and no pruning reads a
/// table from end to end.
#[tokio::test]
async fn usage_and_alerts_are_found_by_index() {
    let _alone = ALONE.lock().await;
    let schema = schema!();
    let options: PgConnectOptions = schema.url.parse().unwrap();
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect_with(options)
        .await
        .unwrap();
    let store = PostgresStore::with_pool(pool.clone()).await.unwrap();
    for number in 1..=2_000 {
        store.insert(&record(number), &act()).await.unwrap();
    }
    let alert = Alert::new(
        record(1).id,
        AlertRule::Idle,
        Timestamp::from_millis(1),
        2,
        1,
    );
    store.put(&[alert]).await.unwrap();
    execute(
        &schema.url,
        "INSERT INTO api_usage_series
             (whose, credential, server, operation, outcome, status, carrier)
         SELECT id, 1, 'files', o::TEXT, 'allowed', '2xx', 'bearer'
         FROM api_keys, generate_series(1, 20) o;
         INSERT INTO api_usage_series
             (whose, credential, server, operation, outcome, status, carrier)
         SELECT w, 1, 'files', o::TEXT, 'allowed', '2xx', 'bearer'
         FROM unnest(ARRAY['*', '*server', '*operation', '*carrier']) w, generate_series(1, 20) o;
         INSERT INTO api_usage_hours SELECT id, at, 7, 7, '12:3'
         FROM api_usage_series, generate_series(24 * 20000, 24 * 20000 + 9) at;
         INSERT INTO api_usage_days SELECT id, at, 7, 7, '12:3'
         FROM api_usage_series, generate_series(20000, 20009) at;
         INSERT INTO api_usage_last
         SELECT id, 1785232800000, '192.0.2.7', 'bearer', 1, 'files', 'GET' FROM api_keys;
         INSERT INTO api_key_alerts
         SELECT k.id, r, k.revision % 3 = 0, k.revision, NULL, NULL, NULL, a.body
         FROM api_keys k, api_key_alerts a,
             unnest(ARRAY['errors', 'near_limit', 'new_network', 'spike']) r
         WHERE a.rule = 'idle';
         ANALYZE",
    )
    .await;

    let at_first = read_in_whole(&pool, "api\\_%").await;
    assert!(!at_first.is_empty(), "filling the tables is counted");
    let day = |number: i64| Timestamp::from_millis(number * 86_400_000);
    let one = || UsageOf::Keys(vec![record(77).id]);
    let some = || UsageOf::Keys((1..50).map(|number| record(number).id).collect());
    for of in [one, some, || UsageOf::All] {
        for step in [UsageStep::Hour, UsageStep::Day] {
            for by in [
                None,
                Some(UsageDimension::Operation),
                Some(UsageDimension::Secret),
            ] {
                let mut query = UsageQuery::new(day(20_000), day(20_010), step);
                query.by = by;
                let request = UsageRequest::new(of(), &query);
                // Often enough for the server to think of a plan for every question at once.
                for _ in 0..7 {
                    let read = UsageSink::read(&store, &request).await.unwrap();
                    assert!(!read.is_empty(), "{request:?}");
                }
                let now = read_in_whole(&pool, "api\\_%").await;
                assert_eq!(now, at_first, "{request:?}");
            }
        }
    }
    let all = AlertRequest::latest(50);
    let deep = AlertRequest::latest(1_000).open();
    let deep = AlertLedger::read(&store, &deep).await.unwrap();
    for request in [
        all.clone(),
        all.clone().open(),
        all.clone().in_state(AlertState::Resolved),
        all.clone().of_rule(AlertRule::Spike),
        all.clone().of_key(record(77).id),
        all.clone().after(deep.last().unwrap().place()),
    ] {
        for _ in 0..7 {
            let read = AlertLedger::read(&store, &request).await.unwrap();
            assert!(!read.is_empty(), "{request:?}");
        }
        let now = read_in_whole(&pool, "api\\_%").await;
        assert_eq!(now, at_first, "{request:?}");
    }
    for number in 1..=7 {
        let id = BatchId {
            recorder: 1,
            number,
        };
        let mut row = UsageDelta::new(day(20_000), Some(record(number).id), 1);
        row.server = Some("files".into());
        let batch = UsageBatch::new(id, day(20_000), vec![row]);
        store.write(&batch).await.unwrap();
        store.last_uses(&[record(number).id]).await.unwrap();
    }
    let kept = UsageRetention {
        hours: Duration::from_secs(5 * 3_600),
        days: Duration::from_secs(5 * 86_400),
    };
    let end = day(20_000).saturating_add(Duration::from_secs(9 * 3_600));
    assert!(store.prune(kept, end).await.unwrap(), "there is more");
    assert_eq!(read_in_whole(&pool, "api\\_%").await, at_first);
}

/// A name that is too long for the index of names is found all the same.
#[tokio::test]
async fn names_of_any_length_are_found() {
    let schema = schema!();
    let store = PostgresStore::connect(&schema.url).await.unwrap();
    for (number, length) in [(1, 3), (2, 200), (3, 1_000), (4, 1_001), (5, 100_000)] {
        let mut key = record(number);
        key.name = format!(
            "{}Ä日x{number}",
            "a".repeat(length - 4 * usize::from(length > 3))
        );
        store.insert(&key, &act()).await.unwrap();
        for part in [format!("AÄ日X{number}"), format!("日x{number}")] {
            let mut filter = KeyFilter::all();
            filter.name_contains = Some(part.clone());
            let page = store.list(&filter, PageRequest::default()).await.unwrap();
            let found: Vec<_> = page.records.iter().map(|found| found.id).collect();
            assert_eq!(found, [key.id], "{part} in {length} characters");
        }
    }
    let mut filter = KeyFilter::all();
    filter.name_contains = Some("aa".repeat(600));
    let page = store.list(&filter, PageRequest::default()).await.unwrap();
    assert_eq!(page.records.len(), 1, "a long text is in a long name alone");
}
