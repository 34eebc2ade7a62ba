//! What a write leaves behind: an entry of the audit trail, a change in the log, and word to those who
//! listen.

use serde_json::Value;
use sqlx::{PgConnection, query, query_as};

use super::PostgresStore;
use super::fault::failed;
use crate::audit::{Act, AuditEntry, AuditFilter};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::key::{Revision, Subject};
use crate::store::AuditPage;
use crate::store::rows::{self, AuditRow};

/// Adds what is left of `act` to the transaction under way. The word goes out with its commit.
pub(super) async fn add(
    connection: &mut PgConnection,
    revision: Revision,
    subject: &Subject,
    act: &Act,
    channel: &str,
) -> Result<(), Error> {
    let json = |value: &Option<Value>| value.as_ref().map(Value::to_string);
    query(
        "WITH entry AS (
             INSERT INTO api_key_audit
                 (revision, at, actor, source, action, subject, before, after)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)),
         change AS (
             INSERT INTO api_key_changes (revision, subject, stamp)
             VALUES ($1, $6, hashtextextended(gen_random_uuid()::TEXT, 0)))
         SELECT pg_notify($9, $1::TEXT)",
    )
    .bind(rows::number(revision))
    .bind(act.at.as_millis())
    .bind(&act.actor)
    .bind(&act.source)
    .bind(act.action.as_str())
    .bind(subject.to_string())
    .bind(json(&act.before))
    .bind(json(&act.after))
    .bind(channel)
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(())
}

/// Reads a page, newest first. Each condition is `AuditFilter::matches`, line by line.
pub(super) async fn read(
    store: &PostgresStore,
    filter: &AuditFilter,
    page: AuditPage,
) -> Result<Vec<AuditEntry>, Error> {
    let mut lease = store.lease().await?;
    // As for a list of keys.
    lease.begin().await?;
    let rows: Vec<AuditRow> = query_as(
        "SELECT revision, at, actor, source, action, subject, before, after
         FROM api_key_audit
         WHERE ($1::BIGINT IS NULL OR revision < $1)
           AND ($2::TEXT IS NULL OR subject = $2)
           AND ($3::TEXT IS NULL OR actor = $3)
           AND ($4::BIGINT IS NULL OR at >= $4)
           AND ($5::BIGINT IS NULL OR at < $5)
         ORDER BY revision DESC
         LIMIT $6",
    )
    .bind(page.before.map(rows::number))
    .bind(filter.subject.as_ref().map(Subject::to_string))
    .bind(&filter.actor)
    .bind(filter.since.map(Timestamp::as_millis))
    .bind(filter.until.map(Timestamp::as_millis))
    .bind(i64::try_from(page.bounded_size()).unwrap_or(i64::MAX))
    // Planned for the conditions that are there.
    .persistent(false)
    .fetch_all(lease.connection()?)
    .await
    .map_err(failed)?;
    rows.into_iter().map(AuditRow::into_entry).collect()
}
