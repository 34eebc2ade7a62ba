//! Lists of keys, read from indexes.
//!
//! 1. **Each condition is `KeyFilter::matches`, line by line**, and a statement has those that are asked
//!    for. Which index it begins with decides how long it takes, never what it finds.
//! 2. **A condition that names a value is read in the order of ids** (owner, plan, server, kind, status),
//!    so a page costs the same wherever it begins and however many keys there are.
//! 3. **A condition that names a range or a text is not in that order** (times, names). Up to [`FEW`] keys
//!    that meet it are read and sorted. If more do, keys are tried in the order of ids: among a million
//!    every fiftieth meets it, so a page is soon full. What takes longer is a page that no key is left
//!    for: all that follow are tried, in an index that holds what is compared.
//! 4. **Of several conditions the one that the fewest keys meet is begun with**, counted up to [`FEW`].
//!    If more meet each, the first that names a value is, and the others are tried key by key. Two that
//!    many keys meet, but none both, are what takes longest.
//!
//! A text of less than three characters, or with a NUL, is in no index: it is tried key by key.

use sqlx::{AssertSqlSafe, Sqlite, SqlitePool, query_as, query_scalar};
use sqlx::{query::QueryAs, query::QueryScalar, sqlite::SqliteArguments};

use super::fault::failed;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::key::StatusKind;
use crate::store::rows::{Row, page, selecting};
use crate::store::{KeyFilter, Page, PageRequest};

/// How many keys are read and sorted for a page at most.
const FEW: i64 = 20_000;

/// How much of a text is looked up in the index of names, in characters. The whole is compared
/// afterwards.
const LOOKED_UP: usize = 64;

/// What a list begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Owner,
    Plan,
    Server,
    Kind,
    Status,
    Name,
    Expiry,
    Idleness,
    Creation,
    Ids,
}

/// A way to some of the keys.
struct Path {
    from: &'static str,
    term: &'static str,
    /// The id of the key, which the index ends with.
    id: &'static str,
    /// From there to the key, if `from` is another table.
    join: Option<&'static str>,
}

impl Path {
    const fn of_keys(from: &'static str, term: &'static str) -> Self {
        Self {
            from,
            term,
            id: "k.id",
            join: None,
        }
    }
}

// The parameters have the numbers that `bind!` gives them.
const OWNER: &[Path] = &[Path::of_keys(
    "api_keys k INDEXED BY api_keys_of_an_owner",
    "k.owner = ?3",
)];
const PLAN: &[Path] = &[Path::of_keys(
    "api_keys k INDEXED BY api_keys_on_a_plan",
    "k.plan = ?7",
)];
const KIND: &[Path] = &[Path::of_keys(
    "api_keys k INDEXED BY api_keys_of_a_kind",
    "(k.client IS NOT NULL) = ?10",
)];
const STATUS: &[Path] = &[Path::of_keys(
    "api_keys k INDEXED BY api_keys_with_a_status",
    "k.status = ?2",
)];
const EXPIRY: &[Path] = &[Path::of_keys(
    "api_keys k INDEXED BY api_keys_by_expiry",
    "k.expires_at < ?6",
)];
const CREATION: &[Path] = &[Path::of_keys(
    "api_keys k INDEXED BY api_keys_by_creation",
    "k.created_at < ?8",
)];
const SERVER: &[Path] = &[
    Path::of_keys(
        "api_keys k INDEXED BY api_keys_for_all_servers",
        "k.all_servers",
    ),
    Path {
        from: "api_key_servers s INDEXED BY api_key_servers_by_server",
        term: "s.server = ?4",
        id: "s.key_id",
        join: Some(" CROSS JOIN api_keys k"),
    },
];
const IDLENESS: &[Path] = &[Path {
    from: "api_key_listing l INDEXED BY api_key_listing_by_idleness",
    term: "l.idle_since < ?9",
    id: "l.key_id",
    join: Some(" CROSS JOIN api_keys k"),
}];
const NAME: &[Path] = &[
    Path::of_keys(
        "api_keys k INDEXED BY api_keys_with_a_nul",
        "instr(k.name, char(0)) > 0",
    ),
    Path {
        from: "api_key_names",
        term: "api_key_names.name MATCH ?12",
        id: "l.key_id",
        join: Some(
            " CROSS JOIN api_key_listing l ON l.number = api_key_names.rowid CROSS JOIN api_keys k",
        ),
    },
];

