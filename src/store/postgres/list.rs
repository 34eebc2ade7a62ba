//! Lists of keys, read from indexes, and the change log.
//!
//! 1. **Each condition is `KeyFilter::matches`, line by line.** A statement has all of them, and is planned
//!    each time for those that are asked for, so that each finds its index. The database knows how many
//!    keys meet a condition, and chooses between the indexes.
//! 2. **First the ids of the page are found**, in indexes that hold what is compared, then their rows are
//!    read. A condition that names a value is read in the order of ids (owner, plan, server, connections,
//!    status), so a page costs the same wherever it begins.
//! 3. **A time or a text is not in that order.** If few keys meet it, they are read and sorted; if many do,
//!    keys are tried in the order of ids, and a page is soon full. What takes longer is a page that no key
//!    is left for: all that follow are tried, in one index.
//! 4. **What is idle is tried key by key**, in the order of ids: an index of last uses would have to be
//!    written with each of them. So is a text of less than three characters.

use sqlx::query_as;

use super::PostgresStore;
use super::fault::{failed, replica};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::key::{Revision, StatusKind};
use crate::store::rows::{self, LogRow, Row, change_log, page, row, selecting};
use crate::store::{ChangeLog, KeyFilter, Page, PageRequest};

/// The conditions that a key `k` of the page meets. `lower` changes ASCII letters only under this
/// collation, and ids sort as texts as they do as numbers.
macro_rules! conditions {
    () => {
        "k.id > $1
         AND CASE WHEN $2::TEXT IS NULL THEN $3::BOOL OR k.status <> 'revoked'
             ELSE k.status = $2 END
         AND ($4::TEXT IS NULL OR k.owner = $4)
         AND ($5::TEXT IS NULL OR strpos(lower(k.name COLLATE \"C\"), $5) > 0)
         AND ($6::TEXT IS NULL OR api_key_name_pieces(k.name) @> api_key_name_pieces($6)
              OR api_key_name_pieces(k.name) @> '{long}')
         AND ($7::BIGINT IS NULL OR k.expires_at < $7)
         AND ($8::TEXT IS NULL OR k.plan = $8)
         AND ($9::BIGINT IS NULL OR k.created_at < $9)
         AND ($10::BIGINT IS NULL OR $10 > coalesce(
               (SELECT max(u.at) FROM api_key_uses u WHERE u.key_id = k.id), k.created_at))
         AND ($11::BOOL IS NULL OR $11 = (k.client IS NOT NULL)) "
    };
}

/// The query behind every list but that of a server.
const LIST: &str = concat!(
    selecting!("FROM (SELECT k.id AS hit FROM api_keys k WHERE "),
    conditions!(),
    "ORDER BY k.id LIMIT $12) h JOIN api_keys k ON k.id = h.hit ORDER BY k.id"
);

/// The list of a server: of keys for all servers and of keys that name it. Each of both has its page in
/// order, and together they are it.
const LIST_OF_A_SERVER: &str = concat!(
    selecting!(
        "FROM (SELECT hit FROM ((SELECT k.id AS hit FROM api_keys k WHERE k.all_servers AND "
    ),
    conditions!(),
    "ORDER BY k.id LIMIT $12) UNION ALL (
     SELECT s.key_id FROM api_key_servers s JOIN api_keys k ON k.id = s.key_id
     WHERE s.server = $13 AND s.key_id > $1 AND NOT k.all_servers AND ",
    conditions!(),
    "ORDER BY s.key_id LIMIT $12)) b ORDER BY hit LIMIT $12) h
     JOIN api_keys k ON k.id = h.hit ORDER BY k.id"
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
    let part = part.map(|part| part.to_ascii_lowercase());
    let limit = i64::try_from(wanted.bounded_size()).unwrap_or(i64::MAX);
    let query = query_as(match filter.server {
        None => LIST,
        Some(_) => LIST_OF_A_SERVER,
    })
    .bind(wanted.after.map_or_else(String::new, |id| id.to_string()))
    .bind(filter.status.map(StatusKind::as_str))
    .bind(filter.include_revoked)
    .bind(filter.owner.as_ref().map(AsRef::<str>::as_ref))
    .bind(part.as_deref())
    .bind(part.as_deref().filter(|part| part.chars().nth(2).is_some()))
    .bind(filter.expires_before.map(Timestamp::as_millis))
    .bind(filter.plan.as_ref().map(AsRef::<str>::as_ref))
    .bind(filter.created_before.map(Timestamp::as_millis))
    .bind(filter.idle_since.map(Timestamp::as_millis))
    .bind(filter.connections)
    .bind(limit.saturating_add(1));
    let query = match &filter.server {
        None => query,
        Some(server) => query.bind(server.as_str()),
    };
    let rows: Vec<Row> = query
        // Planned for the conditions that are there.
        .persistent(false)
        .fetch_all(lease.connection()?)
        .await
        .map_err(failed)?;
    page(rows, wanted.bounded_size())
}

row! {
    /// A row of the log, and whether the server is one that follows another.
    struct Read {
        flatten row: LogRow,
        is_replica: bool,
    }
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
