//! Messages that were given up.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Timestamp;
use crate::error::Error;

/// Where messages of webhooks are kept that were given up.
///
/// The stores of this crate are such ledgers. What is kept is no act of anybody, and there may be a lot
/// of it while a receiver is away. So it takes no revision and stands in no trail.
///
/// # Contract
///
/// 1. [`DeadLetters::MOST`] of them are held, and [`DeadLetters::MOST_BYTES`] of them in all, but always
///    the last one. The oldest go first, and how many went is known.
/// 2. A letter that is held already is not kept a second time, so that a write whose answer got lost can
///    be repeated.
/// 3. What a call has returned is durable, and seen by all that share the ledger.
/// 4. A ledger that cannot answer says [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable).
///
/// The trait has no default bodies: a wrapper that forgets a method does not compile.
#[async_trait]
pub trait LetterLedger: fmt::Debug + Send + Sync + 'static {
    /// Keeps letters, all or none, in this order.
    async fn keep(&self, letters: &[DeadLetter]) -> Result<(), Error>;

    /// Reads at most so many letters, the last ones first.
    async fn letters(&self, most: usize) -> Result<DeadLetters, Error>;
}

/// A message of a webhook that was given up. It holds neither the URL nor the secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(
    clippy::exhaustive_structs,
    reason = "ledgers outside the crate build it"
)]
pub struct DeadLetter {
    /// Its own name: two webhooks may give up the same message.
    pub id: String,
    /// The message, as it was to be posted: the JSON of an [event](crate::event::Event).
    pub event: Value,
    /// How often it was tried.
    pub attempts: u32,
    /// Why the last attempt failed, or why there was none.
    pub reason: String,
    /// When it was given up.
    pub at: Timestamp,
}

/// What is read of a [`LetterLedger`].
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "ledgers outside the crate build it"
)]
pub struct DeadLetters {
    /// The letters, the last ones first.
    pub letters: Vec<DeadLetter>,
    /// How many are held.
    pub held: usize,
    /// How many had to go, because there were too many.
    pub dropped: u64,
}

impl DeadLetters {
    /// How many letters are held at most.
    pub const MOST: usize = 1_000;

    /// How many bytes their texts have at most.
    pub const MOST_BYTES: usize = 4 * 1_024 * 1_024;
}

/// The text that is kept of a letter, by whose length the bytes are counted.
pub(super) fn text_of(letter: &DeadLetter) -> Result<String, Error> {
    serde_json::to_string(letter)
        .map_err(|error| Error::invalid("letter", "cannot be stored").with_source(error))
}

macro_rules! forward_to_inner {
    ($($pointer:ty),+) => {$(
        #[async_trait]
        impl<T: LetterLedger + ?Sized> LetterLedger for $pointer {
            async fn keep(&self, letters: &[DeadLetter]) -> Result<(), Error> {
                (**self).keep(letters).await
            }

            async fn letters(&self, most: usize) -> Result<DeadLetters, Error> {
                (**self).letters(most).await
            }
        }
    )+};
}

forward_to_inner!(Box<T>, Arc<T>);
