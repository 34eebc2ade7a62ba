//! The audit trail as rows.

use serde_json::Value;
use sqlx::{Sqlite, Transaction, query, query_as};

use super::SqliteStore;
use super::fault::failed;
use crate::audit::{Act, AuditEntry, AuditFilter};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::key::{Revision, Subject};
use crate::store::AuditPage;
use crate::store::rows::{self, AuditRow};

/// Adds the entry of `act` to the write that `transaction` is.
pub(super) async fn add(
    transaction: &mut Transaction<'static, Sqlite>,
    revision: Revision,
    subject: &Subject,
    act: &Act,
) -> Result<(), Error> {
    let json = |value: &Option<Value>| value.as_ref().map(Value::to_string);
    query(
        "INSERT INTO api_key_audit (revision, at, actor, source, action, subject, before, after)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )
    .bind(rows::number(revision))
    .bind(act.at.as_millis())
    .bind(&act.actor)
    .bind(&act.source)
    .bind(act.action.as_str())
    .bind(subject.to_string())
    .bind(json(&act.before))
    .bind(json(&act.after))
    .execute(&mut **transaction)
    .await
    .map_err(failed)?;
    Ok(())
}

/// Reads a page, newest first. Each condition is `AuditFilter::matches`, line by line.
pub(super) async fn read(
    store: &SqliteStore,
    filter: &AuditFilter,
    page: AuditPage,
) -> Result<Vec<AuditEntry>, Error> {
    let rows: Vec<AuditRow> = query_as(
        "SELECT revision, at, actor, source, action, subject, before, after
         FROM api_key_audit
         WHERE (?1 IS NULL OR revision < ?1)
           AND (?2 IS NULL OR subject = ?2)
           AND (?3 IS NULL OR actor = ?3)
           AND (?4 IS NULL OR at >= ?4)
           AND (?5 IS NULL OR at < ?5)
         ORDER BY revision DESC
         LIMIT ?6",
    )
    .bind(page.before.map(rows::number))
    .bind(filter.subject.as_ref().map(Subject::to_string))
    .bind(&filter.actor)
    .bind(filter.since.map(Timestamp::as_millis))
    .bind(filter.until.map(Timestamp::as_millis))
    .bind(i64::try_from(page.bounded_size()).unwrap_or(i64::MAX))
    .fetch_all(&store.pool)
    .await
    .map_err(failed)?;
    rows.into_iter().map(AuditRow::into_entry).collect()
}
