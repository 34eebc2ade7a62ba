//! What is usual for a key, and which keys that is remembered of.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use super::{AlertSettings, KeyHabits};
use crate::clock::Timestamp;
use crate::key::{KeyId, Network};

/// How many networks of a key are remembered.
const NETWORKS: usize = 16;

/// How many minutes are looked at together.
const WINDOW: usize = 5;

/// How many minutes the baseline reaches back, about.
const REACH: u32 = 60;

/// How many minutes of use there must have been before a spike can be told.
const WARM_UP: u32 = 10;

/// How often what is usual is written down if nothing about it is new.
const SAVE_EVERY: Duration = Duration::from_secs(3_600);

/// What a key did in some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) requests: u32,
    pub(super) failed: u32,
    pub(super) limited: u32,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.failed = self.failed.saturating_add(other.failed);
        self.limited = self.limited.saturating_add(other.limited);
    }
}

/// What is remembered of a key.
#[derive(Debug)]
pub(super) struct Habit {
    seen: Timestamp,
    /// The number of the current minute, and of it and those before it what was done.
    minute: i64,
    recent: [Counts; WINDOW],
    /// Requests in a minute of use, in thousandths.
    per_minute: u64,
    minutes: u32,
    networks: Vec<Network>,
    saved: Option<Timestamp>,
    /// Rules whose alerts found no room, and were counted.
    pub(super) skipped: u16,
    /// What its tightest rate limit admits in a minute, if it has one.
    pub(super) limit: Option<u32>,
    /// When it was last asked for its limits and quotas.
    pub(super) asked: Option<Timestamp>,
}

impl Habit {
    fn new(now: Timestamp) -> Self {
        Self {
            seen: now,
            minute: minute_of(now),
            recent: [Counts::default(); WINDOW],
            per_minute: 0,
            minutes: 0,
            networks: Vec::new(),
            saved: Some(now),
            skipped: 0,
            limit: None,
            asked: None,
        }
    }

    fn remembered(habits: &KeyHabits) -> Self {
        let most = habits.networks.len().saturating_sub(NETWORKS);
        Self {
            per_minute: habits.per_minute,
            minutes: habits.minutes,
            networks: habits.networks.iter().skip(most).copied().collect(),
            ..Self::new(habits.seen_at)
        }
    }

    /// Adds what was done at `now`.
    pub(super) fn add(&mut self, counts: Counts, settings: &AlertSettings, now: Timestamp) {
        self.seen = self.seen.max(now);
        let minute = minute_of(now);
        if minute + (WINDOW as i64) < self.minute {
            // The clock was set back.
            self.recent = [Counts::default(); WINDOW];
            self.minute = minute;
        }
        // What comes late counts for the current minute.
        if minute > self.minute {
            self.learn(settings);
            for step in 1..=(minute - self.minute).min(WINDOW as i64) {
                if let Some(place) = place_of(self.minute + step, &mut self.recent) {
                    *place = Counts::default();
                }
            }
            self.minute = minute;
        }
        let minute = self.minute;
        if let Some(place) = place_of(minute, &mut self.recent) {
            place.add(counts);
        }
    }

    /// The current minute.
    pub(super) fn this_minute(&self) -> Counts {
        let place = usize::try_from(self.minute.rem_euclid(WINDOW as i64)).unwrap_or(0);
        self.recent.get(place).copied().unwrap_or_default()
    }

    /// It and the four before it.
    pub(super) fn window(&self) -> Counts {
        let mut sum = Counts::default();
        self.recent.iter().for_each(|counts| sum.add(*counts));
        sum
    }

    /// From how many requests in a minute on it is a spike; nothing while too little is known.
    pub(super) fn spike_from(&self, settings: &AlertSettings) -> Option<u32> {
        if self.minutes < WARM_UP {
            return None;
        }
        let many = self.per_minute.saturating_mul(settings.spike_factor.into()) / 1_000;
        let many = u32::try_from(many).unwrap_or(u32::MAX);
        Some(many.max(settings.spike_requests))
    }

    /// Takes the minute that is over into what is usual. A spike counts as little more than what it
    /// begins at, so that the baseline follows slowly where the new height stays.
    fn learn(&mut self, settings: &AlertSettings) {
        let count = self.this_minute().requests;
        if count == 0 {
            return;
        }
        let count = count.min(self.spike_from(settings).unwrap_or(u32::MAX));
        let weight = u64::from((self.minutes + 1).min(REACH));
        let kept = self.per_minute.saturating_mul(weight - 1);
        self.per_minute = kept.saturating_add(u64::from(count) * 1_000) / weight;
        self.minutes = self.minutes.saturating_add(1).min(1_000_000);
    }

