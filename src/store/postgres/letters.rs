//! Messages that were given up. They take no revision and stand in no trail, and nobody waits for the
//! counter.

use async_trait::async_trait;
use sqlx::{query, query_as};

use super::PostgresStore;
use super::fault::failed;
use super::lease::bounded;
use crate::error::Error;
use crate::store::rows::{LetterRow, letters_json, listed};
use crate::store::{DeadLetter, DeadLetters, LetterLedger};

/// Who numbers letters waits for whoever does it already. Reading goes on.
const LOCK: &str = "LOCK TABLE api_key_letters IN SHARE ROW EXCLUSIVE MODE";

#[async_trait]
impl LetterLedger for PostgresStore {
    async fn keep(&self, letters: &[DeadLetter]) -> Result<(), Error> {
        let rows = letters_json(letters)?;
        bounded(async {
            let mut lease = self.lease().await?;
            lease.begin().await?;
            let locked = query(LOCK).execute(lease.connection()?).await;
            lease.judge(locked)?;
            let kept = query(
                "INSERT INTO api_key_letters (number, id, bytes, body)
                 SELECT (SELECT coalesce(max(number), 0) FROM api_key_letters)
                            + row_number() OVER (ORDER BY place),
                        r ->> 0, (r ->> 1)::BIGINT, r ->> 2
                 FROM jsonb_array_elements($1::TEXT::JSONB) WITH ORDINALITY AS e (r, place)
                 WHERE NOT EXISTS (SELECT 1 FROM api_key_letters l WHERE l.id = r ->> 0)",
            )
            .bind(rows)
            .execute(lease.connection()?)
            .await;
            lease.judge(kept)?;
            let dropped = query(
                "DELETE FROM api_key_letters WHERE number IN (
                     SELECT number FROM (
                         SELECT number, row_number() OVER latest AS place,
                                sum(bytes) OVER latest AS bytes
                         FROM api_key_letters WINDOW latest AS (ORDER BY number DESC)) AS l
                     WHERE place > $1 OR (bytes > $2 AND place > 1))",
            )
            .bind(i64::try_from(DeadLetters::MOST).unwrap_or(i64::MAX))
            .bind(i64::try_from(DeadLetters::MOST_BYTES).unwrap_or(i64::MAX))
            .execute(lease.connection()?)
            .await;
            lease.judge(dropped)?;
            lease.commit().await
        })
        .await
    }

    async fn letters(&self, most: usize) -> Result<DeadLetters, Error> {
        bounded(async {
            let mut lease = self.lease().await?;
            let rows: Vec<LetterRow> = query_as(
                "SELECT id, body, (SELECT count(*) FROM api_key_letters) AS held,
                        (SELECT max(number) FROM api_key_letters) AS given
                 FROM api_key_letters ORDER BY number DESC LIMIT $1",
            )
            .bind(i64::try_from(most.max(1)).unwrap_or(i64::MAX))
            .fetch_all(lease.connection()?)
            .await
            .map_err(failed)?;
            listed(rows, most)
        })
        .await
    }
}
