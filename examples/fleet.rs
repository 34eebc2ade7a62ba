//! Two gateways with one set of keys: processes that share PostgreSQL and Redis, and what a limit and a
//! revocation look like from outside.
//!
//! ```text
//! cargo build --features full --bins --example fleet
//! DATABASE_URL=postgres://… REDIS_URL=redis://… target/debug/examples/fleet
//! ```
//!
//! Without servers at hand, `tests/services.sh target/debug/examples/fleet` starts them for as long as it
//! runs. The gateways are the program `mcp-keys`, beside the folder of this one. Two keys are issued and
//! revoked in the store that `DATABASE_URL` names.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "an example shows what it does, and when"
)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use mcp_api_keys::store::PostgresStore;
use mcp_api_keys::{ApiKeys, NewKey, RateLimit};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

type AnyError = Box<dyn std::error::Error + Send + Sync>;
type Http = Client<HttpConnector, Full<Bytes>>;

/// What the limited key may do in an hour, on both gateways together.
const LIMIT: u32 = 60;

/// How many callers each gateway has.
const CALLERS: u32 = 4;

/// How long it is watched what the gateways admit after the revocation.
const WATCHED: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> ExitCode {
    if let Some(word) = std::env::args().nth(1) {
        eprintln!("unknown option {word}\nusage: fleet, with DATABASE_URL and REDIS_URL set");
        return ExitCode::from(2);
    }
    let (Some(database), Some(redis)) = (variable("DATABASE_URL"), variable("REDIS_URL")) else {
        eprintln!(
            "fleet: DATABASE_URL and REDIS_URL have to name a PostgreSQL and a Redis, such as \
             postgres://user@localhost/keys and redis://localhost"
        );
        return ExitCode::from(2);
    };
    match run(&database, &redis).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fleet: {error}");
            ExitCode::FAILURE
        }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

async fn run(database: &str, redis: &str) -> Result<(), AnyError> {
    let upstream = upstream().await?;
    let gateways = [
        Gateway::start(database, redis, upstream).await?,
        Gateway::start(database, redis, upstream).await?,
    ];
    for (number, gateway) in (1..).zip(&gateways) {
        println!("gateway {number} {}", gateway.url);
    }
    // The office: a third process on the same store.
    let keys = ApiKeys::builder(PostgresStore::connect(database).await?)
        .build()
        .await?;
    limited(&keys, &gateways).await?;
    revoked(&keys, &gateways).await
}

/// More requests than the limit, on both gateways at once.
async fn limited(keys: &ApiKeys, gateways: &[Gateway; 2]) -> Result<(), AnyError> {
    let new = NewKey::named("limited").all_servers();
    let new = new.rate(RateLimit::per_hour(LIMIT));
    let issued = keys.manager().issue(new).await?;
    let key: Arc<str> = issued.key().expose_secret().into();
    let mut callers = Vec::new();
    for gateway in gateways {
        for _ in 0..CALLERS {
            let (caller, key) = (gateway.caller(), Arc::clone(&key));
            callers.push(tokio::spawn(async move {
                let mut admitted = 0_u32;
                for _ in 0..LIMIT / CALLERS {
                    admitted += u32::from(caller.call(&key).await?);
                }
                Ok::<_, AnyError>(admitted)
            }));
        }
    }
    let mut admitted = Vec::new();
    for caller in callers {
        admitted.push(caller.await??);
    }
    let (first, second) = admitted.split_at(CALLERS as usize);
    let [first, second] = [first, second].map(|part| part.iter().sum::<u32>());
    println!(
        "limit {LIMIT}: {} of {} requests admitted, {first} by gateway 1 and {second} by gateway 2",
        first + second,
        LIMIT * 2
    );
    keys.manager().revoke(issued.info().id, None).await?;
    Ok(())
}

