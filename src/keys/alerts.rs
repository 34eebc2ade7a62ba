//! Events and alerts: listening to them, and setting them up.

use std::sync::Arc;

use super::{ApiKeys, ApiKeysBuilder};
use crate::alert::{AlertLedger, AlertSettings};
use crate::clock::Clock;
use crate::error::Error;
use crate::event::{EventStream, Events};
use crate::live::Live;
use crate::store::{KeyStore, LetterLedger, QuotaLedger};
use crate::watch::Watch;

impl ApiKeys {
    /// Listens to what happens to keys from now on, in this process: what its managers do, what
    /// requests meet with, what looks wrong.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use mcp_api_keys::event::Heard;
    /// use mcp_api_keys::{ApiKeys, NewKey, store::MemoryStore};
    ///
    /// let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
    /// let mut events = keys.events();
    /// let issued = keys.manager().issue(NewKey::named("ci-bot")).await?;
    ///
    /// let Some(Heard::Event(event)) = events.next().await else { panic!() };
    /// assert_eq!(event.data.kind(), "key.created");
    /// assert_eq!(event.data.key(), Some(issued.info().id));
    /// # Ok(())
    /// # }
    /// ```
    pub fn events(&self) -> EventStream {
        self.events.listen()
    }

    /// How many alerts this process knows to be open; nothing if it does not watch.
    /// [`KeyManager::alerts`](crate::KeyManager::alerts) reads them.
    pub fn open_alerts(&self) -> Option<usize> {
        self.watch.as_ref().map(|watch| watch.open())
    }
}

impl ApiKeysBuilder {
    /// Sets how many events are held for a listener that is slow. Default: 1,024.
    pub fn event_capacity(mut self, events: usize) -> Self {
        self.event_capacity = events;
        self
    }

    /// Keeps alerts in `ledger`, where [`KeyManager::alerts`](crate::KeyManager::alerts) reads them:
    /// the stores of this crate are ledgers. Default: not kept.
    pub fn alert_ledger(mut self, ledger: impl AlertLedger) -> Self {
        self.ledger_of_alerts = Some(Arc::new(ledger));
        self
    }

    /// Keeps in `ledger` the messages of webhooks that were given up, where
    /// [`KeyManager::dead_letters`](crate::KeyManager::dead_letters) reads them: the stores of this crate
    /// are such ledgers, and all processes that share one read the same list. Default: kept by this
    /// process alone, until it ends.
    pub fn letter_ledger(mut self, ledger: impl LetterLedger) -> Self {
        self.letters = Arc::new(ledger);
        self
    }

    /// Watches keys and raises alerts about them, as [events](ApiKeys::events) and in the log under the
    /// target `mcp_api_keys::alert`. It needs [`usage`](Self::usage) and
    /// [`alert_ledger`](Self::alert_ledger). Default: not watched.
    pub fn alerts(mut self, settings: AlertSettings) -> Self {
        self.alerts = Some(settings);
        self
    }
}

/// What watching needs.
#[derive(Debug)]
pub(super) struct Watching {
    pub(super) settings: Option<AlertSettings>,
    pub(super) ledger: Option<Arc<dyn AlertLedger>>,
    pub(super) store: Arc<dyn KeyStore>,
    pub(super) quotas: Arc<dyn QuotaLedger>,
    pub(super) events: Events,
    pub(super) clock: Arc<dyn Clock>,
}

impl Watching {
    /// Starts to watch, if that is wanted.
    pub(super) async fn start(
        self,
        live: &Arc<Live>,
        has_usage: bool,
    ) -> Result<Option<Arc<Watch>>, Error> {
        let Some(settings) = self.settings else {
            return Ok(None);
        };
        let Some(ledger) = self.ledger.filter(|_| has_usage) else {
            let needs = "need usage that is recorded, and a ledger to be kept in";
            return Err(Error::invalid("alerts", needs));
        };
        let (store, quotas) = (self.store, self.quotas);
        let watch = Watch::new(
            settings,
            ledger,
            store,
            quotas,
            live,
            self.events,
            self.clock,
        );
        watch.remember().await?;
        tokio::spawn(Watch::keep_watching(Arc::downgrade(&watch)));
        Ok(Some(watch))
    }
}
