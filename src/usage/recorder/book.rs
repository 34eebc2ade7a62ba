//! What was noted, added up and waiting to be written.
//!
//! It holds so many rows and no more. A request that would need another one is dropped and counted; one
//! that fits a row that is there never is. A key has a room of its own for so many names in an hour; the
//! rest share one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::Keeping;
use super::names::Names;
use super::note::Read;
use crate::clock::Timestamp;
use crate::key::{Carrier, CredentialId, KeyId};
use crate::usage::ledger::Sum;
use crate::usage::observer::Seen;
use crate::usage::{
    BatchId, LastUse, OTHER, UsageBatch, UsageDelta, UsageOutcome, UsageRefusal, UsageStats,
    UsageStatus, UsageStep,
};

/// How many names of operations a key may have in an hour; those beyond are counted as other.
pub(crate) const NAMES_PER_KEY: usize = 64;

/// How many names there may be in all.
const NAMES: usize = 16_384;

/// How many refusals observers are told of at once.
const REFUSALS: usize = 1_000;

/// How many rows are written at once, so that nobody waits long for their turn in the store.
const BATCH: usize = 2_000;

/// What requests have in common that are counted together. Numbers instead of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Series {
    hour: Timestamp,
    key: Option<KeyId>,
    credential: Option<CredentialId>,
    server: u16,
    /// Zero for none, or one more than the name's number.
    operation: u32,
    outcome: u8,
    status: UsageStatus,
    carrier: Option<Carrier>,
}

#[derive(Debug)]
pub(super) struct Book {
    /// What came since observers were last told.
    page: HashMap<Series, Sum>,
    page_uses: HashMap<KeyId, Use>,
    page_refusals: HashMap<(KeyId, u8), (Timestamp, Option<std::net::IpAddr>)>,
    /// What came before that, and is not on its way to the sink.
    rows: HashMap<Series, Sum>,
    uses: HashMap<KeyId, Use>,
    /// How many rows are on their way.
    sent: usize,
    most: usize,
    names: Names,
    /// The names of each key in an hour.
    of_keys: HashMap<(Option<KeyId>, Timestamp), Vec<u32>>,
    hour: Timestamp,
    noted: u64,
    dropped: u64,
    written: u64,
}

/// A key's last use, with numbers instead of names.
#[derive(Clone, Copy, Debug)]
struct Use {
    at: Timestamp,
    address: Option<std::net::IpAddr>,
    carrier: Carrier,
    credential: CredentialId,
    server: u16,
    operation: u32,
}

impl Book {
    pub(super) fn new(most: usize) -> Self {
        let mut names = Names::new(NAMES);
        // First, so that there is room for it.
        names.number(OTHER);
        Self {
            page: HashMap::new(),
            page_uses: HashMap::new(),
            page_refusals: HashMap::new(),
            rows: HashMap::new(),
            uses: HashMap::new(),
            sent: 0,
            most,
            names,
            of_keys: HashMap::new(),
            hour: Timestamp::from_millis(0),
            noted: 0,
            dropped: 0,
            written: 0,
        }
    }

    /// Adds a request, or that a key was seen.
    pub(super) fn add(&mut self, note: &Read) {
        let operation = self.operation(note);
        if note.is_sighting {
            self.sight(note, operation);
        } else if self.count(note, operation, 1) {
            if note.outcome > 0 {
                self.refuse(note);
            } else if let Some(known) = note.key.and_then(|key| self.page_uses.get_mut(&key)) {
                // What it was used for is known only now.
                (known.server, known.operation) = (note.server, operation);
            }
        }
    }

    /// Adds so many requests that are alike and were let through. In which order they came with others is
    /// not known, so they do not say what the key was last used for.
    pub(super) fn add_counted(&mut self, note: &Read, requests: u64) {
        if requests > 0 {
            let operation = self.operation(note);
            self.count(note, operation, requests);
        }
    }

