//! How keys are written, and how it is proven that a text is one.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::ApiKeysBuilder;
use crate::key::{KeyFormat, KeyFormats};
use crate::verify::{Argon2Params, Pepper};

impl ApiKeysBuilder {
    /// Writes new keys in `format`, and accepts keys of it. Default: `mcp_sk_` with a checksum.
    pub fn format(mut self, format: KeyFormat) -> Self {
        let mut formats = KeyFormats::new(format);
        for accepted in self.formats.iter().skip(1) {
            formats = formats.accept(accepted.clone());
        }
        self.formats = formats;
        self
    }

    /// Accepts keys of another format too.
    pub fn accept_format(mut self, format: KeyFormat) -> Self {
        self.formats = self.formats.accept(format);
        self
    }

    /// Sets the pepper. Default: none.
    pub fn pepper(mut self, pepper: Pepper) -> Self {
        self.pepper = Some(pepper);
        self
    }

    /// Keeps a pepper that was current before, for keys not seen since.
    pub fn previous_pepper(mut self, pepper: Pepper) -> Self {
        self.previous_peppers.push(pepper);
        self
    }

    /// Sets how hard the slow hash of new keys is. Default: 19,456 KiB, 2 passes, 1 lane.
    pub fn argon2(mut self, params: Argon2Params) -> Self {
        self.argon2 = params;
        self
    }

    /// Sets how many slow hashes may run at once. Default: half the cores, at least one.
    pub fn hash_permits(mut self, permits: NonZeroUsize) -> Self {
        self.hash_permits = permits;
        self
    }

    /// Sets how many more slow hashes may wait. Default: 256.
    pub fn hash_queue(mut self, length: usize) -> Self {
        self.hash_queue = length;
        self
    }

    /// Sets how long a verification may wait for its turn, or for the store. Default: 2 seconds.
    pub fn verify_deadline(mut self, deadline: Duration) -> Self {
        self.hash_deadline = deadline;
        self
    }

    /// Sets how many proven keys are remembered. Default: 100,000.
    pub fn cached_keys(mut self, count: u64) -> Self {
        self.cached_keys = count;
        self
    }

    /// Sets of how many proven keys each thread keeps the proof at hand, beside the cache that all
    /// threads share: about 200 bytes each. It makes their requests a good deal cheaper. Rounded up to a
    /// power of two; zero for none. Default: 16,384.
    pub fn keys_at_hand(mut self, count: usize) -> Self {
        self.keys_at_hand = count;
        self
    }
}
