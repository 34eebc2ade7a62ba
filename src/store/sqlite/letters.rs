//! Messages that were given up. They take no revision and stand in no trail.

use async_trait::async_trait;
use sqlx::{query, query_as};

use super::fault::failed;
use super::{SqliteStore, write};
use crate::error::Error;
use crate::store::rows::{LetterRow, letters_json, listed};
use crate::store::{DeadLetter, DeadLetters, LetterLedger};

#[async_trait]
impl LetterLedger for SqliteStore {
    async fn keep(&self, letters: &[DeadLetter]) -> Result<(), Error> {
        let rows = letters_json(letters)?;
        let _turn = write::turn(self).await?;
        let begun = self.pool.begin_with("BEGIN IMMEDIATE").await;
        let mut transaction = begun.map_err(failed)?;
        query(
            "INSERT INTO api_key_letters (number, id, bytes, body)
             SELECT (SELECT coalesce(max(number), 0) FROM api_key_letters)
                        + row_number() OVER (ORDER BY key),
                    value ->> 0, value ->> 1, value ->> 2
             FROM json_each(?1)
             WHERE NOT EXISTS (SELECT 1 FROM api_key_letters l WHERE l.id = value ->> 0)",
        )
        .bind(rows)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        query(
            "DELETE FROM api_key_letters WHERE number IN (
                 SELECT number FROM (
                     SELECT number, row_number() OVER latest AS place, sum(bytes) OVER latest AS bytes
                     FROM api_key_letters WINDOW latest AS (ORDER BY number DESC))
                 WHERE place > ?1 OR (bytes > ?2 AND place > 1))",
        )
        .bind(i64::try_from(DeadLetters::MOST).unwrap_or(i64::MAX))
        .bind(i64::try_from(DeadLetters::MOST_BYTES).unwrap_or(i64::MAX))
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    async fn letters(&self, most: usize) -> Result<DeadLetters, Error> {
        let rows: Vec<LetterRow> = query_as(
            "SELECT id, body, (SELECT count(*) FROM api_key_letters) AS held,
                    (SELECT max(number) FROM api_key_letters) AS given
             FROM api_key_letters ORDER BY number DESC LIMIT ?1",
        )
        .bind(i64::try_from(most.max(1)).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await
        .map_err(failed)?;
        listed(rows, most)
    }
}
