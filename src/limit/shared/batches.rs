//! Taking from a shared limiter for several requests at once.
//!
//! 1. A key that is asked about often is asked about for more requests at once, twice as many each time,
//!    up to the size that was chosen, to the burst, and to half of what was left the last time. What was
//!    taken beforehand is the node's *stock* for further requests of that key with the same charges.
//! 2. A stock is kept for as long as was chosen at most. What is left of it then is given back.
//! 3. A stock is of whole requests: each was charged to all of its limits.
//! 4. Of one stock one batch is under way at a time. Who comes meanwhile waits for it, once; if nothing is
//!    left for them then they ask for themselves.
//! 5. If a batch is refused, the request alone is asked for: a node refuses only what the limiter has
//!    refused to it.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::sleep;

use super::{Charge, Decision, SharedLimiter};
use crate::error::{Error, ErrorKind};
use crate::key::{KeyId, LimitStatus};

/// A limiter that is asked for several requests at once.
#[derive(Clone, Debug)]
pub(super) struct Batched {
    store: Arc<Storeroom>,
}

#[derive(Debug)]
struct Storeroom {
    limiter: Arc<dyn SharedLimiter>,
    /// For how many requests it is asked at most.
    size: u32,
    /// How long a stock is kept at most.
    hold: Duration,
    stocks: Mutex<HashMap<KeyId, Vec<Stock>>>,
}

/// What was taken for requests with the same charges.
#[derive(Debug)]
struct Stock {
    charges: Vec<Charge>,
    /// For how many requests it is enough.
    left: u32,
    /// For how many requests of the batch it was used.
    used: u32,
    /// For how many to ask the next time.
    next: u32,
    /// Where the limits stand without the stock, as of the last answer.
    standing: Vec<LimitStatus>,
    /// How often the keeper has seen the batch.
    seen: u8,
    /// Whether somebody asked since the keeper came.
    in_use: bool,
    /// A batch that is under way: closed when it has ended.
    coming: Option<watch::Receiver<()>>,
}

/// What to do for a request.
enum Step {
    Taken(Decision),
    Wait(watch::Receiver<()>),
    AskForOne,
    AskFor(u32, watch::Sender<()>),
}

impl Batched {
    pub(super) fn new(limiter: Arc<dyn SharedLimiter>, size: u32, hold: Duration) -> Self {
        let store = Storeroom {
            limiter,
            size,
            hold,
            stocks: Mutex::default(),
        };
        Self {
            store: Arc::new(store),
        }
    }
}

#[async_trait]
impl SharedLimiter for Batched {
    async fn take(&self, key: KeyId, charges: &[Charge]) -> Result<Decision, Error> {
        let mut has_waited = false;
        loop {
            match self.store.step(key, charges, has_waited) {
                Step::Taken(decision) => return Ok(decision),
                Step::Wait(mut batch) => {
                    // It never changes: it is closed.
                    drop(batch.changed().await);
                    has_waited = true;
                }
                Step::AskForOne => {
                    let decision = self.store.limiter.take(key, charges).await?;
                    if let Decision::Taken(standing) = &decision {
                        self.store.note(key, charges, standing);
                    }
                    return Ok(decision);
                }
                Step::AskFor(requests, done) => {
                    let batch = Batch {
                        store: Arc::clone(&self.store),
                        key,
                        charges: charges.to_vec(),
                        _done: done,
                    };
                    // In a task of its own: a caller who goes away takes nothing of it with them.
                    let answer = tokio::spawn(async move { batch.ask(requests).await });
                    return answer.await.unwrap_or_else(|panic| {
                        let message = "the shared limiter failed";
                        Err(Error::new(ErrorKind::Unavailable, message).with_source(panic))
                    });
                }
            }
        }
    }

    async fn give_back(&self, key: KeyId, charges: &[Charge]) -> Result<(), Error> {
        self.store.limiter.give_back(key, charges).await
    }
}

impl Storeroom {
    fn step(self: &Arc<Self>, key: KeyId, charges: &[Charge], has_waited: bool) -> Step {
        let mut stocks = self.stocks();
        let of_key = stocks.entry(key).or_default();
        let Some(stock) = of_key.iter_mut().find(|stock| stock.charges == charges) else {
            of_key.push(Stock::new(charges));
            let keeper = Keeper {
                store: Arc::clone(self),
                key,
                charges: charges.to_vec(),
            };
            tokio::spawn(keeper.run());
            return Step::AskForOne;
        };
        stock.in_use = true;
        if stock.left > 0 {
            stock.left -= 1;
            stock.used = stock.used.saturating_add(1);
            return Step::Taken(Decision::Taken(stock.view()));
        }
        match &stock.coming {
            Some(_) if has_waited => Step::AskForOne,
            Some(batch) => Step::Wait(batch.clone()),
            None => {
                let requests = stock.next.min(stock.most()).min(self.size);
                stock.next = stock.next.saturating_mul(2).min(self.size);
                if requests < 2 {
                    return Step::AskForOne;
                }
                let (done, batch) = watch::channel(());
                stock.coming = Some(batch);
                Step::AskFor(requests, done)
            }
        }
    }

