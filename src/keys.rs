//! [`ApiKeys`]: store, cache and limits wired into a layer and a manager.

#[cfg(any(feature = "admin", feature = "oauth"))]
mod administered;
mod alerts;
#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
mod metering;
mod owners;
mod proving;
mod sharing;
mod usage;
#[cfg(feature = "webhooks")]
#[cfg_attr(docsrs, doc(cfg(feature = "webhooks")))]
mod webhooks;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use crate::alert::{AlertLedger, AlertSettings};
use crate::client_ip::ClientIp;
use crate::clock::{Clock, SystemClock};
use crate::error::Error;
use crate::event::Events;
use crate::framework;
use crate::gate::{Gate, MissingPeer, Shared};
use crate::key::{KeyFormats, RateLimit};
use crate::layer::ApiKeyLayer;
use crate::limit::{FailureLimiter, SharedLimits};
use crate::live::{Live, Timing};
use crate::manager::{KeyManager, OwnerPolicy, Records};
use crate::rejection::RejectionKind;
use crate::rights::{OwnerDirectory, Resolver};
use crate::store::{ChangeBell, KeyStore, LetterLedger, MemoryStore, QuotaLedger};
use crate::usage::{Keeping, Recorder, UsageObserver, UsageRetention, UsageSink};
use crate::verify::{Argon2Params, Pepper, Peppers, Settings, Verifier, VerifyStats};
use crate::watch::{Teller, Watch};

/// A set of keys in a store, and everything that works on it.
///
/// Make one per store and process and clone it; clones share caches and limits. While one is
/// alive, a background task follows the store's change log.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use mcp_api_keys::{ApiKeys, store::MemoryStore};
///
/// let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
/// let layer = keys.layer().server("files");
/// let manager = keys.manager();
/// # let _ = (layer, manager);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ApiKeys {
    shared: Arc<Shared>,
    manager: KeyManager,
    events: Events,
    watch: Option<Arc<Watch>>,
    #[cfg(feature = "webhooks")]
    couriers: Vec<Arc<crate::webhook::Courier>>,
}

impl ApiKeys {
    /// Starts to wire up the keys in `store`.
    pub fn builder(store: impl KeyStore) -> ApiKeysBuilder {
        ApiKeysBuilder::new(Arc::new(store))
    }

    /// A layer that admits requests with these keys.
    pub fn layer(&self) -> ApiKeyLayer {
        ApiKeyLayer::new(Gate::new(&self.shared))
    }

    /// Issues, changes and withdraws these keys.
    pub fn manager(&self) -> &KeyManager {
        &self.manager
    }

    /// What verifying keys has cost this process so far.
    pub fn stats(&self) -> VerifyStats {
        self.shared.verifier.stats()
    }

    /// Reads what others changed in the store now instead of at the next poll.
    ///
    /// # Errors
    ///
    /// `Unavailable`, if the store does not answer.
    pub async fn catch_up(&self) -> Result<(), Error> {
        self.shared.verifier.live().catch_up().await
    }

    /// Writes down when keys were last used and what for, and which messages of webhooks were given up,
    /// and gives back what this process holds of quotas. To be called when the process ends in order;
    /// otherwise all of it happens every few seconds or after a while without use.
    ///
    /// # Errors
    ///
    /// `Unavailable`, if the store does not answer. What could not be written is kept. Of the
    /// quotas, what was about to be given back is lost until their period ends.
    pub async fn flush(&self) -> Result<(), Error> {
        let uses = self.shared.verifier.live().flush(false).await;
        #[cfg(feature = "webhooks")]
        let uses = uses.and(self.file_letters().await);
        match &self.shared.usage {
            Some(usage) => uses.and(usage.flush().await),
            None => uses,
        }
    }
}