impl Source {
    fn paths(self) -> &'static [Path] {
        match self {
            Self::Owner => OWNER,
            Self::Plan => PLAN,
            Self::Server => SERVER,
            Self::Kind => KIND,
            Self::Status => STATUS,
            Self::Name => NAME,
            Self::Expiry => EXPIRY,
            Self::Idleness => IDLENESS,
            Self::Creation => CREATION,
            Self::Ids => &[],
        }
    }

    /// Whether its keys come in the order of ids.
    fn is_ordered(self) -> bool {
        !matches!(
            self,
            Self::Name | Self::Expiry | Self::Idleness | Self::Creation
        )
    }

    /// What a list with this filter can begin with, apart from ids.
    fn possible(filter: &KeyFilter) -> impl Iterator<Item = Self> {
        let name = filter.name_contains.as_ref();
        [
            (filter.owner.is_some(), Self::Owner),
            (filter.plan.is_some(), Self::Plan),
            (filter.server.is_some(), Self::Server),
            (filter.connections.is_some(), Self::Kind),
            (filter.status.is_some(), Self::Status),
            (name.is_some_and(|part| is_indexed(part)), Self::Name),
            (filter.expires_before.is_some(), Self::Expiry),
            (filter.idle_since.is_some(), Self::Idleness),
            (filter.created_before.is_some(), Self::Creation),
        ]
        .into_iter()
        .filter_map(|(is_possible, source)| is_possible.then_some(source))
    }

    /// The keys that it leads to, counted up to a limit.
    fn counting(self) -> String {
        let branches: Vec<_> = self
            .paths()
            .iter()
            .map(|path| format!("SELECT 1 FROM {} WHERE {}", path.from, path.term))
            .collect();
        format!(
            "SELECT count(*) FROM ({} LIMIT ?11) h",
            branches.join(" UNION ALL ")
        )
    }

    /// The page: first its ids, which take no more than the indexes where those hold what is compared,
    /// then their rows.
    fn listing(self, filter: &KeyFilter) -> String {
        let others = conditions(filter, self);
        // Holds most of what is compared, and no key that was not asked for.
        let in_force = match filter.status {
            None if !filter.include_revoked => " INDEXED BY api_keys_in_force",
            _ => "",
        };
        let mut branches: Vec<_> = self
            .paths()
            .iter()
            .map(
                |Path {
                     from,
                     term,
                     id,
                     join,
                 }| {
                    let join = join.map(|join| format!("{join}{in_force} ON k.id = {id}"));
                    let join = join.unwrap_or_default();
                    format!(
                        "SELECT {id} AS hit FROM {from}{join} WHERE {term} AND {id} > ?1{others}"
                    )
                },
            )
            .collect();
        if branches.is_empty() {
            branches.push(format!(
                "SELECT k.id AS hit FROM api_keys k{in_force} WHERE k.id > ?1{others}"
            ));
        }
        // Merges what is in order, and takes a key once that two paths lead to.
        let hits = branches.join(" UNION ");
        let columns = selecting!("FROM (");
        format!(
            "{columns}{hits} ORDER BY hit LIMIT ?11) h
             CROSS JOIN api_keys k ON k.id = h.hit ORDER BY h.hit"
        )
    }
}

