//! Servers of PostgreSQL that a test may kill: private ones, with their data in a folder of their own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;

/// A server that this process has started. It ends with the value.
#[derive(Debug)]
pub(crate) struct Server {
    tools: Tools,
    folder: TempDir,
    pub(crate) port: u16,
}

/// Where PostgreSQL's programs are, and as whom they are to run: not as root.
#[derive(Clone, Debug)]
struct Tools {
    folder: PathBuf,
    user: Option<&'static str>,
}

impl Tools {
    fn found() -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let in_path = std::env::split_paths(&path).find(|folder| folder.join("initdb").exists());
        // A link may lead to where the others are.
        let in_path = in_path.and_then(|folder| {
            let program = folder.join("initdb").canonicalize().ok()?;
            Some(program.parent()?.to_owned())
        });
        let of_debian = || {
            let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
            let folders = versions
                .map_while(Result::ok)
                .map(|version| version.path().join("bin"));
            folders
                .filter(|folder| folder.join("initdb").exists())
                .max()
        };
        let Some(folder) = in_path.or_else(of_debian) else {
            let required = std::env::var("MCP_KEYS_REQUIRE_SERVICES").is_ok_and(|on| on == "1");
            assert!(!required, "there is no initdb");
            println!("left out: there is no initdb, so no server of its own to kill");
            return None;
        };
        let says = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output();
            output.map(|output| (output.status.success(), output.stdout))
        };
        let is_root = says("id", &["-u"]).is_ok_and(|(_, id)| id.trim_ascii() == b"0");
        let user = is_root.then(|| match says("id", &["postgres"]) {
            Ok((true, _)) => "postgres",
            _ => "nobody",
        });
        Some(Self { folder, user })
    }

    fn command(&self, program: &str) -> Command {
        let path = self.folder.join(program);
        let mut command = match self.user {
            Some(user) => {
                let mut command = Command::new("runuser");
                command.args(["-u", user, "--"]).arg(path);
                command
            }
            None => Command::new(path),
        };
        // Its output must not keep a pipe open, nor its folder be one that it may not enter.
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
        quiet.stderr(Stdio::null()).current_dir("/");
        command
    }

    /// A folder that the servers may use, in memory if there is one.
    fn folder(&self) -> TempDir {
        let in_memory = Path::new("/dev/shm");
        let folder = match in_memory.exists() {
            true => TempDir::new_in(in_memory).unwrap(),
            false => TempDir::new().unwrap(),
        };
        if let Some(user) = self.user {
            let owned = Command::new("chown").arg(user).arg(folder.path()).status();
            assert!(owned.unwrap().success());
        }
        folder
    }
}

impl Server {
    /// Nothing, if PostgreSQL is not there.
    pub(crate) fn start() -> Option<Self> {
        let tools = Tools::found()?;
        let folder = tools.folder();
        let mut made = tools.command("initdb");
        made.args([
            "-U",
            "mcp_keys",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
            "-D",
        ]);
        assert!(
            made.arg(folder.path().join("data"))
                .status()
                .unwrap()
                .success()
        );
        Some(Self::over(tools, folder))
    }

    /// A copy of what the server holds at this moment, as a server of its own; one that follows this
    /// server, if `follows`.
    pub(crate) fn copy(&self, follows: bool) -> Self {
        let folder = self.tools.folder();
        let mut copied = self.tools.command("pg_basebackup");
        copied.args([
            "-h",
            "127.0.0.1",
            "-p",
            &self.port.to_string(),
            "-U",
            "mcp_keys",
        ]);
        copied.args(["-X", "stream", "-c", "fast", "--no-sync", "-D"]);
        copied.arg(folder.path().join("data"));
        if follows {
            copied.arg("-R");
        }
        assert!(copied.status().unwrap().success());
        Self::over(self.tools.clone(), folder)
    }

    fn over(tools: Tools, folder: TempDir) -> Self {
        // Somebody else may have taken the port meanwhile.
        let mut server = Self {
            tools,
            folder,
            port: 0,
        };
        for _ in 0..5 {
            server.port = free_port();
            if server.launch() {
                return server;
            }
        }
        let log = std::fs::read_to_string(server.folder.path().join("log"));
        panic!("the server does not start: {log:?}");
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn control(&self, arguments: &[&str]) -> bool {
        let mut control = self.tools.command("pg_ctl");
        control.arg("-D").arg(self.data()).arg("-s").args(arguments);
        control.status().unwrap().success()
    }

    fn launch(&self) -> bool {
        let folder = self.folder.path();
        let options = format!(
            "-p {} -k {} -c listen_addresses=127.0.0.1 -c full_page_writes=off",
            self.port,
            folder.display()
        );
        let log = folder.join("log");
        self.control(&[
            "-w",
            "-t",
            "30",
            "-l",
            log.to_str().unwrap(),
            "-o",
            &options,
            "start",
        ])
    }

    /// Ends it at once (SIGKILL): nothing is finished, nothing is written down.
    pub(crate) fn kill(&self) {
        let pid = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        let pid = pid.lines().next().unwrap().to_owned();
        let killed = Command::new("kill").args(["-s", "KILL", &pid]).status();
        assert!(killed.unwrap().success());
    }

    /// Starts it again, when what is left of the one that was killed is gone.
    pub(crate) fn start_again(&self) {
        let started = (0..60).any(|_| {
            let started = self.launch();
            if !started {
                std::thread::sleep(Duration::from_millis(100));
            }
            started
        });
        assert!(started, "it does not start again");
    }

    /// Makes the server that follows another one that is written to.
    pub(crate) fn promote(&self) {
        assert!(self.control(&["-w", "-t", "30", "promote"]));
    }

    pub(crate) fn url(&self) -> String {
        url(self.port)
    }

    /// Carries out a statement.
    pub(crate) async fn execute(&self, sql: &str) {
        let mut connection = PgConnection::connect(&self.url()).await.unwrap();
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        sql.execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// From now on a commit waits until the server that follows has written it down as well.
    pub(crate) async fn wait_for_follower(&self) {
        self.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            .await;
        self.execute("SELECT pg_reload_conf()").await;
        let mut connection = PgConnection::connect(&self.url()).await.unwrap();
        for _ in 0..200 {
            let state: Option<String> =
                sqlx::query_scalar("SELECT sync_state FROM pg_stat_replication")
                    .fetch_optional(&mut connection)
                    .await
                    .unwrap();
            if state.as_deref() == Some("sync") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("nobody follows");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.control(&["-m", "immediate", "-w", "stop"]);
    }
}

/// The address of the server, or the wire, at a port.
pub(crate) fn url(port: u16) -> String {
    format!("postgres://mcp_keys@127.0.0.1:{port}/postgres?sslmode=disable")
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
