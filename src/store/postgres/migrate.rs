//! Bringing the tables up to date.

use std::sync::LazyLock;

use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migration};
use sqlx::{PgConnection, PgPool, query, query_scalar};

use super::connect::of_another_version;
use super::fault::{failed, not_opened};
use super::lease::Lease;
use crate::error::Error;
use crate::store::rows::{migration_files, migrations};

static MIGRATIONS: LazyLock<Vec<Migration>> = LazyLock::new(|| {
    migrations(migration_files![
        "0001_store",
        "0002_lists",
        "0003_usage",
        "0004_alerts",
        "0005_letters",
    ])
});

/// Not sqlx's own name: a program with tables of its own in the same schema uses that.
const MIGRATIONS_TABLE: &str = "api_key_migrations";

/// Brings the tables up to date. If they are, nothing is written and no privilege to create tables is
/// needed.
///
/// All of it is one transaction, under a lock that every program which migrates this schema waits for.
pub(super) async fn migrate(pool: &PgPool) -> Result<(), Error> {
    let mut lease = Lease::of(pool).await?;
    let connection = lease.connection()?;
    let exists: bool = query_scalar("SELECT to_regclass('api_key_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    if exists && missing(&applied(connection).await?)?.is_empty() {
        return Ok(());
    }

    let mut transaction = sqlx::Connection::begin(connection).await.map_err(failed)?;
    for sql in [
        // A new index on many rows takes its time.
        "SET LOCAL statement_timeout = 0",
        "SELECT pg_advisory_xact_lock(1835233383, hashtext(current_schema()))",
    ] {
        query(sql)
            .execute(&mut *transaction)
            .await
            .map_err(not_opened)?;
    }
    transaction
        .ensure_migrations_table(MIGRATIONS_TABLE)
        .await
        .map_err(not_migrated)?;
    for migration in missing(&applied(&mut transaction).await?)? {
        transaction
            .apply(MIGRATIONS_TABLE, migration)
            .await
            .map_err(not_migrated)?;
    }
    transaction.commit().await.map_err(failed)
}

async fn applied(connection: &mut PgConnection) -> Result<Vec<AppliedMigration>, Error> {
    let applied = connection.list_applied_migrations(MIGRATIONS_TABLE).await;
    applied.map_err(not_migrated)
}

/// The migrations that are still to come; an error if others were applied than this crate knows.
fn missing(applied: &[AppliedMigration]) -> Result<Vec<&'static Migration>, Error> {
    if let Some(unknown) = applied
        .iter()
        .find(|old| MIGRATIONS.iter().all(|known| known.version != old.version))
    {
        return Err(of_another_version(MigrateError::VersionMissing(
            unknown.version,
        )));
    }
    let mut missing = Vec::new();
    for migration in MIGRATIONS.iter() {
        match applied.iter().find(|old| old.version == migration.version) {
            None => missing.push(migration),
            Some(old) if old.checksum == migration.checksum => {}
            Some(old) => {
                return Err(of_another_version(MigrateError::VersionMismatch(
                    old.version,
                )));
            }
        }
    }
    Ok(missing)
}

fn not_migrated(error: MigrateError) -> Error {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            not_opened(error)
        }
        other => of_another_version(other),
    }
}

#[cfg(test)]
mod tests {
    use super::MIGRATIONS;
    use crate::store::rows::assert_all_listed;

    #[test]
    fn every_file_is_applied() {
        assert_all_listed("src/store/postgres/migrations", &MIGRATIONS);
    }
}
