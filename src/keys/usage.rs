//! Usage: recording it, and how that fares.

use std::sync::Arc;
use std::time::Duration;

use super::{ApiKeys, ApiKeysBuilder};
use crate::usage::{UsageObserver, UsageRetention, UsageSink, UsageStats};

impl ApiKeys {
    /// What recording usage has come to in this process; nothing if it is not recorded.
    pub fn usage_stats(&self) -> Option<UsageStats> {
        self.shared.usage.as_ref().map(|usage| usage.stats())
    }
}

impl ApiKeysBuilder {
    /// Records what each key does, in `sink`: the stores of this crate are sinks. Default: not recorded.
    ///
    /// [`KeyManager::usage`](crate::KeyManager::usage) reads it. [`ApiKeys::flush`] writes down what is not yet.
    pub fn usage(mut self, sink: impl UsageSink) -> Self {
        self.usage = Some(Arc::new(sink));
        self
    }

    /// Sets how long usage is kept. Default: 30 days by the hour, 400 days by the day.
    pub fn usage_retention(mut self, kept: UsageRetention) -> Self {
        self.keeping.retention = kept;
        self
    }

    /// Sets how often usage is written down, which is how much of it a crash may lose. Default: every
    /// 5 seconds.
    pub fn usage_interval(mut self, interval: Duration) -> Self {
        self.keeping.write_every = interval;
        self
    }

    /// Sets how many different rows of usage may wait while the sink does not answer; about 500 bytes
    /// each. Default: 50,000. Requests that would need more are left out and counted:
    /// [`ApiKeys::usage_stats`].
    pub fn usage_rows(mut self, rows: usize) -> Self {
        self.keeping.rows = rows;
        self
    }

    /// Tells `observer` about once a second what is noted. It needs [`usage`](Self::usage).
    pub fn observe_usage(mut self, observer: impl UsageObserver) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }
}
