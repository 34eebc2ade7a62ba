//! Opening a database: the file, its mode, its settings and its tables.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use sqlx::migrate::{Migrate, MigrateError, Migration};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection, SqlitePool, query_as, query_scalar};
use tokio::time::sleep;

use super::fault::failed;
use crate::error::{Error, ErrorKind};
use crate::store::rows::{migration_files, migrations};

/// How long a call waits for its turn, a connection or a lock.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// One writes at a time, the others read. Each is a thread.
const CONNECTIONS: u32 = 8;

static MIGRATIONS: LazyLock<Vec<Migration>> = LazyLock::new(|| {
    migrations(migration_files![
        "0001_keys",
        "0002_audit",
        "0003_documents",
        "0004_stamps",
        "0005_lists",
        "0006_usage",
        "0007_alerts",
        "0008_letters",
    ])
});

/// Not sqlx's own name: a program with tables of its own in the same database uses that.
const MIGRATIONS_TABLE: &str = "api_key_migrations";

/// Opens the database at `url` and brings it up to date.
pub(super) async fn open(url: &str) -> Result<SqlitePool, Error> {
    let options = parse(url)?
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(PATIENCE)
        .disable_statement_logging();

    let in_memory = url.contains(":memory:") || url.contains("mode=memory");
    if !in_memory {
        create_private(options.get_filename())?;
    }
    // A connection in memory is the database, so it is one and never ends. Those of a file hold
    // nothing that could go stale: neither do they need to end, nor to be tried before each use.
    let pool = SqlitePoolOptions::new()
        .max_connections(if in_memory { 1 } else { CONNECTIONS })
        .acquire_timeout(PATIENCE)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_with(options)
        .await
        .map_err(failed)?;

    if !in_memory {
        switch_to_wal(&pool).await?;
    }
    migrate(&pool).await?;
    Ok(pool)
}

fn parse(url: &str) -> Result<SqliteConnectOptions, Error> {
    if !url.starts_with("sqlite:") {
        return Err(Error::invalid("url", "must begin with sqlite:"));
    }
    let options: SqliteConnectOptions = url
        .parse()
        .map_err(|error: sqlx::Error| Error::invalid("url", "cannot be read").with_source(error))?;
    // SQLite would open a database that nobody can find again.
    if options.get_filename().as_os_str().is_empty() {
        return Err(Error::invalid("url", "must name a file"));
    }
    Ok(options)
}

/// Creates the file, if there is none, so that nobody else can read it. SQLite itself would go by
/// the umask, and it gives the `-wal` and `-shm` files the mode that the database has.
fn create_private(path: &Path) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);

    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Error::invalid("url", "names a folder that does not exist").with_source(error))
        }
        Err(error) => Err(Error::new(
            ErrorKind::Unavailable,
            "the key database could not be created",
        )
        .with_source(error)),
    }
}

/// Switches to WAL mode, which then is the file's for good.
///
/// Of two that switch a new file at the same time, SQLite lets one fail at once instead of waiting,
/// since each holds what the other needs.
async fn switch_to_wal(pool: &SqlitePool) -> Result<(), Error> {
    const PAUSE: Duration = Duration::from_millis(20);

    let mut waited = Duration::ZERO;
    loop {
        let switched: Result<String, _> = query_scalar("PRAGMA journal_mode = WAL")
            .fetch_one(pool)
            .await;
        match switched.map_err(failed) {
            Ok(mode) => return check_mode(&mode),
            Err(error) if !error.is_temporary() || waited >= PATIENCE => return Err(error),
            Err(_) => {
                sleep(PAUSE).await;
                waited += PAUSE;
            }
        }
    }
}

fn check_mode(mode: &str) -> Result<(), Error> {
    if mode == "wal" {
        return Ok(());
    }
    let message = format!("the database cannot be put into WAL mode, it is in mode {mode}");
    Err(Error::invalid("url", message))
}

/// Refuses a pool whose commits a power cut could undo.
pub(super) async fn check_durability(pool: &SqlitePool) -> Result<(), Error> {
    const WEAK: &str = "must use journal_mode=WAL and synchronous=FULL: with less, a power cut can \
                        bring a revoked key back";

    let (mode, synchronous, file): (String, i64, String) = query_as(
        "SELECT j.journal_mode, s.synchronous, d.file
         FROM pragma_journal_mode j, pragma_synchronous s, pragma_database_list d
         WHERE d.name = 'main'",
    )
    .fetch_one(pool)
    .await
    .map_err(failed)?;
    // A database without a file ends with the program anyway.
    let durable = file.is_empty() || (mode == "wal" && synchronous >= 2);
    if durable {
        Ok(())
    } else {
        Err(Error::invalid("pool", WEAK))
    }
}

/// Brings the tables up to date.
///
/// All of it is one transaction: sqlx does not lock a SQLite database while it migrates, and two
/// processes that start together would both create the tables.
pub(super) async fn migrate(pool: &SqlitePool) -> Result<(), Error> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    apply_missing(&mut transaction)
        .await
        .map_err(not_migrated)?;
    transaction.commit().await.map_err(failed)
}

/// What sqlx's `Migrator::run` does, whose future is not `Send` for a connection that is borrowed.
async fn apply_missing(connection: &mut SqliteConnection) -> Result<(), MigrateError> {
    connection.ensure_migrations_table(MIGRATIONS_TABLE).await?;
    let applied = connection.list_applied_migrations(MIGRATIONS_TABLE).await?;
    if let Some(unknown) = applied
        .iter()
        .find(|old| MIGRATIONS.iter().all(|known| known.version != old.version))
    {
        return Err(MigrateError::VersionMissing(unknown.version));
    }
    for migration in MIGRATIONS.iter() {
        match applied.iter().find(|old| old.version == migration.version) {
            None => drop(connection.apply(MIGRATIONS_TABLE, migration).await?),
            Some(old) if old.checksum == migration.checksum => {}
            Some(_) => return Err(MigrateError::VersionMismatch(migration.version)),
        }
    }
    Ok(())
}

fn not_migrated(error: MigrateError) -> Error {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => failed(error),
        other => Error::new(
            ErrorKind::Corrupt,
            "the key database is of another version of this crate",
        )
        .with_source(other),
    }
}

#[cfg(test)]
mod tests {
    use super::MIGRATIONS;
    use crate::store::rows::assert_all_listed;

    #[test]
    fn every_file_is_applied() {
        assert_all_listed("src/store/sqlite/migrations", &MIGRATIONS);
    }
}