    /// Notes from where it was used. Whether that is a network of its own that is new, beside others
    /// that are known.
    pub(super) fn is_new_from(&mut self, address: IpAddr) -> bool {
        let Some(network) = network_of(address) else {
            return false;
        };
        let known = self.networks.iter().position(|known| *known == network);
        if known.is_some_and(|place| place + 1 == self.networks.len()) {
            return false;
        }
        match known {
            Some(place) => drop(self.networks.remove(place)),
            None if self.networks.len() >= NETWORKS => drop(self.networks.remove(0)),
            None => {}
        }
        self.networks.push(network);
        if known.is_none() {
            self.saved = None;
        }
        known.is_none() && self.networks.len() > 1
    }

    /// What to write down, if there is something new.
    fn take_unsaved(&mut self, key: KeyId, now: Timestamp) -> Option<KeyHabits> {
        let is_saved = |at: Timestamp| self.seen.saturating_since(at) < SAVE_EVERY;
        if self.saved.is_some_and(is_saved) {
            return None;
        }
        self.saved = Some(now.max(self.seen));
        Some(KeyHabits {
            key,
            seen_at: self.seen,
            networks: self.networks.clone(),
            per_minute: self.per_minute,
            minutes: self.minutes,
        })
    }
}

fn minute_of(time: Timestamp) -> i64 {
    time.as_millis().div_euclid(60_000)
}

fn place_of(minute: i64, recent: &mut [Counts; WINDOW]) -> Option<&mut Counts> {
    let place = usize::try_from(minute.rem_euclid(WINDOW as i64)).ok()?;
    recent.get_mut(place)
}

/// What counts as one network: a /24 of IPv4, a /48 of IPv6.
fn network_of(address: IpAddr) -> Option<Network> {
    let address = address.to_canonical();
    let whole = |address: IpAddr, prefix| Network::new(address, prefix).ok();
    match address {
        IpAddr::V4(v4) => {
            let bits = v4.to_bits() & (u32::MAX << 8);
            whole(std::net::Ipv4Addr::from_bits(bits).into(), 24)
        }
        IpAddr::V6(v6) => {
            let bits = v6.to_bits() & (u128::MAX << 80);
            whole(std::net::Ipv6Addr::from_bits(bits).into(), 48)
        }
    }
}

/// The keys that are remembered: those seen lately, and those seen before them.
///
/// When there are half as many young ones as there may be keys, the old ones are forgotten and the
/// young ones are old. So nothing has to be searched for what to forget.
#[derive(Debug)]
pub(super) struct Habits {
    young: HashMap<KeyId, Habit>,
    old: HashMap<KeyId, Habit>,
    most: usize,
}

impl Habits {
    pub(super) fn new(most: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            most: (most / 2).max(1),
        }
    }

    /// Takes over what was remembered before a restart.
    pub(super) fn remember(&mut self, all: &[KeyHabits]) {
        for habits in all.iter().take(self.most) {
            self.old
                .entry(habits.key)
                .or_insert_with(|| Habit::remembered(habits));
        }
    }

    /// A key, remembered or new.
    pub(super) fn of(&mut self, key: KeyId, now: Timestamp) -> &mut Habit {
        if !self.young.contains_key(&key) {
            let habit = self.old.remove(&key);
            if self.young.len() >= self.most {
                self.old = std::mem::take(&mut self.young);
            }
            self.young
                .insert(key, habit.unwrap_or_else(|| Habit::new(now)));
        }
        self.young.entry(key).or_insert_with(|| Habit::new(now))
    }

    /// A key, if it is remembered.
    pub(super) fn known(&mut self, key: KeyId) -> Option<&mut Habit> {
        match self.young.get_mut(&key) {
            Some(habit) => Some(habit),
            None => self.old.get_mut(&key),
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// What is new of up to `most` keys, to be written down.
    pub(super) fn take_unsaved(&mut self, most: usize, now: Timestamp) -> Vec<KeyHabits> {
        let keys = self.young.iter_mut();
        keys.filter_map(|(key, habit)| habit.take_unsaved(*key, now))
            .take(most)
            .collect()
    }
}
