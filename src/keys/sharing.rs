//! What this process shares with others: limits, quotas, and what any of them changes.

use std::sync::Arc;
use std::time::Duration;

use super::ApiKeysBuilder;
use crate::limit::SharedLimits;
use crate::store::{ChangeBell, QuotaLedger};

impl ApiKeysBuilder {
    /// Counts the rate limits of keys together with other processes: give a limiter, or
    /// [`SharedLimits`] to say what happens while that does not answer. Default: each process counts
    /// for itself.
    ///
    /// A request waits for one answer then, unless it takes nothing or is known to be over its limit.
    pub fn shared_limits(mut self, limits: impl Into<SharedLimits>) -> Self {
        self.shared_limits = Some(limits.into());
        self
    }

    /// Notes elsewhere than in the store what keys have taken of their quotas. Default: in the store.
    /// Everything that reads or charges these quotas has to be given the same ledger.
    pub fn quota_ledger(mut self, ledger: impl QuotaLedger) -> Self {
        self.ledger = Some(Arc::new(ledger));
        self
    }

    /// Sets how often to look for changes that others made. Default: every 2 seconds.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.timing.poll_every = interval;
        self
    }

    /// Reads what others changed whenever `bell` rings, too. What the store itself has is heard in any
    /// case; this is for a store without a bell, or one whose bell cannot be heard from here.
    pub fn change_bell(mut self, bell: impl ChangeBell) -> Self {
        self.bells.push(Box::new(bell));
        self
    }

    /// Sets how long remembered keys are honoured while the store does not answer. Default: 60
    /// seconds. Zero means no longer than it takes to notice: two polling intervals and their
    /// time-outs.
    pub fn max_stale(mut self, duration: Duration) -> Self {
        self.timing.max_stale = duration;
        self
    }
}
