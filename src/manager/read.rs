//! Looking at keys and at their trail.

use std::collections::HashMap;

use super::{KeyManager, not_found, shown};
use crate::audit::{AuditEntry, AuditFilter};
use crate::error::{Error, ErrorKind};
use crate::key::{KeyId, KeyInfo, Quota, QuotaStatus, Subject};
use crate::store::{AuditPage, KeyFilter, KeyUse, PageRequest};

/// One page of keys.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeyPage {
    /// The keys, in the order of their making.
    pub keys: Vec<KeyInfo>,
    /// Where the next page starts; nothing if this is the last.
    pub next: Option<KeyId>,
}

impl KeyManager {
    /// Reads a key.
    ///
    /// # Errors
    ///
    /// `NotFound`, if there is none; `Unavailable`.
    pub async fn get(&self, id: KeyId) -> Result<KeyInfo, Error> {
        let mut info = shown(&self.record(id).await?)?;
        self.add_uses(std::slice::from_mut(&mut info)).await?;
        Ok(info)
    }

    /// Reads a key as its owner and its plan leave it at present: what a request with it is judged
    /// by.
    ///
    /// # Errors
    ///
    /// `NotFound`, if there is none; `Corrupt`, if its plan is gone; `Unavailable`.
    pub async fn rights(&self, id: KeyId) -> Result<KeyInfo, Error> {
        let record = self.record(id).await?;
        let rights = self.office.live.resolver().resolve(&record).await?;
        Ok(KeyInfo::clone(&rights.info))
    }

    /// Reads what a key has used of its quotas, its plan's included.
    ///
    /// # Errors
    ///
    /// As [`rights`](Self::rights).
    pub async fn quotas(&self, id: KeyId) -> Result<Vec<QuotaStatus>, Error> {
        let rights = self.rights(id).await?;
        let taken = self.office.live.ledger().taken(id).await?;
        let now = self.office.clock.now().wall;
        let status = |quota: Quota| {
            let (period, _) = quota.period().around(now);
            let current = taken.iter().find(|taken| {
                taken.account.quota == quota.name() && taken.account.period >= period
            });
            QuotaStatus::new(quota, current.map_or(0, |taken| taken.units), now)
        };
        Ok(rights.quotas.into_iter().map(status).collect())
    }

    /// Reads the key with this handle.
    ///
    /// # Errors
    ///
    /// `NotFound`, if there is none; `Unavailable`.
    pub async fn get_by_handle(&self, handle: &str) -> Result<KeyInfo, Error> {
        let found = self.office.store.find_by_handle(handle).await?;
        let record = found.ok_or_else(not_found)?;
        self.principal.check_sight(&record)?;
        let mut info = shown(&record)?;
        self.add_uses(std::slice::from_mut(&mut info)).await?;
        Ok(info)
    }

    /// Reads one page of the keys that match, in the order of their making.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub async fn list(&self, filter: &KeyFilter, page: PageRequest) -> Result<KeyPage, Error> {
        let page = match self.principal.confined_to() {
            None => self.office.store.list(filter, page).await?,
            Some(owner) if filter.owner.as_ref().is_some_and(|asked| asked != owner) => {
                return Ok(KeyPage {
                    keys: Vec::new(),
                    next: None,
                });
            }
            Some(owner) => {
                let mut own = filter.clone();
                own.owner = Some(owner.clone());
                self.office.store.list(&own, page).await?
            }
        };
        let mut keys: Vec<_> = page.records.iter().map(shown).collect::<Result<_, _>>()?;
        self.add_uses(&mut keys).await?;
        Ok(KeyPage {
            keys,
            next: page.next,
        })
    }

    /// Reads one page of the audit trail, newest first.
    ///
    /// # Errors
    ///
    /// `Forbidden` to members, who may only read the trail of a key of their own
    /// ([`AuditFilter::subject`]); `Unavailable`.
    pub async fn audit(
        &self,
        filter: &AuditFilter,
        page: AuditPage,
    ) -> Result<Vec<AuditEntry>, Error> {
        if self.principal.confined_to().is_some() {
            let Some(id) = filter.subject.as_ref().and_then(Subject::key) else {
                return Err(Error::new(
                    ErrorKind::Forbidden,
                    "only admins read the whole trail",
                ));
            };
            self.record(id).await?;
        }
        self.office.store.audit(filter, page).await
    }

    /// Adds when the keys and their older secrets were last used.
    async fn add_uses(&self, keys: &mut [KeyInfo]) -> Result<(), Error> {
        let ids: Vec<_> = keys.iter().map(|info| info.id).collect();
        let mut of_keys: HashMap<KeyId, Vec<KeyUse>> = HashMap::new();
        for one in self.office.store.uses(&ids).await? {
            of_keys.entry(one.key).or_default().push(one);
        }
        for info in keys {
            let uses = of_keys.remove(&info.id).unwrap_or_default();
            info.last_used_at = KeyUse::latest(uses.iter());
            if let Some(previous) = &mut info.previous {
                let of_it = |one: &&KeyUse| one.credential == previous.credential;
                previous.last_used_at = KeyUse::latest(uses.iter().filter(of_it));
            }
        }
        Ok(())
    }
}
