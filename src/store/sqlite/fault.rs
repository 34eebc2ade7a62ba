//! What SQLite's errors mean.

use crate::error::{Error, ErrorKind};

/// What an error of the handle table means.
pub(super) fn handle_taken(error: sqlx::Error) -> Error {
    let taken = error
        .as_database_error()
        .is_some_and(|error| error.is_unique_violation());
    if taken {
        Error::new(
            ErrorKind::Conflict,
            "one of the handles belongs to another key",
        )
        .with_source(error)
    } else {
        failed(error)
    }
}

/// What an error of the database means. SQLite's messages name tables and columns, never values.
pub(super) fn failed(error: sqlx::Error) -> Error {
    let (kind, message) = match &error {
        sqlx::Error::Database(database) if is_lasting(database.code().as_deref()) => (
            ErrorKind::Corrupt,
            "the key database is damaged or not of this crate",
        ),
        sqlx::Error::RowNotFound
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Decode(_)
        | sqlx::Error::TypeNotFound { .. } => (
            ErrorKind::Corrupt,
            "the key database holds something else than expected",
        ),
        _ => (ErrorKind::Unavailable, "the key database did not answer"),
    };
    Error::new(kind, message).with_source(error)
}

/// Whether repeating the call cannot help: `SQLITE_ERROR` (a table or column is missing),
/// `SQLITE_CORRUPT`, `SQLITE_CONSTRAINT`, `SQLITE_MISMATCH` and `SQLITE_NOTADB`.
fn is_lasting(code: Option<&str>) -> bool {
    // The low byte is the kind, the others are details.
    let kind = code
        .and_then(|code| code.parse::<u32>().ok())
        .map(|code| code & 0xff);
    matches!(kind, Some(1 | 11 | 19 | 20 | 26))
}