    fn note(&self, key: KeyId, charges: &[Charge], standing: &[LimitStatus]) {
        self.with(key, charges, |stock| {
            standing.clone_into(&mut stock.standing)
        });
    }

    fn with<T>(
        &self,
        key: KeyId,
        charges: &[Charge],
        act: impl FnOnce(&mut Stock) -> T,
    ) -> Option<T> {
        let mut stocks = self.stocks();
        let mut of_key = stocks.get_mut(&key)?.iter_mut();
        of_key.find(|stock| stock.charges == charges).map(act)
    }

    fn stocks(&self) -> MutexGuard<'_, HashMap<KeyId, Vec<Stock>>> {
        self.stocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stock {
    /// For a key that was asked about once.
    fn new(charges: &[Charge]) -> Self {
        Self {
            charges: charges.to_vec(),
            left: 0,
            used: 0,
            next: 2,
            standing: Vec::new(),
            seen: 0,
            in_use: true,
            coming: None,
        }
    }

    /// For how many requests may be asked at once.
    fn most(&self) -> u32 {
        let of_bursts = self
            .charges
            .iter()
            .map(|charge| charge.limit.burst_size() / charge.cost);
        // Half: others want some too.
        let of_rests = self
            .charges
            .iter()
            .zip(&self.standing)
            .map(|(charge, status)| status.remaining / 2 / charge.cost);
        of_bursts.chain(of_rests).min().unwrap_or(1)
    }

    /// Where the limits stand for this node: what is in stock is not spent.
    fn view(&self) -> Vec<LimitStatus> {
        let charges = self.charges.iter().zip(&self.standing);
        let view = charges.map(|(charge, status)| {
            let unspent = self.left.saturating_mul(charge.cost.get());
            let between = status.limit.unit().duration() / status.limit.count().max(1);
            LimitStatus::new(
                Arc::clone(&status.limit),
                status.remaining.saturating_add(unspent),
                status
                    .resets_in
                    .saturating_sub(between.saturating_mul(unspent)),
            )
        });
        view.collect()
    }
}

/// Charges for so many requests.
fn times(charges: &[Charge], requests: u32) -> Vec<Charge> {
    let requests = NonZeroU32::new(requests).unwrap_or(NonZeroU32::MIN);
    charges
        .iter()
        .map(|Charge { limit, cost }| Charge::new(Arc::clone(limit), cost.saturating_mul(requests)))
        .collect()
}

/// A batch under way. Whoever waits for it goes on when it is dropped.
struct Batch {
    store: Arc<Storeroom>,
    key: KeyId,
    charges: Vec<Charge>,
    _done: watch::Sender<()>,
}

impl Batch {
    /// Asks for so many requests, or for the first of them alone.
    async fn ask(self, requests: u32) -> Result<Decision, Error> {
        let limiter = &self.store.limiter;
        match limiter
            .take(self.key, &times(&self.charges, requests))
            .await?
        {
            Decision::Taken(standing) => {
                let view = self.store.with(self.key, &self.charges, |stock| {
                    stock.left = requests - 1;
                    (stock.used, stock.seen) = (1, 0);
                    stock.standing.clone_from(&standing);
                    stock.view()
                });
                Ok(Decision::Taken(view.unwrap_or(standing)))
            }
            Decision::Refused { .. } => {
                self.store
                    .with(self.key, &self.charges, |stock| stock.next = 1);
                limiter.take(self.key, &self.charges).await
            }
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.store
            .with(self.key, &self.charges, |stock| stock.coming = None);
    }
}

/// Gives back what was kept for long enough, and clears a stock away that nobody uses.
struct Keeper {
    store: Arc<Storeroom>,
    key: KeyId,
    charges: Vec<Charge>,
}

impl Keeper {
    async fn run(self) {
        loop {
            // Comes twice in the time, so that no batch is kept longer than that.
            sleep(self.store.hold / 2).await;
            let Some(left) = self.look() else { return };
            if left == 0 {
                continue;
            }
            let charges = times(&self.charges, left);
            if let Err(error) = self.store.limiter.give_back(self.key, &charges).await {
                tracing::debug!(key = %self.key, %error, "what was taken beforehand was not given back");
            }
        }
    }

    /// For how many requests something is to be given back; nothing if the stock is cleared away.
    fn look(&self) -> Option<u32> {
        let mut stocks = self.store.stocks();
        let of_key = stocks.get_mut(&self.key)?;
        let at = of_key
            .iter()
            .position(|stock| stock.charges == self.charges)?;
        let stock = of_key.get_mut(at)?;
        stock.seen = stock.seen.saturating_add(1);
        if stock.left > 0 && stock.seen >= 2 {
            // As many as were used are enough the next time.
            stock.next = stock.used.max(1);
            return Some(std::mem::take(&mut stock.left));
        }
        let is_idle = !std::mem::take(&mut stock.in_use) && stock.left == 0;
        if is_idle && stock.coming.is_none() {
            of_key.swap_remove(at);
            if of_key.is_empty() {
                stocks.remove(&self.key);
            }
            return None;
        }
        Some(0)
    }
}

#[cfg(test)]
mod tests;
