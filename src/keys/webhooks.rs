//! Webhooks: setting them up, and how they fare.

use super::{ApiKeys, ApiKeysBuilder};
use crate::webhook::{DeadLetter, Webhook, WebhookStats};

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

    /// The messages that were given up, the last thousand of each webhook, one webhook after the other.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        let couriers = self.couriers.iter();
        couriers
            .flat_map(|courier| courier.dead_letters())
            .collect()
    }
}
