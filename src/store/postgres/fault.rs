//! What PostgreSQL's errors mean, and what of them may be told.

use std::fmt;

use sqlx::postgres::PgDatabaseError;

use crate::error::{Error, ErrorKind};

/// What an error of the database means.
pub(super) fn failed(error: sqlx::Error) -> Error {
    match &error {
        sqlx::Error::Database(database) => {
            let cause = Cause::of(&**database);
            told(&cause.code, cause.constraint.as_deref()).with_source(cause)
        }
        sqlx::Error::RowNotFound
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Decode(_)
        | sqlx::Error::TypeNotFound { .. } => Error::new(
            ErrorKind::Corrupt,
            "the key database holds something else than expected",
        )
        .with_source(error),
        sqlx::Error::Encode(_) => {
            Error::invalid("record", "cannot be stored in PostgreSQL").with_source(error)
        }
        sqlx::Error::PoolTimedOut => {
            unavailable("no connection to the key database was free, or could be opened, in time")
                .with_source(error)
        }
        _ => unavailable("the key database did not answer").with_source(error),
    }
}

/// What a code of PostgreSQL's ("SQLSTATE") means here.
fn told(code: &str, constraint: Option<&str>) -> Error {
    match (code, constraint) {
        ("23505", Some("api_key_handles_pkey")) => Error::new(
            ErrorKind::Conflict,
            "one of the handles belongs to another key",
        ),
        ("23505", _) => Error::new(ErrorKind::Conflict, "somebody else was faster"),
        ("22021", _) => {
            Error::invalid("text", "must not hold a NUL, which PostgreSQL cannot store")
        }
        ("25006", _) => unavailable(
            "the key database is read-only: a replica, or a primary that has become one",
        ),
        ("42501", _) => unavailable("the database user lacks a privilege on the store's tables"),
        ("53300", _) => unavailable("the key database has no connection left for this program"),
        ("55P03" | "57014", _) => unavailable("the key database took too long"),
        ("57P01" | "57P02" | "57P03", _) => {
            unavailable("the key database is shutting down or starting up")
        }
        ("40001" | "40P01", _) => unavailable("the key database asks for the call to be repeated"),
        ("26000" | "42P05", _) => unavailable(
            "statements do not stay on one connection: a pooler in transaction mode has to keep track of \
             prepared statements (PgBouncer 1.21 or newer, with max_prepared_statements)",
        ),
        // What breaks a rule of the tables, what they lack, and what PostgreSQL itself calls damage.
        (code, _)
            if ["22", "23", "42", "XX"]
                .iter()
                .any(|class| code.starts_with(class)) =>
        {
            Error::new(
                ErrorKind::Corrupt,
                "the key database is damaged or not of this crate",
            )
        }
        _ => unavailable("the key database did not answer"),
    }
}

/// What keeps a store from being opened: what the address says is named, rather than "no answer".
pub(super) fn not_opened(error: sqlx::Error) -> Error {
    let code = error.as_database_error().and_then(|error| error.code());
    let what = match code.as_deref() {
        Some("28000" | "28P01") => "names a user or a password that the server refuses",
        Some("3D000") => "names a database that does not exist",
        Some("3F000") => "names a schema that does not exist",
        _ => return failed(error),
    };
    Error::invalid("url", what).with_source(Cause::from(error))
}

/// Whether the same call may succeed at once: another one was in the way.
pub(super) fn may_be_repeated(error: &sqlx::Error) -> bool {
    // A deadlock, a conflict of serializable transactions, and a key deleted by another at that moment.
    has_code(error, &["40001", "40P01", "23503"])
}

/// Whether the connection is no good for writing: there may be another server behind the address now.
pub(super) fn is_of_a_replica(error: &sqlx::Error) -> bool {
    has_code(error, &["25006"])
}

fn has_code(error: &sqlx::Error, codes: &[&str]) -> bool {
    error
        .as_database_error()
        .and_then(|error| error.code())
        .is_some_and(|code| codes.contains(&&*code))
}

fn unavailable(message: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, message)
}

/// What is read of a server that follows another may be out of date by any time.
pub(super) fn replica() -> Error {
    unavailable("the key database is a replica, which may be behind by any time")
}

/// A call that was given up.
pub(super) fn late() -> Error {
    unavailable("the key database did not answer in time")
}

/// An error as PostgreSQL tells it, without the detail, which may quote a row and with it a hash.
#[derive(Debug)]
struct Cause {
    code: String,
    message: String,
    constraint: Option<String>,
}

impl Cause {
    fn of(error: &dyn sqlx::error::DatabaseError) -> Self {
        Self {
            code: error.code().unwrap_or_default().into_owned(),
            message: error.message().to_owned(),
            constraint: error
                .try_downcast_ref::<PgDatabaseError>()
                .and_then(PgDatabaseError::constraint)
                .map(str::to_owned),
        }
    }
}

impl From<sqlx::Error> for Cause {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error() {
            Some(database) => Self::of(database),
            None => Self {
                code: String::new(),
                message: error.to_string(),
                constraint: None,
            },
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for Cause {}