    /// Whether there was room to count them.
    fn count(&mut self, note: &Read, operation: u32, requests: u64) -> bool {
        let series = Series {
            hour: UsageStep::Hour.start_of(note.at),
            key: note.key,
            credential: note.credential,
            server: note.server,
            operation,
            outcome: note.outcome,
            status: note.status,
            carrier: note.carrier,
        };
        let has_room = self.page.len() + self.rows.len() + self.sent < self.most;
        let sum = match self.page.entry(series) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) if has_room || self.rows.contains_key(&series) => {
                entry.insert(Sum::default())
            }
            Entry::Vacant(_) => {
                self.dropped += requests;
                return false;
            }
        };
        self.noted += requests;
        sum.requests += requests;
        let cost = u64::from(note.cost).saturating_mul(requests);
        sum.cost = sum.cost.saturating_add(cost);
        if let Some((bucket, weight)) = note.time {
            sum.latency.add_to(usize::from(bucket), u64::from(weight));
        }
        true
    }

    fn sight(&mut self, note: &Read, operation: u32) {
        let (Some(key), Some(carrier), Some(credential)) =
            (note.key, note.carrier, note.credential)
        else {
            return;
        };
        let has_room = self.page_uses.len() + self.uses.len() < self.most;
        if !has_room && !self.page_uses.contains_key(&key) && !self.uses.contains_key(&key) {
            return;
        }
        let seen = Use {
            at: note.at,
            address: note.address,
            carrier,
            credential,
            server: note.server,
            operation,
        };
        let known = self.page_uses.entry(key).or_insert(seen);
        if known.at <= seen.at {
            *known = seen;
        }
    }

    fn refuse(&mut self, note: &Read) {
        let Some(key) = note.key else { return };
        let refusal = (key, note.outcome);
        if self.page_refusals.len() < REFUSALS || self.page_refusals.contains_key(&refusal) {
            self.page_refusals.insert(refusal, (note.at, note.address));
        }
    }

    /// The number to count a name under: its own, or that of what has no room.
    fn operation(&mut self, note: &Read) -> u32 {
        let (key, name) = (note.key, note.name.as_str());
        let hour = UsageStep::Hour.start_of(note.at);
        if name.is_empty() {
            return 0;
        }
        let has_room = self.of_keys.len() < self.most;
        let own = match self.of_keys.entry((key, hour)) {
            Entry::Occupied(entry) => Some(entry.into_mut()),
            Entry::Vacant(entry) => has_room.then(|| entry.insert(Vec::new())),
        };
        let number = own.and_then(|own| {
            let known = self.names.known(name);
            if known.is_some_and(|number| own.contains(&number)) {
                return known;
            }
            if own.len() >= NAMES_PER_KEY && name != OTHER {
                return None;
            }
            let number = known.or_else(|| self.names.number(name))?;
            own.push(number);
            Some(number)
        });
        // This one has its number from the beginning.
        let number = number.or_else(|| self.names.number(OTHER));
        number.map_or(0, |number| number + 1)
    }

    /// Begins a new page: what stood on the last one is what observers are told of, if there are any.
    pub(super) fn close_page(
        &mut self,
        at: Timestamp,
        is_observed: bool,
        keeping: &Keeping,
        server: impl Fn(u32) -> Option<Arc<str>>,
    ) -> Option<Seen> {
        let page = std::mem::take(&mut self.page);
        let uses = std::mem::take(&mut self.page_uses);
        let refusals = std::mem::take(&mut self.page_refusals);
        let is_empty = page.is_empty() && uses.is_empty();
        let seen = (is_observed && !is_empty).then(|| Seen {
            at,
            deltas: page
                .iter()
                .map(|(series, sum)| self.delta(series, sum.clone(), keeping, &server))
                .collect(),
            uses: uses
                .iter()
                .map(|(key, one)| (*key, self.last_use(one, &server)))
                .collect(),
            refusals: refusals
                .into_iter()
                .map(|((key, outcome), (at, address))| {
                    let reason = outcome_of(outcome, keeping).as_str();
                    UsageRefusal::new(key, reason, address, at)
                })
                .collect(),
        });
        for (series, sum) in page {
            match self.rows.entry(series) {
                Entry::Occupied(mut entry) => entry.get_mut().add(&sum),
                Entry::Vacant(entry) => drop(entry.insert(sum)),
            }
        }
        self.uses.extend(uses);
        let hour = UsageStep::Hour.start_of(at);
        if hour != self.hour {
            self.hour = hour;
            self.of_keys.retain(|(_, of), _| *of >= hour);
            self.forget_names();
        }
        seen
    }

    /// Forgets names that nothing refers to, before there is no room for others.
    fn forget_names(&mut self) {
        let old = std::mem::replace(&mut self.names, Names::new(NAMES));
        self.names.number(OTHER);
        let mut renumbered = |number: u32| {
            let name = old.text(number.checked_sub(1)?)?;
            self.names.number(&name).map(|number| number + 1)
        };
        let rows = std::mem::take(&mut self.rows);
        for (series, sum) in rows {
            let operation = renumbered(series.operation).unwrap_or(0);
            self.rows.insert(
                Series {
                    operation,
                    ..series
                },
                sum,
            );
        }
        for known in self.uses.values_mut() {
            known.operation = renumbered(known.operation).unwrap_or(0);
        }
        for own in self.of_keys.values_mut() {
            let numbers = own.iter().filter_map(|number| renumbered(number + 1));
            *own = numbers.map(|number| number - 1).collect();
        }
    }

    /// Some of what waits, as a batch; nothing if nothing does.
    pub(super) fn take_batch(
        &mut self,
        id: BatchId,
        at: Timestamp,
        keeping: &Keeping,
        server: impl Fn(u32) -> Option<Arc<str>>,
    ) -> Option<UsageBatch> {
        let rows: Vec<_> = self.rows.extract_if(|_, _| true).take(BATCH).collect();
        let uses: Vec<_> = self.uses.extract_if(|_, _| true).take(BATCH).collect();
        if rows.is_empty() && uses.is_empty() {
            return None;
        }
        self.sent = rows.len();
        let rows = rows.into_iter();
        let rows = rows.map(|(series, sum)| self.delta(&series, sum, keeping, &server));
        let mut batch = UsageBatch::new(id, at, rows.collect());
        let uses = uses.iter();
        batch.last_uses = uses
            .map(|(key, one)| (*key, self.last_use(one, &server)))
            .collect();
        Some(batch)
    }

    /// The batch that was last taken is the sink's now, or was given up.
    pub(super) fn settle(&mut self, batch: &UsageBatch, is_written: bool) {
        let requests: u64 = batch.rows.iter().map(|row| row.requests).sum();
        let counter = if is_written {
            &mut self.written
        } else {
            self.noted = self.noted.saturating_sub(requests);
            &mut self.dropped
        };
        *counter += requests;
        self.sent = 0;
    }

    pub(super) fn stats(&self) -> UsageStats {
        let rows = self.page.len() + self.rows.len() + self.sent;
        UsageStats {
            noted: self.noted,
            dropped: self.dropped,
            written: self.written,
            waiting_rows: u64::try_from(rows).unwrap_or(u64::MAX),
        }
    }

    fn delta(
        &self,
        series: &Series,
        sum: Sum,
        keeping: &Keeping,
        server: impl Fn(u32) -> Option<Arc<str>>,
    ) -> UsageDelta {
        UsageDelta {
            hour: series.hour,
            key: series.key,
            credential: series.credential,
            server: server_of(series.server, server),
            operation: self.operation_of(series.operation),
            outcome: outcome_of(series.outcome, keeping),
            status: series.status,
            carrier: series.carrier,
            requests: sum.requests,
            cost: sum.cost,
            latency: sum.latency,
        }
    }

    fn last_use(&self, one: &Use, server: impl Fn(u32) -> Option<Arc<str>>) -> LastUse {
        LastUse {
            at: one.at,
            address: one.address,
            carrier: one.carrier,
            credential: one.credential,
            server: server_of(one.server, server),
            operation: self.operation_of(one.operation),
        }
    }

    fn operation_of(&self, number: u32) -> Option<Arc<str>> {
        self.names.text(number.checked_sub(1)?)
    }
}

fn server_of(number: u16, text: impl Fn(u32) -> Option<Arc<str>>) -> Option<Arc<str>> {
    text(u32::from(number.checked_sub(1)?))
}

fn outcome_of(number: u8, keeping: &Keeping) -> UsageOutcome {
    match number.checked_sub(1) {
        None => UsageOutcome::Allowed,
        Some(reason) => UsageOutcome::Denied((keeping.reason)(reason)),
    }
}
