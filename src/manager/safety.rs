//! Keys that are worth a second look.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::KeyManager;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind};
use crate::key::{Access, KeyId, KeyInfo, KeyStatus, ScopeSet, Servers};
use crate::store::{KeyFilter, PageRequest};

/// Why a key is worth a second look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Risk {
    /// It has no expiry.
    NeverExpires,
    /// It was not used for long, and works all the same.
    Unused,
    /// It may do everything, on every server, from every address, and so may its owner.
    Unrestricted,
    /// It has neither a rate limit nor a quota, of its own or of its plan.
    Unlimited,
}

impl Risk {
    /// The risk in a word, such as `never_expires`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NeverExpires => "never_expires",
            Self::Unused => "unused",
            Self::Unrestricted => "unrestricted",
            Self::Unlimited => "unlimited",
        }
    }
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A key and what is risky about it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct RiskyKey {
    /// The key.
    pub key: KeyInfo,
    /// Its risks; at least one.
    pub risks: Vec<Risk>,
}

/// One page of risky keys.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SafetyPage {
    /// Those of the page's keys that are risky; perhaps none.
    pub keys: Vec<RiskyKey>,
    /// Where the next page starts; nothing if this is the last.
    pub next: Option<KeyId>,
}

impl KeyManager {
    /// Looks at one page of the active keys for those that are risky. A key counts as unused if it
    /// was not used for `idle`, or never in that time since it was made.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use mcp_api_keys::{ApiKeys, NewKey, Risk, store::{MemoryStore, PageRequest}};
    ///
    /// let keys = ApiKeys::builder(MemoryStore::new()).build().await?;
    /// let _ = keys.manager().issue(NewKey::named("forever").plan("free")).await?;
    /// let days_90 = Duration::from_secs(90 * 86_400);
    /// let page = keys.manager().safety(days_90, PageRequest::default()).await?;
    /// assert_eq!(page.keys[0].risks, [Risk::NeverExpires]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub async fn safety(&self, idle: Duration, page: PageRequest) -> Result<SafetyPage, Error> {
        let now = self.office.clock.now().wall;
        let found = self.list(&KeyFilter::default(), page).await?;
        let mut risky = Vec::new();
        for key in found.keys {
            let in_force =
                key.status == KeyStatus::Active && key.expires_at.is_none_or(|expiry| now < expiry);
            let risks = if in_force {
                risks(&key, &*self.effective(&key).await?, now, idle)
            } else {
                Vec::new()
            };
            if !risks.is_empty() {
                risky.push(RiskyKey { key, risks });
            }
        }
        Ok(SafetyPage {
            keys: risky,
            next: found.next,
        })
    }

    /// The key as its owner and plan leave it. One whose plan is gone stands as it is recorded: it
    /// does not work, but is no reason to have no report.
    async fn effective(&self, key: &KeyInfo) -> Result<Arc<KeyInfo>, Error> {
        match self.office.live.resolver().narrow(key.clone()).await {
            Ok(rights) => Ok(rights.info),
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(Arc::new(key.clone())),
            Err(error) => Err(error),
        }
    }
}

fn risks(key: &KeyInfo, effective: &KeyInfo, now: Timestamp, idle: Duration) -> Vec<Risk> {
    let used = key.last_used_at.unwrap_or(key.created_at);
    let unrestricted = effective.servers == Servers::All
        && effective.scopes.covers(&ScopeSet::all())
        && effective.access == Access::Full
        && effective.networks.is_empty();
    let unlimited = effective.limits.is_empty() && effective.quotas.is_empty();
    [
        (key.expires_at.is_none(), Risk::NeverExpires),
        (now.saturating_since(used) >= idle, Risk::Unused),
        (unrestricted, Risk::Unrestricted),
        (unlimited, Risk::Unlimited),
    ]
    .into_iter()
    .filter_map(|(applies, risk)| applies.then_some(risk))
    .collect()
}
