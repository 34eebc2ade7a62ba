//! A database that was restored from a backup under the nodes that use it, in PostgreSQL and in SQLite.

use http::StatusCode;
use mcp_api_keys::ApiKeys;
use mcp_api_keys::store::SqliteStore;
use sqlx::{AssertSqlSafe, SqlitePool};

use crate::world::{execute, issue, node, open, schema, status};

const TABLES: [&str; 8] = [
    "api_keys",
    "api_key_handles",
    "api_key_servers",
    "api_key_documents",
    "api_key_changes",
    "api_key_audit",
    "api_key_uses",
    "api_key_quotas",
];

fn backup() -> String {
    TABLES
        .iter()
        .chain(&["api_key_counter"])
        .map(|table| format!("CREATE TABLE backup_{table} AS SELECT * FROM {table};"))
        .collect()
}

/// From the tables that others refer to on, and back in the opposite order.
fn restore() -> String {
    let tables = ["api_key_counter"].into_iter().chain(TABLES);
    let delete = tables
        .clone()
        .rev()
        .map(|table| format!("DELETE FROM {table};"));
    let insert = tables.map(|table| format!("INSERT INTO {table} SELECT * FROM backup_{table};"));
    let (delete, insert): (String, String) = (delete.collect(), insert.collect());
    format!("BEGIN; {delete} {insert} COMMIT;")
}

#[tokio::test]
async fn nodes_on_postgresql_notice_a_restored_backup() {
    let schema = schema!();
    let (here, there) = (
        node(open(&schema.url).await).await,
        node(open(&schema.url).await).await,
    );
    notices(&here, &there, async |sql| execute(&schema.url, sql).await).await;
}

#[tokio::test]
async fn nodes_on_sqlite_notice_a_restored_backup() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("keys.db").display());
    let store = SqliteStore::connect(&url).await.unwrap();
    let pool: SqlitePool = store.pool().clone();
    let there = node(SqliteStore::connect(&url).await.unwrap()).await;
    let here = node(store).await;
    notices(&here, &there, async |sql: String| {
        let mut connection = pool.acquire().await.unwrap();
        let sql = sqlx::raw_sql(AssertSqlSafe(sql));
        sql.execute(&mut *connection).await.unwrap();
    })
    .await;
}

/// Two backups are restored: in the first case the store is behind what a node has seen, in the second
/// it has been written to since and has come as far or further.
async fn notices(here: &ApiKeys, there: &ApiKeys, sql: impl AsyncFn(String)) {
    let (lost, kept) = (issue(here).await, issue(here).await);
    here.manager().disable(kept.info().id).await.unwrap();
    sql(backup()).await;
    let layer = there.layer();

    for writes_after in [0, 1, 5] {
        // What the backup does not know: the key is enabled, and the other has a successor.
        here.catch_up().await.unwrap();
        here.manager().enable(kept.info().id).await.unwrap();
        let new = issue(here).await;
        there.catch_up().await.unwrap();
        for key in [&lost, &kept, &new] {
            assert_eq!(status(&layer, key).await, StatusCode::OK);
        }

        sql(restore()).await;
        let writer = here;
        writer.catch_up().await.unwrap();
        for _ in 0..writes_after {
            drop(issue(writer).await);
        }
        there.catch_up().await.unwrap();
        assert_eq!(status(&layer, &lost).await, StatusCode::OK);
        assert_eq!(
            status(&layer, &kept).await,
            StatusCode::UNAUTHORIZED,
            "{writes_after}"
        );
        assert_eq!(
            status(&layer, &new).await,
            StatusCode::UNAUTHORIZED,
            "{writes_after}"
        );
        // And it follows the log from there.
        here.manager().disable(lost.info().id).await.unwrap();
        there.catch_up().await.unwrap();
        assert_eq!(status(&layer, &lost).await, StatusCode::UNAUTHORIZED);
        here.manager().enable(lost.info().id).await.unwrap();
        sql(restore()).await;
        there.catch_up().await.unwrap();
    }
}
