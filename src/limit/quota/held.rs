//! What a node holds of quotas, by name and period.

use crate::clock::Timestamp;
use crate::key::{KeyId, Quota, QuotaPeriod};
use crate::store::QuotaAccount;

/// What this node holds of all quotas of a key.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    /// How many periods have ended.
    pub(super) turn: u64,
    pub(super) of: Vec<Held>,
}

/// What this node holds of one quota.
#[derive(Debug)]
pub(super) struct Held {
    name: Box<str>,
    per: QuotaPeriod,
    /// The period that it is of; none before the first request.
    period: Option<(Timestamp, Timestamp)>,
    pub(super) left: u64,
    /// What is not to be used any more, but to be given back.
    pub(super) returning: u64,
    /// Until when (in ticks) there is no use in asking.
    pub(super) empty_until: u64,
    pub(super) used_at: u64,
}

impl Holdings {
    /// What is held of a rule's quota, and in which period. Begins a new one if the last is over; a
    /// clock that was set back begins none.
    pub(super) fn enter(
        &mut self,
        rule: &Quota,
        now: Timestamp,
    ) -> Option<(&mut Held, (Timestamp, Timestamp))> {
        let held = self.of.iter_mut().find(|held| held.is_of(rule))?;
        let period = match held.period {
            Some(period) if now < period.1 => period,
            _ => {
                self.turn = self.turn.wrapping_add(1);
                let period = rule.period().around(now);
                *held = Held {
                    period: Some(period),
                    used_at: held.used_at,
                    ..Held::of(rule)
                };
                period
            }
        };
        Some((held, period))
    }
}

impl Held {
    pub(super) fn of(rule: &Quota) -> Self {
        Self {
            name: rule.name().into(),
            per: rule.period(),
            period: None,
            left: 0,
            returning: 0,
            empty_until: 0,
            used_at: 0,
        }
    }

    pub(super) fn is_of(&self, rule: &Quota) -> bool {
        *self.name == *rule.name() && self.per == rule.period()
    }

    pub(super) fn began(&self) -> Option<Timestamp> {
        self.period.map(|(began, _)| began)
    }

    pub(super) fn account(&self, key: KeyId, period: Timestamp) -> QuotaAccount {
        QuotaAccount {
            key,
            quota: self.name.clone().into(),
            period,
        }
    }
}
