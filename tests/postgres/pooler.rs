//! Behind a real PgBouncer in transaction mode, which passes no notifications on.
//!
//! It is started here, if it is there (`pgbouncer`, in `PATH` or `/usr/sbin`); `tests/services.sh`
//! installs it. Before version 1.21 it does not keep track of prepared statements: then what is tested is
//! that a store says so, and that the bell alone names the pooler.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::StatusCode;
use mcp_api_keys::ErrorKind;
use mcp_api_keys::key::CredentialId;
use mcp_api_keys::store::{KeyFilter, KeyStore, KeyUse, PageRequest, PostgresStore};
use mcp_api_keys::testing::act;
use mcp_api_keys::testing::records::{NOON, handle, record};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tempfile::TempDir;

use crate::backends::Schema;
use crate::world::{ALONE, issue, node, open, refused_after, schema, status};

/// A pooler in front of the server of a schema. It ends with the value.
struct Pooler {
    child: Child,
    port: u16,
    tracks_statements: bool,
    _folder: TempDir,
}

fn program() -> Option<&'static str> {
    let found = ["pgbouncer", "/usr/sbin/pgbouncer"]
        .into_iter()
        .find(|program| Command::new(program).arg("--version").output().is_ok());
    let required = std::env::var("MCP_KEYS_REQUIRE_SERVICES").is_ok_and(|on| on == "1");
    assert!(found.is_some() || !required, "there is no pgbouncer");
    if found.is_none() {
        println!("left out: there is no pgbouncer");
    }
    found
}

/// Whether it keeps track of prepared statements.
fn tracks_statements(program: &str) -> bool {
    let version = Command::new(program).arg("--version").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let number = version.split_whitespace().nth(1).unwrap();
    let mut parts = number
        .split('.')
        .map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (parts.next().unwrap(), parts.next().unwrap_or(0));
    println!("PgBouncer {}.{}", version.0, version.1);
    version >= (1, 21)
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.trim_ascii() == b"0"
}

impl Pooler {
    async fn start(schema: &Schema) -> Option<Self> {
        let program = program()?;
        let tracks_statements = tracks_statements(program);
        let statements = match tracks_statements {
            true => "max_prepared_statements = 200",
            false => "",
        };
        let server: PgConnectOptions = schema.url.parse().unwrap();
        for _ in 0..5 {
            let port = free_port();
            let folder = tempfile::tempdir().unwrap();
            let config = folder.path().join("pgbouncer.ini");
            // A pooler in transaction mode has no settings of a session: the schema is set here.
            let text = format!(
                "[databases]
                 keys = host={} port={} dbname={} user={} connect_query='SET search_path = {}'
                 [pgbouncer]
                 listen_addr = 127.0.0.1
                 listen_port = {port}
                 unix_socket_dir =
                 auth_type = any
                 pool_mode = transaction
                 default_pool_size = 5
                 ignore_startup_parameters = options
                 {statements}
                 logfile = {}",
                server.get_host(),
                server.get_port(),
                server.get_database().unwrap_or("postgres"),
                server.get_username(),
                schema.name,
                folder.path().join("log").display(),
            );
            let lines: Vec<_> = text.lines().map(str::trim).collect();
            std::fs::write(&config, lines.join("\n")).unwrap();
            let mut pooler = Self {
                child: launch(program, folder.path(), &config),
                port,
                tracks_statements,
                _folder: folder,
            };
            if pooler.answers().await {
                return Some(pooler);
            }
        }
        panic!("pgbouncer does not start");
    }

