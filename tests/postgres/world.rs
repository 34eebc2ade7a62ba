//! What the tests of this folder share.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Empty;
use mcp_api_keys::store::{KeyStore, PostgresStore};
use mcp_api_keys::{ApiKeyLayer, ApiKeys, Argon2Params, IssuedKey, NewKey};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tower::util::ServiceExt;
use tower::{Layer, service_fn};

use crate::backends::Schema;

/// The schema of a test; the test has nothing to do without a server.
macro_rules! schema {
    () => {
        match crate::backends::schema().await {
            Some(schema) => schema,
            None => return,
        }
    };
}
pub(crate) use schema;

pub(crate) async fn open(url: &str) -> PostgresStore {
    PostgresStore::connect(url).await.unwrap()
}

/// A node: keys with a light hash over a store.
pub(crate) async fn node(store: impl KeyStore) -> ApiKeys {
    ApiKeys::builder(store)
        .argon2(Argon2Params::new(8, 1, 1).unwrap())
        .failure_limit(None)
        .build()
        .await
        .unwrap()
}

pub(crate) async fn issue(keys: &ApiKeys) -> IssuedKey {
    let new = NewKey::named("test").all_servers();
    keys.manager().issue(new).await.unwrap()
}

/// What a request with this key is answered.
pub(crate) async fn status(layer: &ApiKeyLayer, key: &IssuedKey) -> StatusCode {
    let inner = service_fn(|_: Request<Empty<Bytes>>| {
        std::future::ready(Ok::<_, std::convert::Infallible>(http::Response::new(
            Empty::<Bytes>::new(),
        )))
    });
    let bearer = format!("Bearer {}", key.key().expose_secret());
    let request = Request::get("/").header("authorization", bearer);
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    layer.layer(inner).oneshot(request).await.unwrap().status()
}

/// How long it takes until the key is refused.
pub(crate) async fn refused_after(layer: &ApiKeyLayer, key: &IssuedKey) -> Duration {
    let start = Instant::now();
    while status(layer, key).await == StatusCode::OK {
        assert!(start.elapsed() < Duration::from_secs(20), "never refused");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    start.elapsed()
}

/// Carries out statements on a connection of their own.
pub(crate) async fn execute(url: &str, sql: impl Into<String>) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let sql = sqlx::raw_sql(AssertSqlSafe(sql.into()));
    sql.execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

pub(crate) fn percentile(values: &mut [Duration], p: f64) -> Duration {
    values.sort_unstable();
    values[((values.len() - 1) as f64 * p / 100.0).round() as usize]
}

/// The address with another parameter.
pub(crate) fn with(schema: &Schema, parameter: &str) -> String {
    format!("{}&{parameter}", schema.url)
}

/// Tests that measure or disturb the server run one after another.
pub(crate) static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
