//! Between the rows of an SQL database and what they say: what is read is checked, and what goes wrong
//! is named without values. The databases differ in their statements, not in their columns.

mod alerts;
mod audit;
mod documents;
mod letters;
mod migrations;
mod row;
pub(super) mod series;
mod usage;

use std::collections::BTreeSet;
use std::fmt;

use serde_json::error::Category;

pub(super) use self::alerts::{AlertRow, AlertStart, HabitsRow, alerts_json, habits_json};
pub(super) use self::audit::AuditRow;
pub(super) use self::documents::DocumentRow;
pub(super) use self::letters::{LetterRow, letters_json, listed};
#[cfg(test)]
pub(super) use self::migrations::assert_all_listed;
pub(super) use self::migrations::{migration_files, migrations};
pub(super) use self::row::row;
#[cfg(feature = "postgres")]
pub(super) use self::usage::units;
pub(super) use self::usage::{TakenRow, UseRow};
use crate::error::{Error, ErrorKind};
use crate::key::{Handle, KeyRecord, Revision, Servers, Subject};
use crate::store::{Change, ChangeLog, Page, handles};

/// A query for [`Row`]s, with everything after the columns.
macro_rules! selecting {
    ($rest:literal) => {
        concat!(
            "SELECT k.id, k.name, k.owner, k.plan, k.client, k.status, k.all_servers, k.created_at, \
             k.expires_at, k.revision, k.record ",
            $rest
        )
    };
}
pub(super) use selecting;

row! {
    /// A row of `api_keys`.
    pub(super) struct Row {
        flatten columns: Columns,
        revision: i64,
        record: String,
    }
}

row! {
    /// What the columns repeat of a record.
    #[derive(PartialEq)]
    pub(super) struct Columns {
        pub(super) id: String,
        pub(super) name: String,
        pub(super) owner: Option<String>,
        pub(super) plan: Option<String>,
        pub(super) client: Option<String>,
        pub(super) status: String,
        pub(super) all_servers: bool,
        pub(super) created_at: i64,
        pub(super) expires_at: Option<i64>,
    }
}

impl Columns {
    pub(super) fn of(record: &KeyRecord) -> Self {
        Self {
            id: record.id.to_string(),
            name: record.name.clone(),
            owner: record.owner.as_ref().map(|owner| owner.as_str().to_owned()),
            plan: record.plan.as_ref().map(|plan| plan.as_str().to_owned()),
            client: record
                .connection
                .as_ref()
                .map(|connection| connection.client.as_str().to_owned()),
            status: record.status.as_str().to_owned(),
            all_servers: record.servers == Servers::All,
            created_at: record.created_at.as_millis(),
            expires_at: record.expires_at.map(|at| at.as_millis()),
        }
    }
}

impl Row {
    /// The record of the row.
    ///
    /// Columns that disagree with it are an error: whoever has set `status` to `revoked` by hand
    /// must not be left with a key that works.
    pub(super) fn into_record(self) -> Result<KeyRecord, Error> {
        let mut record: KeyRecord = serde_json::from_str(&self.record).map_err(|error| {
            self.corrupt("cannot be read")
                .with_source(Unreadable::from(&error))
        })?;
        if Columns::of(&record) != self.columns {
            return Err(self.corrupt("disagrees with its columns"));
        }
        record.revision =
            revision(self.revision).map_err(|_| self.corrupt("has a negative revision"))?;
        Ok(record)
    }

    /// The record of a row that was found by `handle`.
    pub(super) fn into_record_of(self, handle: &str) -> Result<KeyRecord, Error> {
        let id = self.columns.id.clone();
        let record = self.into_record()?;
        if handles(&record).any(|own| own.as_str() == handle) {
            Ok(record)
        } else {
            Err(corrupt(format!(
                "the record of {id} disagrees with its handles"
            )))
        }
    }

    fn corrupt(&self, what: &str) -> Error {
        corrupt(format!("the record of {} {what}", self.columns.id))
    }
}

