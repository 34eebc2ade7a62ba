//! Webhooks: setting them up, and how they fare.

use std::sync::Arc;

use super::{ApiKeys, ApiKeysBuilder};
use crate::clock::Clock;
use crate::error::Error;
use crate::event::Events;
use crate::webhook::{Courier, DeadLetter, Webhook, WebhookStats};

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

/// Starts a courier for each.
pub(super) fn start(
    webhooks: Vec<Webhook>,
    events: &Events,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<Arc<Courier>>, Error> {
    let start = |webhook| Courier::start(webhook, events.listen(), Arc::clone(clock));
    webhooks.into_iter().map(start).collect()
}
