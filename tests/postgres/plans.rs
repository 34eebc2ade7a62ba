//! Which indexes the lists use, with many keys.

use std::time::Duration;

use mcp_api_keys::key::Revision;
use mcp_api_keys::store::{AuditPage, KeyFilter, KeyStore, PageRequest, PostgresStore};
use mcp_api_keys::testing::act;
use mcp_api_keys::testing::records::{handle, record};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::world::{execute, schema};

/// The tables that were read from end to end, and how often.
async fn read_from_end_to_end(pool: &PgPool) -> Vec<(String, i64)> {
    // A session passes its counts on when it is idle, at most once a second.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    sqlx::query("SELECT 1").execute(pool).await.unwrap();
    sqlx::query_as(
        "SELECT relname::TEXT, seq_scan FROM pg_stat_user_tables
         WHERE schemaname = current_schema() AND relname LIKE 'api\\_key%' AND seq_scan > 0
           AND relname NOT IN ('api_key_counter', 'api_key_migrations') ORDER BY 1",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn no_list_reads_a_table_from_end_to_end() {
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
                CASE WHEN i % 1000 = 0 THEN 'free' END, NULL,
                CASE WHEN i % 10 = 0 THEN 'revoked' ELSE 'active' END, TRUE, i, NULL,
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

    let filter = |set: fn(&mut KeyFilter)| {
        let mut filter = KeyFilter::all();
        set(&mut filter);
        filter
    };
    let filters = [
        ("by id", filter(|_| ())),
        (
            "of an owner",
            filter(|f| f.owner = Some("owner-77".parse().unwrap())),
        ),
        (
            "on a plan",
            filter(|f| f.plan = Some("free".parse().unwrap())),
        ),
        (
            "by name",
            filter(|f| f.name_contains = Some("99999".to_owned())),
        ),
        ("standing", KeyFilter::default()),
        (
            "by server",
            filter(|f| f.server = Some("files".parse().unwrap())),
        ),
        (
            "by a rare server",
            filter(|f| f.server = Some("rare".parse().unwrap())),
        ),
    ];
    let at_first = read_from_end_to_end(&pool).await;
    assert!(!at_first.is_empty(), "filling the tables is counted");
    for (name, filter) in filters {
        // Often enough for the server to think of a plan for every filter at once.
        for _ in 0..7 {
            // Rows made up here do not read back; that they were found is enough.
            let found = store.list(&filter, PageRequest::first(50)).await;
            drop(found);
        }
        assert_eq!(read_from_end_to_end(&pool).await, at_first, "{name}");
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
