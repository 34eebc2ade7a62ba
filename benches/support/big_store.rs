//! An SQLite database with a million rows, without a million hashes.

use std::path::Path;

use mcp_api_keys::key::{KeyId, KeyRecord, Revision, ScopeSet, Servers};
use mcp_api_keys::store::SqliteStore;
use mcp_api_keys::testing::records::{NOON, credential};

/// How many owners there are in [`fill`].
pub const OWNERS: usize = 1_000;

/// Opens a database in `folder`.
pub async fn open(folder: &Path) -> SqliteStore {
    let url = format!("sqlite://{}", folder.join("keys.db").display());
    SqliteStore::connect(&url).await.expect("a database")
}

/// Writes so many rows, as the store would, in one transaction. Nobody holds these keys.
///
/// Each of [`OWNERS`] owners has as many of them; one in a hundred is for the server `mail`, the
/// others for `files`.
pub async fn fill(store: &SqliteStore, rows: usize) {
    let mut record = KeyRecord::new(KeyId::from_u128(0), "@name", NOON);
    record.owner = Some("@owner".parse().expect("an owner"));
    record.servers = Servers::only(["atserver"]).expect("a server");
    record.scopes = ScopeSet::parse(["files:read"]).expect("a scope");
    record.credentials = vec![credential("athandle")];
    record.revision = Revision::new(1);
    let template = serde_json::to_string(&record).expect("a record can be written");
    let id = record.id.to_string();
    let statements = [
        "UPDATE api_key_counter SET revision = max(revision, 1)".to_owned(),
        format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}),
             r(i, id, name, owner, server) AS (
                 SELECT i, printf('key_%022d', i), 'agent ' || i, 'owner-' || (i % {OWNERS}),
                        iif(i % 100 = 7, 'mail', 'files') FROM n)
             INSERT INTO api_keys
                 (id, revision, name, owner, status, all_servers, created_at, record)
             SELECT id, 1, name, owner, 'active', 0, {created},
                 replace(replace(replace(replace(replace('{template}',
                     '{id}', id), '@name', name), '@owner', owner), 'atserver', server),
                     'athandle', printf('%08d', i))
             FROM r",
            created = NOON.as_millis(),
        ),
        "INSERT INTO api_key_handles (handle, key_id)
         SELECT substr(id, -8), id FROM api_keys WHERE revision = 1"
            .to_owned(),
        "INSERT INTO api_key_servers (key_id, server)
         SELECT id, json_extract(record, '$.servers[0]') FROM api_keys WHERE revision = 1"
            .to_owned(),
    ];
    let mut transaction = store.pool().begin().await.expect("a transaction");
    for statement in statements {
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(&mut *transaction)
            .await
            .expect("the tables are as they were");
    }
    transaction.commit().await.expect("it is written");
}
