//! Where keys are made and where they are used: an office with a store, a gateway in front of
//! servers on that store, and servers with the layer on it.

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, post};
use axum::{Json, Router};
use http::{Method, Request, StatusCode};
use mcp_api_keys::key::KeyId;
use mcp_api_keys::store::{KeyFilter, PageRequest, SqliteStore};
use mcp_api_keys::{ApiKeys, ApiKeysBuilder, Error, ErrorKind, KeyContext, KeyManager, NewKey};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::office::{Office, text};
use crate::support::{Answer, Client, Server, bearer, seen, serve, soon};

/// How long after an act in one process another may go on as before.
pub(crate) const BOUND: Duration = Duration::from_millis(2_500);

/// A store, the program that works on it, and a gateway in front of some servers.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) office: Office,
    gateway: Child,
    url: String,
    _servers: Vec<Server>,
}

impl Site {
    /// One with these servers. Each tells what it sees of a request.
    pub(crate) async fn with(servers: &[&str]) -> Self {
        Self::in_office(Office::new(), servers, &[]).await
    }

    pub(crate) async fn in_office(office: Office, servers: &[&str], options: &[&str]) -> Self {
        let mut behind = Vec::new();
        let mut command = Command::from(office.command("serve --listen 127.0.0.1:0"));
        for name in servers {
            let server = mirror((*name).to_owned()).await;
            command.args(["--route", &format!("{name}={}", server.url(""))]);
            behind.push(server);
        }
        command.args(options).env("RUST_LOG", "warn");
        command.stdout(Stdio::piped()).kill_on_drop(true);
        let mut gateway = command.spawn().unwrap();
        let mut lines = BufReader::new(gateway.stdout.take().unwrap()).lines();
        let line = soon(lines.next_line()).await.unwrap().unwrap();
        let url = line.strip_prefix("listening ").unwrap().to_owned();
        Self {
            office,
            gateway,
            url,
            _servers: behind,
        }
    }

    pub(crate) fn create(&self, options: &str) -> Made {
        Made(self.office.create(options))
    }

    /// Asks for a path with a key.
    pub(crate) async fn get(&self, path: &str, key: &str) -> Answer {
        get_with(&format!("{}{path}", self.url), key, &[]).await
    }

    pub(crate) async fn get_from(&self, path: &str, key: &str, address: &str) -> Answer {
        let headers = [("x-forwarded-for", address)];
        get_with(&format!("{}{path}", self.url), key, &headers).await
    }

    /// What a call of a tool comes to: whether the server has seen it, or the code of the denial.
    pub(crate) async fn call(&self, server: &str, key: &str, tool: &str) -> Result<(), String> {
        let call =
            json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool}});
        let request = Request::post(format!("{}/{server}/mcp", self.url))
            .header("authorization", bearer(key))
            .header("content-type", "application/json");
        let request = request.body(call.to_string()).unwrap();
        let answer = Client::http1().send(request).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let told = answer.json();
        if told["name"] == json!(server) {
            return Ok(());
        }
        assert_eq!(told["id"], json!(7), "{told}");
        Err(text(&told["error"]["data"]["code"]))
    }

    /// How a request to one of the servers ends: the status, and the code of a refusal.
    pub(crate) async fn ask(&self, server: &str, key: &str) -> (u16, String) {
        outcome(&self.get(&format!("/{server}/mcp"), key).await)
    }

    /// Waits until a request ends in this way, which must be within the bound, and stay so.
    pub(crate) async fn soon(&self, server: &str, key: &str, expected: (u16, &str)) {
        let since = Instant::now();
        let expected = (expected.0, expected.1.to_owned());
        loop {
            let outcome = self.ask(server, key).await;
            if outcome == expected {
                break;
            }
            let waited = since.elapsed();
            assert!(
                waited < BOUND,
                "{outcome:?} instead of {expected:?} after {waited:?}"
            );
            sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(self.ask(server, key).await, expected);
    }

    /// Tells the gateway to end and waits until it has.
    pub(crate) async fn close(mut self) -> Office {
        let process = self.gateway.id().unwrap().to_string();
        let killed = Command::new("kill")
            .args(["-TERM", &process])
            .status()
            .await;
        assert!(killed.unwrap().success());
        assert!(soon(self.gateway.wait()).await.unwrap().success());
        self.office
    }
}

/// A key that was just made, as the program showed it.
#[derive(Debug)]
pub(crate) struct Made(pub(crate) Value);

impl Made {
    pub(crate) fn key(&self) -> String {
        text(&self.0["key"])
    }

    pub(crate) fn id(&self) -> String {
        text(&self.0["id"])
    }
}

pub(crate) fn admitted() -> (u16, String) {
    (200, String::new())
}

pub(crate) fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

pub(crate) fn outcome(answer: &Answer) -> (u16, String) {
    if answer.status.is_success() {
        (answer.status.as_u16(), String::new())
    } else {
        answer.refusal()
    }
}

async fn get_with(url: &str, key: &str, headers: &[(&str, &str)]) -> Answer {
    let bearer = bearer(key);
    let headers = [&[("authorization", bearer.as_str())], headers].concat();
    Client::http1().get(url, &headers).await
}

