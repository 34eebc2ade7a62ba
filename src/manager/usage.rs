//! What keys were used for.

use super::KeyManager;
use crate::error::{Error, ErrorKind};
use crate::key::{KeyId, OwnerId};
use crate::store::{KeyFilter, PageRequest};
use crate::usage::{LastUse, UsageOf, UsagePoint, UsageQuery, UsageRequest, UsageSink};

impl KeyManager {
    /// Whether usage is recorded: [`ApiKeysBuilder::usage`](crate::ApiKeysBuilder::usage).
    pub fn records_usage(&self) -> bool {
        self.office.records.usage.is_some()
    }

    /// Reads a series of usage, as far as it was written down: it is a few seconds behind. There is a
    /// point for each step and label with a request in it, by time and then by label.
    ///
    /// An admin is told of all requests, those without a genuine key included; a member of those of
    /// their own keys.
    ///
    /// # Errors
    ///
    /// `NotFound`, if there is no such key, or if usage is not recorded; `Unavailable`.
    pub async fn usage(&self, query: &UsageQuery) -> Result<Vec<UsagePoint>, Error> {
        let sink = self.sink()?;
        let of = self.of_whom(query).await?;
        if of == UsageOf::Keys(Vec::new()) || query.from > query.until {
            return Ok(Vec::new());
        }
        sink.read(&UsageRequest::new(of, query)).await
    }

    /// Reads when, from where and for what a key was last used; nothing if it was not, or if usage is
    /// not recorded.
    ///
    /// # Errors
    ///
    /// `NotFound`, if there is no such key; `Unavailable`.
    pub async fn last_use(&self, id: KeyId) -> Result<Option<LastUse>, Error> {
        self.record(id).await?;
        let Some(sink) = &self.office.records.usage else {
            return Ok(None);
        };
        let uses = sink.last_uses(&[id]).await?;
        Ok(uses.into_iter().map(|(_, last)| last).next())
    }

    fn sink(&self) -> Result<&dyn UsageSink, Error> {
        let sink = self.office.records.usage.as_deref();
        sink.ok_or_else(|| Error::new(ErrorKind::NotFound, "usage is not recorded"))
    }

    /// Whose usage a question is about, of those whose business it is to whoever asks.
    async fn of_whom(&self, query: &UsageQuery) -> Result<UsageOf, Error> {
        let confined = self.principal.confined_to();
        let owner = match (confined, &query.owner) {
            (Some(own), Some(asked)) if own != asked => return Ok(UsageOf::Keys(Vec::new())),
            (Some(own), _) => Some(own),
            (None, asked) => asked.as_ref(),
        };
        match (query.key, owner) {
            (Some(id), owner) => {
                let record = self.record(id).await?;
                let is_asked = owner.is_none() || record.owner.as_ref() == owner;
                Ok(UsageOf::Keys(Vec::from_iter(is_asked.then_some(id))))
            }
            (None, Some(owner)) => self.keys_of(owner).await.map(UsageOf::Keys),
            (None, None) => Ok(UsageOf::All),
        }
    }

    pub(super) async fn keys_of(&self, owner: &OwnerId) -> Result<Vec<KeyId>, Error> {
        let mut filter = KeyFilter::all();
        filter.owner = Some(owner.clone());
        let mut keys = Vec::new();
        let mut page = PageRequest::first(PAGE);
        loop {
            let read = self.office.store.list(&filter, page).await?;
            keys.extend(read.records.iter().map(|record| record.id));
            match read.next {
                None => return Ok(keys),
                Some(last) => page = PageRequest::first(PAGE).after(last),
            }
        }
    }
}

/// How many keys of an owner are read at once.
const PAGE: usize = 1_000;