/// Sets up [`ApiKeys`]. Every setting has a default; `manual::defaults` gives the reasons.
#[derive(Debug)]
#[must_use]
pub struct ApiKeysBuilder {
    store: Arc<dyn KeyStore>,
    formats: KeyFormats,
    pepper: Option<Pepper>,
    previous_peppers: Vec<Pepper>,
    argon2: Argon2Params,
    hash_permits: NonZeroUsize,
    hash_queue: usize,
    hash_deadline: Duration,
    cached_keys: u64,
    keys_at_hand: usize,
    client_ip: ClientIp,
    failures: Option<RateLimit>,
    shared_limits: Option<SharedLimits>,
    ledger: Option<Arc<dyn QuotaLedger>>,
    timing: Timing,
    bells: Vec<Box<dyn ChangeBell>>,
    owners: Option<Arc<dyn OwnerDirectory>>,
    owner_policy: OwnerPolicy,
    usage: Option<Arc<dyn UsageSink>>,
    observers: Vec<Arc<dyn UsageObserver>>,
    keeping: Keeping,
    event_capacity: usize,
    ledger_of_alerts: Option<Arc<dyn AlertLedger>>,
    alerts: Option<AlertSettings>,
    letters: Arc<dyn LetterLedger>,
    #[cfg(feature = "metrics")]
    has_metrics: bool,
    #[cfg(feature = "webhooks")]
    webhooks: Vec<crate::webhook::Webhook>,
    clock: Arc<dyn Clock>,
}

/// How many rows may be read from the store at once to verify keys.
const LOOKUPS: usize = 64;

