//! How the store opens.

use std::sync::Arc;

use mcp_api_keys::ErrorKind;
use mcp_api_keys::key::Revision;
use mcp_api_keys::store::{KeyStore, PostgresStore};
use mcp_api_keys::testing::act;
use mcp_api_keys::testing::records::{handle, record};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::sync::Barrier;

use crate::backends;
use crate::world::{execute, open, schema, with};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_open_a_new_database_at_once() {
    const MANY: u64 = 8;

    let schema = schema!();
    let start = Arc::new(Barrier::new(8));
    let openers = (0..MANY).map(|number| {
        let (url, start) = (schema.url.clone(), Arc::clone(&start));
        tokio::spawn(async move {
            start.wait().await;
            let store = open(&url).await;
            store.insert(&record(number), &act()).await.unwrap();
            store.close().await;
        })
    });
    for opener in openers.collect::<Vec<_>>() {
        opener.await.unwrap();
    }
    let store = open(&schema.url).await;
    assert_eq!(store.revision().await.unwrap(), Revision::new(MANY));
    store.close().await;
    let closed = store.get(record(1).id).await.unwrap_err();
    assert_eq!(closed.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn an_address_that_leads_nowhere_is_refused_by_name() {
    let schema = schema!();
    let database: PgConnectOptions = schema.url.parse().unwrap();
    let database = format!("/{}?", database.get_database().unwrap());
    for (url, wrong) in [
        ("keys.db".to_owned(), "must begin with"),
        ("postgres://[nowhere".to_owned(), "cannot be read"),
        (
            schema.url.replace(&database, "/no_such_database?"),
            "a database that does not exist",
        ),
        (
            schema.url.replace(&schema.name, "no_such_schema"),
            "a schema that does not exist",
        ),
        (
            with(&schema, "user=nobody_at_all"),
            "a user or a password that the server refuses",
        ),
    ] {
        let error = PostgresStore::connect(&url).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.field()),
            (ErrorKind::InvalidInput, Some("url")),
            "{url}: {error:?}"
        );
        assert!(error.to_string().contains(wrong), "{url}: {error}");
    }
    let refused = PostgresStore::connect("postgres://127.0.0.1:1/keys").await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn no_error_repeats_the_password() {
    if backends::server().is_none() {
        return;
    }
    for url in [
        "postgres://ada:hunter2@127.0.0.1:1/keys",
        "postgres://ada:hunter2@[::1/keys",
        "postgres://ada:hunter2@127.0.0.1:port/keys",
        "mysql://ada:hunter2@127.0.0.1/keys",
    ] {
        let error = PostgresStore::connect(url).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[tokio::test]
async fn commits_that_do_not_wait_for_the_disk_are_refused() {
    let schema = schema!();
    let weak = with(&schema, "options=-csynchronous_commit%3Doff");
    let error = PostgresStore::connect(&weak).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("synchronous_commit"), "{error}");
    // `local` waits for the server's own disk.
    open(&with(&schema, "options=-csynchronous_commit%3Dlocal")).await;
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let schema = schema!();
    open(&schema.url).await.close().await;
    execute(
        &schema.url,
        "INSERT INTO api_key_migrations
         SELECT 1000000, 'later', installed_on, success, checksum, 0 FROM api_key_migrations LIMIT 1",
    )
    .await;
    let error = PostgresStore::connect(&schema.url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("another version"), "{error}");
}

#[tokio::test]
async fn a_program_keeps_its_own_tables_and_a_user_without_ddl_may_serve() {
    let schema = schema!();
    let server = backends::server().unwrap();
    let user = format!("{}_user", schema.name);
    execute(
        &schema.url,
        "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, other TEXT);
         INSERT INTO _sqlx_migrations VALUES (1, 'mine'), (99, 'mine');
         CREATE TABLE keys (id TEXT)",
    )
    .await;
    open(&schema.url).await.close().await;
    execute(
        &schema.url,
        format!(
            "CREATE ROLE {user} LOGIN;
             GRANT USAGE ON SCHEMA {0} TO {user};
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {0} TO {user}",
            schema.name
        ),
    )
    .await;
    let serving = open(&with(&schema, &format!("user={user}"))).await;
    serving.insert(&record(1), &act()).await.unwrap();
    assert!(serving.find_by_handle(&handle(1)).await.unwrap().is_some());
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT tablename::TEXT FROM pg_tables
         WHERE schemaname = current_schema() AND tablename NOT LIKE 'api\\_key%'
             AND tablename NOT LIKE 'api\\_usage\\_%' ORDER BY 1",
    )
    .fetch_all(serving.pool())
    .await
    .unwrap();
    assert_eq!(tables, ["_sqlx_migrations", "keys"]);
    serving.close().await;
    execute(&server, format!("DROP OWNED BY {user}; DROP ROLE {user}")).await;
}

#[tokio::test]
async fn stores_in_two_schemas_do_not_know_each_other() {
    let (one, other) = (schema!(), schema!());
    let (one, other) = (open(&one.url).await, open(&other.url).await);
    one.insert(&record(1), &act()).await.unwrap();
    assert_eq!(other.revision().await.unwrap(), Revision::new(0));
    other.insert(&record(1), &act()).await.unwrap();
}

#[tokio::test]
async fn a_pool_of_a_programs_own_is_used_and_shared() {
    let schema = schema!();
    let pool = PgPoolOptions::new().max_connections(2);
    let pool = pool.connect(&schema.url).await.unwrap();
    let store = PostgresStore::with_pool(pool.clone()).await.unwrap();
    store.insert(&record(1), &act()).await.unwrap();
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM api_keys")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(count, 1);
}
