//! Messages that were given up, as rows. They are numbered without gaps, so that the last number tells
//! how many there have been.

use serde_json::Value;

use super::{Unreadable, corrupt, row, to_json};
use crate::error::Error;
use crate::store::letters::text_of;
use crate::store::{DeadLetter, DeadLetters};

row! {
    /// A row of `api_key_letters`, with how many rows there are and the last number.
    pub(in crate::store) struct LetterRow {
        id: String,
        body: String,
        held: i64,
        given: i64,
    }
}

/// Letters as a list of lists: name, length of the text, text.
pub(in crate::store) fn letters_json(letters: &[DeadLetter]) -> Result<String, Error> {
    let row = |letter: &DeadLetter| {
        let text = text_of(letter)?;
        let row: Vec<Value> = vec![letter.id.as_str().into(), text.len().into(), text.into()];
        Ok(Value::from(row))
    };
    let rows: Vec<Value> = letters.iter().map(row).collect::<Result<_, Error>>()?;
    to_json("letters", &rows)
}

/// What the rows say, of which there is one if anything is held, whatever was asked for.
pub(in crate::store) fn listed(rows: Vec<LetterRow>, most: usize) -> Result<DeadLetters, Error> {
    let (held, given) = rows.first().map_or((0, 0), |row| (row.held, row.given));
    let letters = rows.into_iter().take(most).map(|row| {
        serde_json::from_str(&row.body).map_err(|error| {
            corrupt(format!("the dead letter {:?} cannot be read", row.id))
                .with_source(Unreadable::from(&error))
        })
    });
    Ok(DeadLetters {
        letters: letters.collect::<Result<_, Error>>()?,
        held: usize::try_from(held).unwrap_or_default(),
        dropped: u64::try_from(given - held).unwrap_or_default(),
    })
}
