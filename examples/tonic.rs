//! A gRPC server behind the key layer: tonic, with its standard health service.
//!
//! ```text
//! cargo run --example tonic --features tonic -- [--listen 127.0.0.1:0] [--demo]
//! ```
//!
//! With `--demo` it calls itself, prints how each call ended, and stops.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::net::SocketAddr;
use std::process::ExitCode;

use mcp_api_keys::framework::tonic::key_context;
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::{ApiKeys, NewKey, RateLimit};
use tonic::metadata::AsciiMetadataValue;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("{problem}\nusage: tonic [--listen ADDR] [--demo]");
            return ExitCode::from(2);
        }
    };
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tonic: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), AnyError> {
    let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
    let incoming = TcpIncoming::bind(options.listen)?;
    let address = incoming.local_addr()?;

    let new = NewKey::named("monitor")
        .server("health")
        .rate(RateLimit::per_minute(2));
    let issued = keys.manager().issue(new).await?;
    let key = issued.key().expose_secret();
    println!("listening http://{address}");
    println!("key {key}");

    let server = Server::builder()
        .layer(keys.layer().server("health"))
        .add_service(health_service());
    if options.demo {
        tokio::select! {
            ended = server.serve_with_incoming(incoming) => Ok(ended?),
            shown = demo(address, key) => shown,
        }
    } else {
        let interrupted = async {
            let _ = tokio::signal::ctrl_c().await;
        };
        Ok(server
            .serve_with_incoming_shutdown(incoming, interrupted)
            .await?)
    }
}

/// The health service, saying on standard error who asks.
fn health_service() -> InterceptedService<
    tonic_health::pb::health_server::HealthServer<impl tonic_health::pb::health_server::Health>,
    impl Fn(Request<()>) -> Result<Request<()>, Status> + Clone,
> {
    let (_, service) = tonic_health::server::health_reporter();
    InterceptedService::new(service, |request: Request<()>| {
        eprintln!("asked by {}", key_context(&request)?.name());
        Ok(request)
    })
}

async fn demo(address: SocketAddr, key: &str) -> Result<(), AnyError> {
    let channel = Channel::from_shared(format!("http://{address}"))?
        .connect()
        .await?;
    let mut client = HealthClient::new(channel);
    // Too long for a key: refused without asking the store.
    let wrong = format!("{key}x");
    for (what, key) in [
        ("good key", Some(key)),
        ("no key", None),
        ("wrong key", Some(&wrong)),
        ("good key again", Some(key)),
        ("good key once too often", Some(key)),
    ] {
        let mut request = Request::new(HealthCheckRequest::default());
        if let Some(key) = key {
            let value: AsciiMetadataValue = format!("Bearer {key}").parse()?;
            request.metadata_mut().insert("authorization", value);
        }
        match client.check(request).await {
            Ok(_) => println!("{what}: Ok"),
            Err(status) => println!("{what}: {:?} ({})", status.code(), status.message()),
        }
    }
    Ok(())
}

/// What stands on the command line.
struct Options {
    listen: SocketAddr,
    demo: bool,
}

impl Options {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            demo: false,
        };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--demo" => options.demo = true,
                "--listen" => {
                    options.listen = words
                        .next()
                        .and_then(|value| value.parse().ok())
                        .ok_or("--listen needs an address such as 127.0.0.1:8080")?;
                }
                _ => return Err(format!("unknown option {word}")),
            }
        }
        Ok(options)
    }
}
