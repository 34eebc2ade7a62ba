//! The stores that tests run on: in memory, in SQLite, and in PostgreSQL if `DATABASE_URL` names a
//! server (`tests/services.sh` starts one). With `MCP_KEYS_REQUIRE_SERVICES` set, a test that would
//! skip itself for want of a server fails instead.
//!
//! Each store in PostgreSQL is in a schema of its own, which goes when its test ends.

#![allow(dead_code, reason = "no test file needs all of it")]

use mcp_api_keys::store::{KeyStore, MemoryStore, SqliteStore};

/// An empty store of each kind, by its name.
pub(crate) async fn each_store() -> Vec<(&'static str, Box<dyn KeyStore>)> {
    let sqlite = SqliteStore::connect("sqlite::memory:").await.unwrap();
    let mut stores: Vec<(&'static str, Box<dyn KeyStore>)> = vec![
        ("memory", Box::new(MemoryStore::new())),
        ("sqlite", Box::new(sqlite)),
    ];
    #[cfg(feature = "postgres")]
    if let Some(store) = postgres().await {
        stores.push(("postgres", Box::new(store)));
    }
    stores
}

/// A database that any number of stores may open: SQLite, or PostgreSQL if `MCP_KEYS_TEST_STORE` says
/// `postgres`. It goes when the test ends.
pub(crate) struct Database {
    url: String,
    _folder: Option<tempfile::TempDir>,
}

impl Database {
    pub(crate) async fn new() -> Self {
        #[cfg(feature = "postgres")]
        if std::env::var("MCP_KEYS_TEST_STORE").is_ok_and(|store| store == "postgres") {
            let schema = schema().await.unwrap();
            return Self {
                url: schema.url,
                _folder: None,
            };
        }
        let folder = tempfile::tempdir().unwrap();
        Self {
            url: format!("sqlite://{}", folder.path().join("keys.db").display()),
            _folder: Some(folder),
        }
    }

    pub(crate) async fn store(&self) -> Box<dyn KeyStore> {
        #[cfg(feature = "postgres")]
        if self.url.starts_with("postgres") {
            use mcp_api_keys::store::PostgresStore;
            return Box::new(PostgresStore::connect(&self.url).await.unwrap());
        }
        Box::new(SqliteStore::connect(&self.url).await.unwrap())
    }
}

/// A store in a database of its own: SQLite in memory, or PostgreSQL as for [`Database`].
pub(crate) async fn in_database() -> Box<dyn KeyStore> {
    if std::env::var("MCP_KEYS_TEST_STORE").is_ok_and(|store| store == "postgres") {
        return Database::new().await.store().await;
    }
    Box::new(SqliteStore::connect("sqlite::memory:").await.unwrap())
}

/// The same, but one after the other: the one before is not to be used any more.
pub(crate) async fn in_emptied_database() -> Box<dyn KeyStore> {
    #[cfg(feature = "postgres")]
    if std::env::var("MCP_KEYS_TEST_STORE").is_ok_and(|store| store == "postgres") {
        use mcp_api_keys::store::PostgresStore;
        let schema = reused_schema().await.unwrap();
        return Box::new(PostgresStore::connect(&schema.url).await.unwrap());
    }
    in_database().await
}

#[cfg(feature = "postgres")]
#[allow(unused_imports, reason = "no test file needs all of it")]
pub(crate) use self::server::{Schema, postgres, reused_schema, schema, server};

#[cfg(feature = "postgres")]
mod server {
    use std::cell::RefCell;
    use std::hash::{BuildHasher, Hasher, RandomState};
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use mcp_api_keys::store::PostgresStore;
    use sqlx::{AssertSqlSafe, Connection, PgConnection};

    /// The address of the server to test on, if there is one.
    pub(crate) fn server() -> Option<String> {
        let url = std::env::var("DATABASE_URL")
            .ok()
            .filter(|url| !url.is_empty());
        let required = std::env::var("MCP_KEYS_REQUIRE_SERVICES").is_ok_and(|on| on == "1");
        assert!(
            url.is_some() || !required,
            "there is no DATABASE_URL, and MCP_KEYS_REQUIRE_SERVICES wants it"
        );
        if url.is_none() {
            eprintln!("not tested on PostgreSQL: there is no DATABASE_URL");
        }
        url
    }

    /// An empty store.
    pub(crate) async fn postgres() -> Option<PostgresStore> {
        let schema = schema().await?;
        Some(PostgresStore::connect(&schema.url).await.unwrap())
    }

    /// An empty schema.
    pub(crate) struct Schema {
        pub(crate) name: String,
        /// Leads to the database with this schema as its only one.
        pub(crate) url: String,
    }

    impl Schema {
        fn of(server: &str, name: String) -> Self {
            let mark = if server.contains('?') { '&' } else { '?' };
            let url = format!("{server}{mark}options=-csearch_path%3D{name}");
            Self { name, url }
        }
    }

    /// Makes a schema that goes with the thread, which is the test's.
    pub(crate) async fn schema() -> Option<Schema> {
        static COUNT: AtomicU32 = AtomicU32::new(0);

        let server = server()?;
        let run = RandomState::new().build_hasher().finish();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("keys_{run:016x}_{}_{count}", std::process::id());
        execute(&server, format!("CREATE SCHEMA {name}")).await;
        MADE.with_borrow_mut(|made| made.0.push(name.clone()));
        Some(Schema::of(&server, name))
    }

    /// The schema that the thread has made before, if there is one, with empty tables; otherwise a new
    /// one. Quicker than a new one each time.
    pub(crate) async fn reused_schema() -> Option<Schema> {
        let server = server()?;
        let Some(name) = MADE.with_borrow(|made| made.0.last().cloned()) else {
            return schema().await;
        };
        let schema = Schema::of(&server, name);
        let sql = "TRUNCATE api_keys, api_key_handles, api_key_servers, api_key_documents,
                       api_key_changes, api_key_audit, api_key_uses, api_key_quotas, api_key_alerts,
                       api_key_habits, api_key_letters, api_usage_series, api_usage_hours, api_usage_days,
                       api_usage_recorders, api_usage_last, api_usage_gone;
                   UPDATE api_key_counter SET revision = 0";
        execute(&schema.url, sql.to_owned()).await;
        Some(schema)
    }

    async fn execute(server: &str, sql: String) {
        let mut connection = PgConnection::connect(server).await.unwrap();
        let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection);
        done.await.unwrap();
        connection.close().await.unwrap();
    }

    thread_local! {
        static MADE: RefCell<Made> = const { RefCell::new(Made(Vec::new())) };
    }

    /// The schemas that a thread has made.
    struct Made(Vec<String>);

    impl Drop for Made {
        fn drop(&mut self) {
            let Ok(server) = std::env::var("DATABASE_URL") else {
                return;
            };
            let names = std::mem::take(&mut self.0);
            // A runtime cannot be used any more on a thread that ends.
            let dropping = thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                let sql = names
                    .iter()
                    .map(|name| format!("SET client_min_messages = error; SET lock_timeout = '2s'; DROP SCHEMA IF EXISTS {name} CASCADE;"));
                for sql in sql {
                    runtime.block_on(execute(&server, sql));
                }
            });
            // What cannot be dropped stays; the test has passed or failed by itself.
            drop(dropping.join());
        }
    }
}