/// The conditions that are asked for, but for the one that `source` is. `lower` changes ASCII letters
/// only, and ids sort as texts as they do as numbers.
fn conditions(filter: &KeyFilter, source: Source) -> String {
    let server = filter.server.is_some() && source != Source::Server;
    let idleness = filter.idle_since.is_some() && source != Source::Idleness;
    [
        (filter.status.is_some(), " AND k.status = ?2"),
        (
            filter.status.is_none() && !filter.include_revoked,
            " AND k.status <> 'revoked'",
        ),
        (filter.owner.is_some(), " AND k.owner = ?3"),
        (
            server,
            " AND (k.all_servers OR EXISTS (
                  SELECT 1 FROM api_key_servers s WHERE s.key_id = k.id AND s.server = ?4))",
        ),
        (
            filter.name_contains.is_some(),
            " AND instr(lower(k.name), ?5) > 0",
        ),
        (filter.expires_before.is_some(), " AND k.expires_at < ?6"),
        (filter.plan.is_some(), " AND k.plan = ?7"),
        (filter.created_before.is_some(), " AND k.created_at < ?8"),
        (
            idleness,
            " AND (SELECT l.idle_since FROM api_key_listing l WHERE l.key_id = k.id) < ?9",
        ),
        (
            filter.connections.is_some(),
            " AND (k.client IS NOT NULL) = ?10",
        ),
    ]
    .into_iter()
    .filter_map(|(is_asked_for, condition)| is_asked_for.then_some(condition))
    .collect()
}

fn is_indexed(part: &str) -> bool {
    part.chars().nth(2).is_some() && !part.contains('\0')
}

/// `part` as the index of names understands it: its pieces one after the other. The index takes more
/// letters for the same than `matches` does, never fewer.
fn phrase(part: &str) -> String {
    let looked_up: String = part.chars().take(LOOKED_UP).collect();
    format!("\"{}\"", looked_up.replace('"', "\"\""))
}

/// Binds what the statements' parameters stand for, `?1` to `?12`. A statement leaves out those it has
/// no use for.
macro_rules! bind {
    ($query:expr, $filter:expr, $after:expr, $limit:expr) => {{
        let part = $filter.name_contains.as_deref();
        $query
            .bind($after)
            .bind($filter.status.map(StatusKind::as_str))
            .bind($filter.owner.as_ref().map(AsRef::<str>::as_ref))
            .bind($filter.server.as_ref().map(AsRef::<str>::as_ref))
            .bind(part.map(str::to_ascii_lowercase))
            .bind($filter.expires_before.map(Timestamp::as_millis))
            .bind($filter.plan.as_ref().map(AsRef::<str>::as_ref))
            .bind($filter.created_before.map(Timestamp::as_millis))
            .bind($filter.idle_since.map(Timestamp::as_millis))
            .bind($filter.connections)
            .bind($limit)
            .bind(part.map(phrase))
    }};
}

pub(super) async fn list(
    pool: &SqlitePool,
    filter: &KeyFilter,
    wanted: PageRequest,
) -> Result<Page, Error> {
    let size = wanted.bounded_size();
    let source = choose(pool, filter).await?;
    let after = wanted.after.map_or_else(String::new, |id| id.to_string());
    let limit = i64::try_from(size).unwrap_or(i64::MAX).saturating_add(1);
    let listing: QueryAs<'_, Sqlite, Row, SqliteArguments> =
        query_as(AssertSqlSafe(source.listing(filter)));
    let rows = bind!(listing, filter, after, limit)
        .fetch_all(pool)
        .await
        .map_err(failed)?;
    page(rows, size)
}

/// What the list with this filter is best begun with. A write in between changes nothing but that.
async fn choose(pool: &SqlitePool, filter: &KeyFilter) -> Result<Source, Error> {
    let possible: Vec<_> = Source::possible(filter).collect();
    let ordered = possible.iter().copied().find(|source| source.is_ordered());
    if let (Some(only), 1) = (ordered, possible.len()) {
        return Ok(only);
    }
    let mut best = ordered.unwrap_or(Source::Ids);
    let mut fewest = FEW + 1;
    for source in possible {
        let counting: QueryScalar<'_, Sqlite, i64, SqliteArguments> =
            query_scalar(AssertSqlSafe(source.counting()));
        let count = bind!(counting, filter, "", fewest)
            .fetch_one(pool)
            .await
            .map_err(failed)?;
        if count < fewest {
            (best, fewest) = (source, count);
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests;
