//! The API on a loopback port, and requests to it.

use axum::Router;
use http::{Method, Request};
use http_body_util::Full;
use mcp_api_keys::admin::AdminApi;
use mcp_api_keys::store::{KeyStore, MemoryStore};
use mcp_api_keys::{ApiKeys, NewKey};
use serde_json::Value;

use crate::support::{Answer, Client, Server, bearer, issue, light, serve};

/// Where the API is nested.
pub(crate) const BASE: &str = "/api/v1";

#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) keys: ApiKeys,
    server: Server,
    client: Client,
}

/// A request on its way.
#[derive(Debug)]
pub(crate) struct Asking<'a> {
    api: &'a Api,
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Api {
    pub(crate) async fn new() -> Self {
        Self::on(MemoryStore::new()).await
    }

    pub(crate) async fn on(store: impl KeyStore) -> Self {
        Self::of(light(store).failure_limit(None).build().await.unwrap()).await
    }

    pub(crate) async fn of(keys: ApiKeys) -> Self {
        let api = AdminApi::new(&keys)
            .allow_origin("https://admin.test")
            .unwrap();
        let app = Router::new().nest(BASE, api.into_router());
        Self {
            keys,
            server: serve(app).await,
            client: Client::http1(),
        }
    }

    /// A key that may do everything.
    pub(crate) async fn root(&self) -> String {
        let root = NewKey::named("root").all_servers().scope("*").unwrap();
        issue(&self.keys, root).await
    }

    /// A key of this owner's, with these scopes.
    pub(crate) async fn key_of(&self, owner: &str, scopes: &[&str]) -> String {
        let key = scopes
            .iter()
            .fold(NewKey::named(owner).owner(owner), |key, scope| {
                key.scope(scope).unwrap()
            });
        issue(&self.keys, key).await
    }

    /// A key without an owner, with these scopes.
    pub(crate) async fn key_with(&self, scopes: &[&str]) -> String {
        let key = scopes
            .iter()
            .fold(NewKey::named("key"), |key, scope| key.scope(scope).unwrap());
        issue(&self.keys, key).await
    }

    pub(crate) fn ask(&self, method: &str, path: &str) -> Asking<'_> {
        Asking {
            api: self,
            method: method.parse().unwrap(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub(crate) async fn get(&self, key: &str, path: &str) -> Answer {
        self.ask("GET", path).key(key).send().await
    }

    /// Reads what must be there.
    pub(crate) async fn read(&self, key: &str, path: &str) -> Value {
        let answer = self.get(key, path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    pub(crate) async fn post(&self, key: &str, path: &str, body: &Value) -> Answer {
        self.ask("POST", path).key(key).json(body).send().await
    }

    /// Makes a key and returns the answer.
    pub(crate) async fn create(&self, key: &str, body: &Value) -> Value {
        let answer = self.post(key, "/keys", body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()
    }
}

impl Asking<'_> {
    pub(crate) fn key(self, key: &str) -> Self {
        self.header("authorization", &bearer(key))
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json")
            .body(body.to_string())
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) async fn send(self) -> Answer {
        let url = self.api.server.url(&format!("{BASE}{}", self.path));
        let mut request = Request::builder().method(self.method).uri(url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::from(self.body)).unwrap();
        self.api.client.send(request).await
    }
}

/// The id in an answer about a key.
pub(crate) fn id(key: &Value) -> String {
    key["id"].as_str().unwrap().to_owned()
}

/// The clear text in an answer that made a key.
pub(crate) fn clear(key: &Value) -> String {
    key["key"].as_str().unwrap().to_owned()
}
