//! Messages that were given up, in memory.

use std::collections::VecDeque;

use async_trait::async_trait;

use super::MemoryStore;
use crate::error::Error;
use crate::store::letters::text_of;
use crate::store::{DeadLetter, DeadLetters, LetterLedger};

#[derive(Default)]
pub(super) struct Letters {
    /// Each with the length of its text, the last ones at the end.
    held: VecDeque<(DeadLetter, usize)>,
    bytes: usize,
    dropped: u64,
}

impl Letters {
    fn keep(&mut self, letter: DeadLetter, bytes: usize) {
        self.held.push_back((letter, bytes));
        self.bytes += bytes;
        while self.held.len() > 1
            && (self.held.len() > DeadLetters::MOST || self.bytes > DeadLetters::MOST_BYTES)
        {
            let oldest = self.held.pop_front();
            self.bytes -= oldest.map_or(0, |(_, bytes)| bytes);
            self.dropped += 1;
        }
    }
}

#[async_trait]
impl LetterLedger for MemoryStore {
    async fn keep(&self, letters: &[DeadLetter]) -> Result<(), Error> {
        let texts = letters.iter().map(text_of).collect::<Result<Vec<_>, _>>()?;
        let held = &mut self.state().letters;
        for (letter, text) in letters.iter().zip(texts) {
            if held.held.iter().all(|(known, _)| known.id != letter.id) {
                held.keep(letter.clone(), text.len());
            }
        }
        Ok(())
    }

    async fn letters(&self, most: usize) -> Result<DeadLetters, Error> {
        let held = &self.state().letters;
        let latest = held.held.iter().rev().take(most);
        Ok(DeadLetters {
            letters: latest.map(|(letter, _)| letter.clone()).collect(),
            held: held.held.len(),
            dropped: held.dropped,
        })
    }
}