/// The page of `size` records that begins `rows`.
pub(super) fn page(mut rows: Vec<Row>, size: usize) -> Result<Page, Error> {
    let more = rows.len() > size;
    rows.truncate(size);
    let records: Vec<_> = rows
        .into_iter()
        .map(Row::into_record)
        .collect::<Result<_, _>>()?;
    let next = records.last().filter(|_| more).map(|last| last.id);
    Ok(Page { records, next })
}

row! {
    /// A change and the number of the newest one; without the change if there is none to read.
    pub(super) struct LogRow {
        newest: i64,
        revision: Option<i64>,
        subject: Option<String>,
        stamp: Option<i64>,
    }
}

/// The first `limit` of the changes in `rows`, if they follow `since` without a gap.
pub(super) fn change_log(
    rows: &[LogRow],
    since: Revision,
    limit: usize,
) -> Result<ChangeLog, Error> {
    let first = rows.first().ok_or_else(|| corrupt("the counter is gone"))?;
    let newest = revision(first.newest)?;
    let mut changes = Vec::new();
    for row in rows {
        let (Some(number), Some(text)) = (row.revision, &row.subject) else {
            break;
        };
        changes.push(Change {
            revision: revision(number)?,
            subject: subject(number, text)?,
            stamp: row.stamp.unwrap_or_default().cast_unsigned(),
        });
    }
    let follows = match changes.first() {
        Some(change) => change.revision == since.next(),
        None => since == newest,
    };
    if !follows {
        return Ok(ChangeLog::OutOfReach(newest));
    }
    changes.truncate(limit);
    Ok(ChangeLog::Changes(changes))
}

fn subject(number: i64, text: &str) -> Result<Subject, Error> {
    text.parse().map_err(|error| {
        corrupt(format!(
            "the change log names something unknown at revision {number}"
        ))
        .with_source(error)
    })
}

pub(super) fn revision(number: i64) -> Result<Revision, Error> {
    u64::try_from(number)
        .map(Revision::new)
        .map_err(|error| corrupt("a revision is negative").with_source(error))
}

pub(super) fn number(revision: Revision) -> i64 {
    i64::try_from(revision.as_u64()).unwrap_or(i64::MAX)
}

/// The record as it is stored: as the write with this revision.
pub(super) fn json_of(record: &KeyRecord, revision: Revision) -> Result<String, Error> {
    let mut record = record.clone();
    record.revision = revision;
    to_json("record", &record)
}

/// What comes after every text that begins with `prefix`, such as `owner:`, in the order of bytes.
pub(super) fn end_of(prefix: &str) -> String {
    format!("{};", prefix.trim_end_matches(':'))
}

/// Each handle once: imported keys of one owner may begin alike.
pub(super) fn handles_of(record: &KeyRecord) -> BTreeSet<&str> {
    handles(record).map(Handle::as_str).collect()
}

/// The servers that the record names.
pub(super) fn servers_of(record: &KeyRecord) -> Vec<&str> {
    match &record.servers {
        Servers::All => Vec::new(),
        Servers::Only(names) => names.iter().map(AsRef::as_ref).collect(),
    }
}

pub(super) fn to_json<T: serde::Serialize>(
    field: &'static str,
    value: &T,
) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| {
        Error::invalid(field, "cannot be stored").with_source(Unreadable::from(&error))
    })
}

pub(super) fn corrupt(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Corrupt, message)
}

/// Where JSON could not be understood. serde_json's own error quotes the text at fault, which may
/// be a hash.
#[derive(Debug)]
struct Unreadable {
    category: Category,
    line: usize,
    column: usize,
}

impl From<&serde_json::Error> for Unreadable {
    fn from(error: &serde_json::Error) -> Self {
        Self {
            category: error.classify(),
            line: error.line(),
            column: error.column(),
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.category {
            Category::Syntax => "not JSON",
            Category::Eof => "cut off",
            Category::Data => "not what a record holds",
            Category::Io => "not readable",
        };
        write!(f, "{what}, at line {} column {}", self.line, self.column)
    }
}

impl std::error::Error for Unreadable {}