    async fn answers(&mut self) -> bool {
        for _ in 0..200 {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            let address = ("127.0.0.1", self.port);
            if tokio::net::TcpStream::connect(address).await.is_ok() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        false
    }

    fn url(&self) -> String {
        format!(
            "postgres://keys@127.0.0.1:{}/keys?sslmode=disable",
            self.port
        )
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn launch(program: &str, folder: &Path, config: &Path) -> Child {
    let mut command = Command::new(program);
    if is_root() {
        // It refuses to run as root, and has to write its log.
        let mut owned = Command::new("chown");
        let owned = owned.args(["-R", "nobody"]).arg(folder).status();
        assert!(owned.unwrap().success());
        command.args(["-u", "nobody"]);
    }
    let quiet = command.arg("-q").arg(config).stdin(Stdio::null());
    let quiet = quiet.stdout(Stdio::null()).stderr(Stdio::null());
    quiet.spawn().unwrap()
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lines of the log.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<String>>);

impl std::io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        self.0.lock().unwrap().push_str(&text);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_pooler_in_transaction_mode_is_named_and_changes_are_polled() {
    let _alone = ALONE.lock().await;
    let schema = schema!();
    let lines = Lines::default();
    let writer = lines.clone();
    let log = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_writer(move || writer.clone())
        .finish();
    let _log = tracing::subscriber::set_default(log);

    // The tables are made without it.
    let here = node(open(&schema.url).await).await;
    let Some(pooler) = Pooler::start(&schema).await else {
        return;
    };
    if !pooler.tracks_statements {
        // One call after another, it works: enough for the bell, and to read the log.
        let options: PgConnectOptions = pooler.url().parse().unwrap();
        let pool = PgPoolOptions::new().max_connections(1);
        let options = options.extra_float_digits(None).statement_cache_capacity(0);
        let pool = pool.connect_with(options).await;
        let store = PostgresStore::with_pool(pool.unwrap()).await.unwrap();
        let _bell = store.change_bell().unwrap();
        is_named(&lines).await;
        drop(issue(&here).await);
        assert_eq!(store.revision().await.unwrap().as_u64(), 1);
        return;
    }
    let there = node(open(&pooler.url()).await).await;
    let layer = there.layer();
    let key = issue(&here).await;
    assert_eq!(status(&layer, &key).await, StatusCode::OK);
    let named = is_named(&lines).await;
    here.manager().revoke(key.info().id, None).await.unwrap();
    let delay = refused_after(&layer, &key).await;
    println!(
        "PgBouncer in transaction mode: named after {named:?}, a revocation refused after {delay:?}"
    );
    assert!(delay <= Duration::from_millis(2_500), "{delay:?}");

    // Both ways: what is written through it is found as well.
    let key = issue(&there).await;
    assert_eq!(status(&here.layer(), &key).await, StatusCode::OK);
    there.manager().revoke(key.info().id, None).await.unwrap();
    assert_eq!(status(&layer, &key).await, StatusCode::UNAUTHORIZED);
    let delay = refused_after(&here.layer(), &key).await;
    assert!(delay <= Duration::from_millis(2_500), "{delay:?}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let logged = lines.0.lock().unwrap().clone();
    assert_eq!(logged.lines().count(), 1, "{logged}");
}

/// How long it takes until the log names the pooler, in one line.
async fn is_named(lines: &Lines) -> Duration {
    let start = Instant::now();
    loop {
        let logged = lines.0.lock().unwrap().clone();
        if logged.contains("a pooler in transaction mode") {
            assert_eq!(logged.lines().count(), 1, "{logged}");
            println!("PgBouncer is named after {:?}", start.elapsed());
            return start.elapsed();
        }
        assert!(start.elapsed() < Duration::from_secs(10), "it is not named");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Every kind of call, many at once, so that statements of one client meet those of others on the server's
/// connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_works_through_it() {
    let _alone = ALONE.lock().await;
    let schema = schema!();
    drop(open(&schema.url).await);
    let Some(pooler) = Pooler::start(&schema).await else {
        return;
    };
    if !pooler.tracks_statements {
        return;
    }
    let store = open(&pooler.url()).await;
    let other = open(&pooler.url()).await;
    let tasks: Vec<_> = (0..40_u64)
        .map(|number| {
            let store = if number % 2 == 0 { &store } else { &other }.clone();
            tokio::spawn(async move {
                let mut key = record(number);
                key.revision = store.insert(&key, &act()).await.unwrap();
                let found = store.find_by_handle(&handle(number)).await.unwrap();
                assert_eq!(found.unwrap().id, key.id);
                key.name = format!("changed {number}");
                key.revision = store.replace(&key, key.revision, &act()).await.unwrap();
                assert_eq!(store.get(key.id).await.unwrap().unwrap(), key);
                let one = KeyUse {
                    key: key.id,
                    credential: CredentialId::FIRST,
                    at: NOON,
                };
                store.note_uses(&[one]).await.unwrap();
                assert_eq!(store.uses(&[key.id]).await.unwrap(), [one]);
                let mut filter = KeyFilter::all();
                filter.name_contains = Some("changed".to_owned());
                let page = store.list(&filter, PageRequest::default()).await.unwrap();
                assert!(!page.records.is_empty());
                store.changes_since(Default::default(), 10).await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(store.revision().await.unwrap().as_u64(), 80);
}

/// One that keeps no track of prepared statements is told apart from a damaged database.
#[tokio::test]
async fn a_pooler_that_loses_statements_is_named() {
    let _alone = ALONE.lock().await;
    let schema = schema!();
    drop(open(&schema.url).await);
    let Some(pooler) = Pooler::start(&schema).await else {
        return;
    };
    if pooler.tracks_statements {
        return;
    }
    let error = PostgresStore::connect(&pooler.url()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("PgBouncer 1.21"), "{error}");
}