/// A key is revoked while both gateways serve it.
async fn revoked(keys: &ApiKeys, gateways: &[Gateway; 2]) -> Result<(), AnyError> {
    let new = NewKey::named("revoked").all_servers();
    let issued = keys.manager().issue(new).await?;
    let key: Arc<str> = issued.key().expose_secret().into();
    let served = [(); 2].map(|()| Arc::new(AtomicU32::new(0)));
    let start = Instant::now();
    let mut callers = Vec::new();
    for ((number, gateway), served) in (1..).zip(gateways).zip(&served) {
        for _ in 0..CALLERS {
            let (caller, key) = (gateway.caller(), Arc::clone(&key));
            let served = Arc::clone(served);
            let watch = tokio::spawn(async move {
                let mut seen = Seen::default();
                while seen
                    .first_refused
                    .is_none_or(|refused| start.elapsed() < refused + WATCHED)
                {
                    let sent = start.elapsed();
                    match caller.call(&key).await? {
                        true => seen.last_admitted = Some(sent),
                        false => _ = seen.first_refused.get_or_insert(sent),
                    }
                    served.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<_, AnyError>(seen)
            });
            callers.push((number, watch));
        }
    }
    // Both are well at it by then.
    for served in &served {
        while served.load(Ordering::Relaxed) < 100 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let asked = start.elapsed();
    keys.manager().revoke(issued.info().id, None).await?;
    let returned = start.elapsed();
    let after = |time: Duration| (time.as_secs_f64() - asked.as_secs_f64()) * 1_000.0;
    println!(
        "revoke asked at 0.0 ms, returned at {:.1} ms",
        after(returned)
    );

    let mut of_gateways = [Seen::default(), Seen::default()];
    for (number, watch) in callers {
        let seen = watch.await??;
        if let Some(all) = of_gateways.get_mut(number - 1) {
            all.last_admitted = all.last_admitted.max(seen.last_admitted);
            all.first_refused = match (all.first_refused, seen.first_refused) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
    }
    for (number, seen) in (1..).zip(of_gateways) {
        let (Some(admitted), Some(refused)) = (seen.last_admitted, seen.first_refused) else {
            return Err(format!("gateway {number} did not admit and then refuse").into());
        };
        println!(
            "gateway {number} last admitted what was sent at {:.1} ms, first refused what was sent at {:.1} ms",
            after(admitted),
            after(refused)
        );
    }
    Ok(())
}

/// When requests were sent that were answered so.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    last_admitted: Option<Duration>,
    first_refused: Option<Duration>,
}

/// A gateway, which ends with the value.
struct Gateway {
    _process: Child,
    url: String,
}

impl Gateway {
    async fn start(database: &str, redis: &str, upstream: SocketAddr) -> Result<Self, AnyError> {
        let program = program()?;
        let mut process = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(["--upstream", &format!("http://{upstream}/mcp")])
            // They may hold passwords, and command lines are for everybody to read.
            .env("MCP_KEYS_STORE", database)
            .env("MCP_KEYS_REDIS", redis)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = process.stdout.take().ok_or("it has no output")?;
        let line = BufReader::new(output).lines().next_line().await?;
        let url = line
            .as_deref()
            .and_then(|line| line.strip_prefix("listening "));
        let url = url.ok_or("a gateway does not start")?.to_owned();
        Ok(Self {
            _process: process,
            url,
        })
    }

    fn caller(&self) -> Caller {
        Caller {
            client: Client::builder(TokioExecutor::new()).build_http(),
            url: format!("{}/mcp", self.url),
        }
    }
}

/// The program `mcp-keys`: cargo puts it into the folder above that of the examples.
fn program() -> Result<PathBuf, AnyError> {
    let this = std::env::current_exe()?;
    let above = this.parent().and_then(|folder| folder.parent());
    let program = above
        .ok_or("this program is in no folder")?
        .join("mcp-keys");
    if program
        .with_extension(std::env::consts::EXE_EXTENSION)
        .exists()
    {
        return Ok(program);
    }
    Err(format!(
        "there is no {}; run `cargo build --features full --bins` first",
        program.display()
    )
    .into())
}

struct Caller {
    client: Http,
    url: String,
}

impl Caller {
    /// Calls a tool. Whether the call was let through to the server.
    ///
    /// A refusal may have status 200: to MCP clients a limit is the error of one call, and not of the
    /// connection.
    async fn call(&self, key: &str) -> Result<bool, AnyError> {
        let message = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "echo", "arguments": {} },
        });
        let request = Request::post(&self.url)
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .body(Full::from(message.to_string()))?;
        let response = self.client.request(request).await?;
        let body = response.into_body().collect().await?.to_bytes();
        let answer: Value = serde_json::from_slice(&body)?;
        Ok(answer.pointer("/result/echoed") == Some(&Value::Bool(true)))
    }
}

/// An MCP server, as far as this needs one: it answers every call.
async fn upstream() -> Result<SocketAddr, AnyError> {
    let answer =
        || async { Json(json!({ "jsonrpc": "2.0", "id": 1, "result": { "echoed": true } })) };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app = Router::new().route("/mcp", post(answer));
    tokio::spawn(async { axum::serve(listener, app).await });
    Ok(address)
}
