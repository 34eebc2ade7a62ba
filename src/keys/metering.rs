//! Metrics: gathering once a second what is counted elsewhere.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::ApiKeysBuilder;
use crate::gate::Shared;
use crate::meter::{Meter, Readings};
use crate::watch::Watch;

/// How often counters are read.
const EVERY: Duration = Duration::from_secs(1);

impl ApiKeysBuilder {
    /// Shows what happens as metrics of the `metrics` facade, through the recorder that is installed
    /// when [`build`](Self::build) is called. There are at most 64 series; `mcp_api_keys_requests_total`
    /// and its like are counted where [`usage`](Self::usage) is recorded. Default: not shown.
    pub fn metrics(mut self) -> Self {
        self.has_metrics = true;
        self
    }
}

/// Where counters stand that are read from time to time.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) meter: Arc<Meter>,
    pub(super) shared: Weak<Shared>,
    pub(super) watch: Option<Weak<Watch>>,
    #[cfg(feature = "webhooks")]
    pub(super) couriers: Vec<Arc<crate::webhook::Courier>>,
}

impl Sources {
    /// Reads them until the keys are dropped.
    pub(super) async fn keep_reading(self) {
        loop {
            let Some(shared) = self.shared.upgrade() else {
                return;
            };
            let ticks = shared.clock.now().ticks;
            let watch = self.watch.as_ref().and_then(Weak::upgrade);
            let readings = Readings {
                verify: shared.verifier.stats(),
                usage: shared
                    .usage
                    .as_ref()
                    .map(|usage| usage.stats())
                    .unwrap_or_default(),
                change_log_age: shared.verifier.live().age(ticks),
                is_limiter_failing: shared
                    .shared_limits
                    .as_ref()
                    .is_some_and(|limits| limits.is_failing()),
                alerts: watch
                    .as_ref()
                    .map(|watch| watch.raised())
                    .unwrap_or_default(),
                open_alerts: watch.as_ref().map(|watch| watch.open()).unwrap_or_default(),
                webhooks: self.webhooks(),
            };
            drop((shared, watch));
            self.meter.set(&readings);
            tokio::time::sleep(EVERY).await;
        }
    }

    #[cfg(feature = "webhooks")]
    fn webhooks(&self) -> [u64; 3] {
        self.couriers.iter().fold([0; 3], |sum, courier| {
            let (one, [delivered, failed, dead]) = (courier.stats(), sum);
            [
                delivered + one.delivered,
                failed + one.failed,
                dead + one.dead,
            ]
        })
    }

    #[cfg(not(feature = "webhooks"))]
    #[expect(clippy::unused_self, reason = "there are none to ask")]
    fn webhooks(&self) -> [u64; 3] {
        [0; 3]
    }
}
