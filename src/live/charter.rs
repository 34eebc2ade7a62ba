//! What many keys have in common: what they may do, and how often.
//!
//! Keys are issued by the dozen: those of a plan, a team or a program differ in name and secret and in
//! little else. What they share is there once, so that a key in use takes little memory, and is near at
//! hand when the next key asks.
//!
//! 1. Two keys have the same charter only if everything in it is equal.
//! 2. A charter never changes. A key that changes gets another.
//! 3. Which charters there are is known of some, not of all, so that the list stays small: two keys may
//!    have equal charters that are not the same one.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::key::{
    Access, Grants, KeyInfo, McpRules, NetworkRules, PlanName, Quota, RateLimit, ScopeSet, Servers,
    Signing,
};
use crate::limit::LimitRules;

/// What a key may do, as its owner and plan leave it, and how its text begins.
#[derive(Debug)]
pub(crate) struct Charter {
    pub(crate) servers: Servers,
    pub(crate) scopes: ScopeSet,
    pub(crate) networks: NetworkRules,
    pub(crate) access: Access,
    pub(crate) signing: Signing,
    pub(crate) mcp: McpRules,
    pub(super) plan: Option<PlanName>,
    pub(super) limits: Box<[RateLimit]>,
    pub(super) quotas: Box<[Quota]>,
    pub(super) prefix: Box<str>,
    /// The limits, as they are applied.
    pub(super) rules: Arc<LimitRules>,
}

impl Charter {
    fn of(info: &KeyInfo) -> Self {
        Self {
            servers: info.servers.clone(),
            scopes: info.scopes.clone(),
            networks: info.networks.clone(),
            access: info.access,
            signing: info.signing,
            mcp: info.mcp.clone(),
            plan: info.plan.clone(),
            limits: info.limits.as_slice().into(),
            quotas: info.quotas.as_slice().into(),
            prefix: prefix_of(info).into(),
            rules: LimitRules::of(&info.limits),
        }
    }

    /// What keys are granted.
    pub(crate) fn grants(&self) -> Grants<'_> {
        Grants {
            servers: &self.servers,
            scopes: &self.scopes,
            access: self.access,
        }
    }

    fn is_of(&self, info: &KeyInfo) -> bool {
        self.servers == info.servers
            && self.scopes == info.scopes
            && self.networks == info.networks
            && self.access == info.access
            && self.signing == info.signing
            && self.mcp == info.mcp
            && self.plan == info.plan
            && *self.limits == *info.limits
            && *self.quotas == *info.quotas
            && *self.prefix == *prefix_of(info)
    }
}

/// What stands before the handle where a key is shown.
fn prefix_of(info: &KeyInfo) -> &str {
    let shown = info.masked.strip_suffix('…');
    let prefix = shown.and_then(|shown| shown.strip_suffix(info.handle.as_str()));
    prefix.unwrap_or_default()
}

/// The charters that were last asked for.
#[derive(Debug)]
pub(super) struct Charters {
    shelves: Box<[Mutex<Shelf>]>,
}

/// Charters whose hashes end alike, the last asked for at the end.
type Shelf = Vec<Weak<Charter>>;

const SHELVES: usize = 256;
const ON_A_SHELF: usize = 8;

impl Default for Charters {
    fn default() -> Self {
        Self {
            shelves: (0..SHELVES).map(|_| Mutex::default()).collect(),
        }
    }
}

impl Charters {
    /// The charter of a key of which this is known.
    pub(super) fn of(&self, info: &KeyInfo) -> Arc<Charter> {
        let Some(shelf) = self.shelves.get(hash_of(info) as usize % SHELVES) else {
            return Arc::new(Charter::of(info));
        };
        let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let known = shelf.iter().enumerate().rev().find_map(|(at, charter)| {
            let charter = charter.upgrade().filter(|charter| charter.is_of(info))?;
            Some((at, charter))
        });
        if let Some((at, charter)) = known {
            shelf.get_mut(at..).unwrap_or_default().rotate_left(1);
            return charter;
        }
        let charter = Arc::new(Charter::of(info));
        shelf.retain(|charter| charter.strong_count() > 0);
        if shelf.len() >= ON_A_SHELF {
            shelf.remove(0);
        }
        shelf.push(Arc::downgrade(&charter));
        charter
    }
}

fn hash_of(info: &KeyInfo) -> u64 {
    let mut hasher = DefaultHasher::new();
    let rules = (&info.limits, &info.quotas, &info.plan, &info.mcp);
    let grants = (&info.servers, &info.scopes, &info.networks);
    let words = (info.access, info.signing, prefix_of(info));
    (rules, grants, words).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::records::record;

    fn info(number: u64) -> KeyInfo {
        KeyInfo::of(&record(number)).unwrap()
    }

    fn changed(change: impl FnOnce(&mut KeyInfo)) -> KeyInfo {
        let mut info = info(1);
        change(&mut info);
        info
    }

    #[test]
    fn keys_that_differ_in_name_alone_have_the_same_charter() {
        let charters = Charters::default();
        let (one, mut other) = (info(1), info(1));
        other.name = "another".to_owned();
        assert!(Arc::ptr_eq(&charters.of(&one), &charters.of(&other)));
    }

    #[test]
    fn whatever_a_charter_says_sets_keys_apart() {
        let charters = Charters::default();
        let plain = charters.of(&info(1));
        for other in [
            changed(|info| info.servers = Servers::only(["other"]).unwrap()),
            changed(|info| info.scopes = ScopeSet::parse(["other"]).unwrap()),
            changed(|info| {
                let block = "198.51.100.0/24".parse().unwrap();
                info.networks = NetworkRules::new(Vec::new(), vec![block]);
            }),
            changed(|info| info.access = Access::ReadOnly),
            changed(|info| info.signing = Signing::Required),
            changed(|info| info.mcp = McpRules::default().deny_tool("x".parse().unwrap())),
            changed(|info| info.plan = Some("other".parse().unwrap())),
            changed(|info| info.limits.push(RateLimit::per_day(1).named("other"))),
            changed(|info| info.quotas.push(Quota::per_day(1).named("other"))),
            changed(|info| info.masked = format!("other_{}…", info.handle)),
        ] {
            let charter = charters.of(&other);
            assert!(!Arc::ptr_eq(&charter, &plain), "{other:?}");
            assert!(charter.is_of(&other) && !plain.is_of(&other), "{other:?}");
        }
        assert!(Arc::ptr_eq(&charters.of(&info(1)), &plain));
    }

    #[test]
    fn the_list_stays_small_and_keeps_what_is_asked_for() {
        let charters = Charters::default();
        let busy = charters.of(&info(1));
        let mut kept = Vec::new();
        for number in 0..20_000 {
            let plan = format!("plan-{number}").parse().unwrap();
            kept.push(charters.of(&changed(|info| info.plan = Some(plan))));
            assert!(Arc::ptr_eq(&charters.of(&info(1)), &busy));
        }
        let known = |shelf: &Mutex<Shelf>| shelf.lock().unwrap().len();
        assert!(charters.shelves.iter().map(known).max() <= Some(ON_A_SHELF));
    }

    #[test]
    fn a_charter_without_keys_is_dropped() {
        let charters = Charters::default();
        let charter = Arc::downgrade(&charters.of(&info(1)));
        assert_eq!(charter.strong_count(), 0);
    }
}