impl ApiKeysBuilder {
    fn new(store: Arc<dyn KeyStore>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            store,
            formats: KeyFormats::default(),
            pepper: None,
            previous_peppers: Vec::new(),
            argon2: Argon2Params::default(),
            hash_permits: NonZeroUsize::new(cores / 2).unwrap_or(NonZeroUsize::MIN),
            hash_queue: 256,
            hash_deadline: Duration::from_secs(2),
            cached_keys: 100_000,
            keys_at_hand: 16_384,
            client_ip: ClientIp::peer(),
            failures: Some(RateLimit::per_minute(100)),
            shared_limits: None,
            ledger: None,
            timing: Timing {
                poll_every: Duration::from_secs(2),
                poll_timeout: Duration::from_secs(1),
                max_stale: Duration::from_secs(60),
            },
            bells: Vec::new(),
            owners: None,
            owner_policy: OwnerPolicy::default(),
            usage: None,
            observers: Vec::new(),
            keeping: Keeping {
                retention: UsageRetention::default(),
                write_every: Duration::from_secs(5),
                rows: 50_000,
                reason: |number| {
                    let kind = RejectionKind::ALL.get(usize::from(number));
                    kind.map_or("denied", |kind| kind.as_str())
                },
            },
            event_capacity: 1_024,
            ledger_of_alerts: None,
            alerts: None,
            letters: Arc::new(MemoryStore::new()),
            #[cfg(feature = "metrics")]
            has_metrics: false,
            #[cfg(feature = "webhooks")]
            webhooks: Vec::new(),
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// Sets how the caller's address is found. Default: the connection's peer.
    pub fn client_ip(mut self, client_ip: ClientIp) -> Self {
        if client_ip.trusts_everyone() {
            tracing::warn!("every address is a trusted proxy: callers can choose their address");
        }
        self.client_ip = client_ip;
        self
    }

    /// Sets how often an address may fail with unproven keys before it is no longer heard;
    /// nothing for never. Default: 100 a minute.
    pub fn failure_limit(mut self, limit: Option<RateLimit>) -> Self {
        self.failures = limit;
        self
    }

    /// Sets the clock. Default: the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Connects everything and starts to follow the store's changes.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, if a setting makes no sense; `Unavailable`, if the store does not answer.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn build(self) -> Result<ApiKeys, Error> {
        let failures = match &self.failures {
            None => None,
            Some(limit) => match (limit.fault(), FailureLimiter::new(limit)) {
                (None, Some(limiter)) => Some(limiter),
                (fault, _) => {
                    return Err(Error::invalid(
                        "failure_limit",
                        fault.unwrap_or("is too small"),
                    ));
                }
            },
        };
        if self.keeping.write_every.is_zero() {
            return Err(Error::invalid("usage_interval", "must be longer than zero"));
        }
        if self.timing.poll_every.is_zero() {
            return Err(Error::invalid("poll_interval", "must be longer than zero"));
        }
        let peppers = Peppers::new(self.pepper, self.previous_peppers)?;
        let resolver = Resolver::new(
            Arc::clone(&self.store),
            self.owners,
            self.owner_policy.known_only,
        );
        let store_ledger = || Arc::clone(&self.store) as Arc<dyn QuotaLedger>;
        let quotas = self.ledger.unwrap_or_else(store_ledger);
        let live = Live::start(
            Arc::clone(&self.store),
            Arc::clone(&quotas),
            Arc::new(resolver),
            Arc::clone(&self.clock),
            self.timing,
        )
        .await?;
        let mut bells = self.bells;
        bells.extend(self.store.change_bell());
        tokio::spawn(Live::follow(Arc::downgrade(&live), bells));
        tokio::spawn(Live::keep_books(Arc::downgrade(&live)));
        let events = Events::new(self.event_capacity);
        let settings = Settings {
            peppers,
            argon2: self.argon2,
            hash_permits: self.hash_permits.get(),
            hash_queue: self.hash_queue,
            lookups: LOOKUPS,
            deadline: self.hash_deadline,
            cached_keys: self.cached_keys,
            keys_at_hand: if self.cached_keys == 0 {
                0
            } else {
                self.keys_at_hand
            },
            clock: Arc::clone(&self.clock),
            events: events.clone(),
        };
        let mut observers = self.observers;
        observers.push(Arc::new(Teller {
            events: events.clone(),
        }));
        #[cfg(feature = "webhooks")]
        let couriers = webhooks::start(self.webhooks, &events, &self.letters, &self.clock)?;
        let watching = alerts::Watching {
            settings: self.alerts,
            ledger: self.ledger_of_alerts.clone(),
            store: Arc::clone(&self.store),
            quotas,
            events: events.clone(),
            clock: Arc::clone(&self.clock),
        };
        let watch = watching.start(&live, self.usage.is_some()).await?;
        observers.extend(watch.clone().map(|watch| watch as Arc<dyn UsageObserver>));
        #[cfg(feature = "metrics")]
        let meter = self.has_metrics.then(|| {
            let meter = Arc::new(crate::meter::Meter::new());
            observers.push(Arc::clone(&meter) as Arc<dyn UsageObserver>);
            meter
        });
        let verifier = Arc::new(Verifier::new(Arc::clone(&self.store), live, settings));
        let records = Records {
            usage: self.usage.clone(),
            alerts: self.ledger_of_alerts,
            letters: self.letters,
        };
        let manager = KeyManager::new(
            self.store,
            Arc::clone(&verifier),
            self.formats.clone(),
            Arc::clone(&self.clock),
            self.owner_policy,
            records,
            events.clone(),
        );
        let keeping = self.keeping;
        let usage = self
            .usage
            .map(|sink| Recorder::new(sink, observers, Arc::clone(&self.clock), keeping));
        if let Some(usage) = &usage {
            usage.start();
        }
        let shared = Arc::new(Shared {
            verifier,
            formats: self.formats,
            client_ip: self.client_ip,
            failures,
            shared_limits: self.shared_limits,
            usage,
            clock: self.clock,
            missing_peer: MissingPeer::default(),
            peers: framework::peers(),
            uri_copies: framework::uri_copies(),
        });
        #[cfg(feature = "metrics")]
        if let Some(meter) = meter {
            let sources = metering::Sources {
                meter,
                shared: Arc::downgrade(&shared),
                watch: watch.as_ref().map(Arc::downgrade),
                #[cfg(feature = "webhooks")]
                couriers: couriers.clone(),
            };
            tokio::spawn(sources.keep_reading());
        }
        Ok(ApiKeys {
            shared,
            manager,
            events,
            watch,
            #[cfg(feature = "webhooks")]
            couriers,
        })
    }
}