/// A server that answers with its name and what it sees of the request.
async fn mirror(name: String) -> Server {
    let app = Router::new().fallback(async move |request: Request<axum::body::Body>| {
        let mut answer = seen(&request.into_parts().0);
        answer["name"] = json!(name);
        Json(answer)
    });
    serve(app).await
}

/// A server with the layer, on the store of an office.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) keys: ApiKeys,
    server: Server,
}

impl Host {
    pub(crate) async fn of(
        office: &Office,
        set_up: impl FnOnce(ApiKeysBuilder) -> ApiKeysBuilder,
        app: impl FnOnce(&ApiKeys) -> Router,
    ) -> Self {
        let store = SqliteStore::connect(&office.url()).await.unwrap();
        let keys = set_up(ApiKeys::builder(store)).build().await.unwrap();
        let server = serve(app(&keys)).await;
        Self { keys, server }
    }

    pub(crate) async fn send(&self, method: Method, path: &str, key: &str, body: Value) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(self.server.url(path))
            .header("authorization", bearer(key))
            .header("content-type", "application/json");
        let request = request.body(body.to_string()).unwrap();
        Client::http1().send(request).await
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, key: &str) -> (u16, String) {
        outcome(&self.send(method, path, key, Value::Null).await)
    }

    /// Learns at once what the program has changed.
    pub(crate) async fn catch_up(&self) {
        self.keys.catch_up().await.unwrap();
    }
}

/// Notes on the server `notes`: everybody with a key for it reads them, a key that may change things
/// writes them.
pub(crate) fn notes(keys: &ApiKeys) -> Router {
    let read = get(|| async { "read" }).layer(keys.layer().server("notes"));
    let write = post(|| async { "written" });
    let write = write.layer(keys.layer().server("notes").require_full_access());
    Router::new().route("/notes", read.merge(write))
}

/// One path for each scope, on the server `models`: `/files/read` asks for `files:read`.
pub(crate) fn scoped(keys: &ApiKeys, scopes: &[&str]) -> Router {
    scopes.iter().fold(Router::new(), |router, scope| {
        let layer = keys.layer().server("models").require_scope(scope).unwrap();
        let path = format!("/{}", scope.replace(':', "/"));
        router.route(&path, any(|| async { "done" }).layer(layer))
    })
}

/// A page on which the owners of keys manage keys, by means of a key of theirs.
pub(crate) fn office_page(keys: &ApiKeys) -> Router {
    Router::new()
        .route("/keys", get(list_keys).post(make_key))
        .route("/keys/{id}", delete(delete_key))
        .route("/keys/{id}/revoke", post(revoke_key))
        .with_state(keys.manager().clone())
        .layer(keys.layer().any_server())
}

#[derive(Debug)]
struct Failed(Error);

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let status = match self.0.kind() {
            ErrorKind::Forbidden => StatusCode::FORBIDDEN,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::InvalidInput => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let code = format!("{:?}", self.0.kind()).to_lowercase();
        (status, Json(json!({ "error": { "code": code } }))).into_response()
    }
}

/// The manager in the hands of the key's owner, whom the key bounds further.
async fn in_hands_of(manager: &KeyManager, key: &KeyContext) -> Result<KeyManager, Error> {
    let owner = key.owner().unwrap();
    let principal = manager.principal_of(owner).await?.by_key(key);
    Ok(manager.acting_as(principal.from_source(Ipv4Addr::LOCALHOST.to_string())))
}

async fn list_keys(
    key: KeyContext,
    State(manager): State<KeyManager>,
) -> Result<Json<Value>, Failed> {
    let manager = in_hands_of(&manager, &key).await?;
    let page = manager
        .list(&KeyFilter::default(), PageRequest::default())
        .await?;
    Ok(Json(json!(page.keys)))
}

async fn make_key(
    key: KeyContext,
    State(manager): State<KeyManager>,
    Json(wanted): Json<Value>,
) -> Result<Json<Value>, Failed> {
    let manager = in_hands_of(&manager, &key).await?;
    let mut new = NewKey::named(text(&wanted["name"]));
    if let Some(owner) = wanted["owner"].as_str() {
        new = new.owner(owner);
    }
    for server in wanted["servers"].as_array().into_iter().flatten() {
        new = new.server(text(server));
    }
    if let Some(client) = wanted["client"].as_str() {
        new = new.connection(client);
    }
    let issued = manager.issue(new).await?;
    let shown = json!({ "key": issued.key().expose_secret(), "id": issued.info().id });
    Ok(Json(shown))
}

async fn delete_key(
    key: KeyContext,
    State(manager): State<KeyManager>,
    Path(id): Path<KeyId>,
) -> Result<Json<Value>, Failed> {
    let manager = in_hands_of(&manager, &key).await?;
    if !manager.delete(id).await? {
        return Err(Error::new(ErrorKind::NotFound, "there is no such key").into());
    }
    Ok(Json(json!({ "deleted": id })))
}

async fn revoke_key(
    key: KeyContext,
    State(manager): State<KeyManager>,
    Path(id): Path<KeyId>,
) -> Result<Json<Value>, Failed> {
    let manager = in_hands_of(&manager, &key).await?;
    Ok(Json(json!(manager.revoke(id, None).await?)))
}
