//! Webhooks: setting them up, and how they fare.

use std::sync::Arc;

use super::{ApiKeys, ApiKeysBuilder};
use crate::clock::Clock;
use crate::error::Error;
use crate::event::Events;
use crate::store::LetterLedger;
use crate::webhook::{Courier, Webhook, WebhookStats};

impl ApiKeysBuilder {
    /// Posts [events](ApiKeys::events) to a URL. May be called several times; each webhook has a queue
    /// of its own. Default: none.
    pub fn webhook(mut self, webhook: Webhook) -> Self {
        self.webhooks.push(webhook);
        self
    }
}

impl ApiKeys {
    /// How each webhook fares, in the order in which they were set up.
    pub fn webhook_stats(&self) -> Vec<WebhookStats> {
        let couriers = self.couriers.iter();
        couriers.map(|courier| courier.stats()).collect()
    }

    /// Puts the messages that were given up into the ledger.
    pub(super) async fn file_letters(&self) -> Result<(), Error> {
        for courier in &self.couriers {
            courier.file().await?;
        }
        Ok(())
    }
}

/// Starts a courier for each.
pub(super) fn start(
    webhooks: Vec<Webhook>,
    events: &Events,
    ledger: &Arc<dyn LetterLedger>,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<Arc<Courier>>, Error> {
    let start = |webhook| {
        let (ledger, clock) = (Arc::clone(ledger), Arc::clone(clock));
        Courier::start(webhook, events.listen(), ledger, clock)
    };
    webhooks.into_iter().map(start).collect()
}
