//! Documents as rows.

use sqlx::{SqliteExecutor, query, query_as, query_scalar};

use super::SqliteStore;
use super::fault::failed;
use super::write::Write;
use crate::audit::Act;
use crate::error::Error;
use crate::key::{Revision, Subject, SubjectKind};
use crate::store::rows::{self, DocumentRow, to_json};
use crate::store::{Document, DocumentPage, document_changed, in_use, no_document};

pub(super) async fn read(
    store: &SqliteStore,
    subject: &Subject,
) -> Result<Option<Document>, Error> {
    let row: Option<DocumentRow> =
        query_as("SELECT subject, revision, body FROM api_key_documents WHERE subject = ?1")
            .bind(subject.to_string())
            .fetch_optional(&store.pool)
            .await
            .map_err(failed)?;
    row.map(DocumentRow::into_document).transpose()
}

pub(super) async fn list(
    store: &SqliteStore,
    kind: SubjectKind,
    page: &DocumentPage,
) -> Result<Vec<Document>, Error> {
    let prefix = kind.prefix();
    if prefix.is_empty() {
        return Ok(Vec::new());
    }
    let after = page.after.as_deref().unwrap_or_default();
    let rows: Vec<DocumentRow> = query_as(
        "SELECT subject, revision, body FROM api_key_documents
         WHERE subject > ?1 AND subject < ?2
         ORDER BY subject
         LIMIT ?3",
    )
    .bind(format!("{prefix}{after}"))
    .bind(rows::end_of(prefix))
    .bind(i64::try_from(page.bounded_size()).unwrap_or(i64::MAX))
    .fetch_all(&store.pool)
    .await
    .map_err(failed)?;
    rows.into_iter().map(DocumentRow::into_document).collect()
}

pub(super) async fn put(
    store: &SqliteStore,
    document: &Document,
    act: &Act,
) -> Result<Revision, Error> {
    let mut write = Write::begin(store).await?;
    let subject = document.subject.to_string();
    expect(write.connection(), &subject, document.revision).await?;
    let revision = rows::number(write.revision());
    query(
        "INSERT INTO api_key_documents (subject, revision, body) VALUES (?1, ?2, ?3)
         ON CONFLICT (subject) DO UPDATE SET revision = ?2, body = ?3",
    )
    .bind(subject)
    .bind(revision)
    .bind(to_json("definition", &document.body)?)
    .execute(write.connection())
    .await
    .map_err(failed)?;
    write.commit(&document.subject, act).await
}

pub(super) async fn remove(
    store: &SqliteStore,
    subject: &Subject,
    expected: Revision,
    act: &Act,
) -> Result<Revision, Error> {
    let mut write = Write::begin(store).await?;
    let text = subject.to_string();
    if expected == Revision::default() {
        return Err(no_document());
    }
    expect(write.connection(), &text, expected).await?;
    if is_named(&mut write, subject).await? {
        return Err(in_use());
    }
    query("DELETE FROM api_key_documents WHERE subject = ?1")
        .bind(&text)
        .execute(write.connection())
        .await
        .map_err(failed)?;
    write.commit(subject, act).await
}

/// Whether a key that is not revoked names it.
async fn is_named(write: &mut Write<'_>, subject: &Subject) -> Result<bool, Error> {
    let (naming, name) = match subject {
        Subject::Owner(id) => (
            "SELECT EXISTS (SELECT 1 FROM api_keys WHERE owner = ?1 AND status <> 'revoked')",
            id.as_str(),
        ),
        Subject::Plan(name) => (
            "SELECT EXISTS (SELECT 1 FROM api_keys WHERE plan = ?1 AND status <> 'revoked')",
            name.as_str(),
        ),
        _ => return Ok(false),
    };
    query_scalar(naming)
        .bind(name)
        .fetch_one(write.connection())
        .await
        .map_err(failed)
}

async fn expect(
    connection: impl SqliteExecutor<'_>,
    subject: &str,
    expected: Revision,
) -> Result<(), Error> {
    let stored: Option<i64> =
        query_scalar("SELECT revision FROM api_key_documents WHERE subject = ?1")
            .bind(subject)
            .fetch_optional(connection)
            .await
            .map_err(failed)?;
    match stored.map(rows::revision).transpose()? {
        None if expected == Revision::default() => Ok(()),
        None => Err(no_document()),
        Some(revision) if revision == expected => Ok(()),
        Some(_) => Err(document_changed()),
    }
}
