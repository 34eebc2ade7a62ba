//! Lists of keys, and the change log.

use sqlx::query_as;

use super::PostgresStore;
use super::fault::{failed, replica};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::key::{Revision, StatusKind};
use crate::store::rows::{self, LogRow, Row, change_log, page, selecting};
use crate::store::{ChangeLog, KeyFilter, Page, PageRequest};

/// The query behind every list. Each condition is `KeyFilter::matches`, line by line: `lower` changes
/// ASCII letters only under this collation, and ids sort as texts as they do as numbers. `OFFSET 0` has
/// the servers looked up key by key: a page needs few, and otherwise all would be read at once.
const LIST: &str = selecting!(
    "FROM api_keys k
     WHERE k.id > $1
       AND CASE WHEN $2::TEXT IS NULL THEN $3::BOOL OR k.status <> 'revoked'
           ELSE k.status = $2 END
       AND ($4::TEXT IS NULL OR k.owner = $4)
       AND ($5::TEXT IS NULL OR k.all_servers OR EXISTS (
             SELECT 1 FROM api_key_servers s WHERE s.key_id = k.id AND s.server = $5 OFFSET 0))
       AND ($6::TEXT IS NULL OR strpos(lower(k.name COLLATE \"C\"), $6) > 0)
       AND ($7::BIGINT IS NULL OR k.expires_at < $7)
       AND ($8::TEXT IS NULL OR k.plan = $8)
       AND ($9::BIGINT IS NULL OR k.created_at < $9)
       AND ($10::BIGINT IS NULL OR $10 > coalesce(
             (SELECT max(u.at) FROM api_key_uses u WHERE u.key_id = k.id), k.created_at))
       AND ($11::BOOL IS NULL OR $11 = (k.client IS NOT NULL))
     ORDER BY k.id
     LIMIT $12"
);

pub(super) async fn list(
    store: &PostgresStore,
    filter: &KeyFilter,
    wanted: PageRequest,
) -> Result<Page, Error> {
    let part = filter.name_contains.as_ref();
    if part.is_some_and(|part| part.contains('\0')) {
        // No name holds one.
        return page(Vec::new(), wanted.bounded_size());
    }
    let mut lease = store.lease().await?;
    // A statement that is planned anew each time takes two steps; a pooler between must not send them
    // to two servers.
    lease.begin().await?;
    let rows: Vec<Row> = query_as(LIST)
        .bind(wanted.after.map_or_else(String::new, |id| id.to_string()))
        .bind(filter.status.map(StatusKind::as_str))
        .bind(filter.include_revoked)
        .bind(filter.owner.as_ref().map(AsRef::<str>::as_ref))
        .bind(filter.server.as_ref().map(AsRef::<str>::as_ref))
        .bind(part.map(|part| part.to_ascii_lowercase()))
        .bind(filter.expires_before.map(Timestamp::as_millis))
        .bind(filter.plan.as_ref().map(AsRef::<str>::as_ref))
        .bind(filter.created_before.map(Timestamp::as_millis))
        .bind(filter.idle_since.map(Timestamp::as_millis))
        .bind(filter.connections)
        .bind(
            i64::try_from(wanted.bounded_size())
                .unwrap_or(i64::MAX)
                .saturating_add(1),
        )
        // Planned for the conditions that are there, so that each finds its index.
        .persistent(false)
        .fetch_all(lease.connection()?)
        .await
        .map_err(failed)?;
    page(rows, wanted.bounded_size())
}

/// A row of the log, and whether the server is one that follows another.
#[derive(sqlx::FromRow)]
struct Read {
    is_replica: bool,
    #[sqlx(flatten)]
    row: LogRow,
}

pub(super) async fn changes_since(
    store: &PostgresStore,
    since: Revision,
    limit: usize,
) -> Result<ChangeLog, Error> {
    let mut lease = store.log_lease().await?;
    // One statement, so that counter and log are of one moment. It reads at least one change, which
    // tells whether the log still reaches `since`.
    let rows: Vec<Read> = query_as(
        "SELECT pg_is_in_recovery() AS is_replica, n.revision AS newest, c.revision, c.subject,
                c.stamp
         FROM api_key_counter n
         LEFT JOIN (
             SELECT revision, subject, stamp FROM api_key_changes
             WHERE revision > $1 ORDER BY revision LIMIT $2) c ON TRUE
         ORDER BY c.revision",
    )
    .bind(i64::try_from(since.as_u64()).unwrap_or(i64::MAX))
    .bind(i64::try_from(limit).unwrap_or(i64::MAX).max(1))
    .fetch_all(lease.connection()?)
    .await
    .map_err(failed)?;
    lease.has_answered();
    if rows.iter().any(|read| read.is_replica) {
        lease.close();
        return Err(replica());
    }
    let rows: Vec<_> = rows.into_iter().map(|read| read.row).collect();
    change_log(&rows, since, limit)
}

/// The number of the last write.
pub(super) async fn revision(store: &PostgresStore) -> Result<Revision, Error> {
    let mut lease = store.log_lease().await?;
    let number: i64 = sqlx::query_scalar("SELECT revision FROM api_key_counter")
        .fetch_one(lease.connection()?)
        .await
        .map_err(failed)?;
    lease.has_answered();
    rows::revision(number)
}
