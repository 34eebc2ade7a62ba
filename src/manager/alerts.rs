//! What looks wrong about keys, and what could not be told of it.

use super::KeyManager;
use crate::alert::{Acknowledged, Alert, AlertLedger, AlertRequest, AlertRule};
use crate::error::{Error, ErrorKind};
use crate::key::KeyId;
use crate::store::DeadLetters;
#[cfg(feature = "admin")]
use crate::store::{KeyFilter, PageRequest};

/// How many alerts are given at once, at most.
const MOST: usize = 1_000;

/// How many keys of a member are looked through for a number.
#[cfg(feature = "admin")]
const LOOKED_THROUGH: usize = 200;

impl KeyManager {
    /// Whether alerts are kept: [`ApiKeysBuilder::alerts`](crate::ApiKeysBuilder::alerts).
    pub fn keeps_alerts(&self) -> bool {
        self.office.records.alerts.is_some()
    }

    /// Reads alerts, at most a thousand: the last one of each key and rule, the open ones first and then
    /// the latest. An admin is told of all, a member of those about their own keys.
    ///
    /// # Errors
    ///
    /// `NotFound`, if alerts are not kept, or to members who ask for another's key; `Unavailable`.
    pub async fn alerts(&self, request: &AlertRequest) -> Result<Vec<Alert>, Error> {
        let ledger = self.ledger()?;
        let mut request = request.clone();
        request.most = request.most.min(MOST);
        if let Some(owner) = self.principal.confined_to() {
            match &request.keys {
                Some(keys) => {
                    for key in keys {
                        self.record(*key).await?;
                    }
                }
                None => request.keys = Some(self.keys_of(owner).await?),
            }
        }
        ledger.read(&request).await
    }

    /// Notes that whoever acts has seen to the alert of a key and a rule. It stays in the list until
    /// it is raised anew.
    ///
    /// # Errors
    ///
    /// `NotFound`, if there is none or alerts are not kept; `Forbidden` to members, where only admins
    /// change keys; `Unavailable`.
    pub async fn acknowledge_alert(&self, key: KeyId, rule: AlertRule) -> Result<(), Error> {
        let ledger = self.ledger()?;
        self.check_may_change()?;
        self.record(key).await?;
        let by = Acknowledged {
            by: self.principal.actor().to_owned(),
            at: self.office.clock.now().wall,
        };
        match ledger.acknowledge(key, rule, &by).await? {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::NotFound, "there is no such alert")),
        }
    }

    /// How many alerts are open, counted up to `most`; nothing if alerts are not kept, or to members with
    /// more keys than are looked through for a number.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    #[cfg(feature = "admin")]
    pub(crate) async fn open_alerts(&self, most: usize) -> Result<Option<usize>, Error> {
        let Some(ledger) = self.office.records.alerts.as_deref() else {
            return Ok(None);
        };
        let mut request = AlertRequest::latest(most).open();
        if let Some(owner) = self.principal.confined_to() {
            let mut filter = KeyFilter::all();
            filter.owner = Some(owner.clone());
            let page = PageRequest::first(LOOKED_THROUGH);
            let found = self.office.store.list(&filter, page).await?;
            if found.next.is_some() {
                return Ok(None);
            }
            request.keys = Some(found.records.iter().map(|record| record.id).collect());
        }
        ledger.read(&request).await.map(|open| Some(open.len()))
    }

    /// Reads the messages of webhooks that were given up, the last ones first: at most so many, and at
    /// most a thousand.
    ///
    /// # Errors
    ///
    /// `Forbidden` to members: what is posted is about everybody's keys. `Corrupt`, naming a letter that
    /// cannot be read; `Unavailable`.
    pub async fn dead_letters(&self, most: usize) -> Result<DeadLetters, Error> {
        self.principal
            .check_admin("only admins see what is posted")?;
        self.office.records.letters.letters(most.min(MOST)).await
    }

    fn ledger(&self) -> Result<&dyn AlertLedger, Error> {
        let ledger = self.office.records.alerts.as_deref();
        ledger.ok_or_else(|| Error::new(ErrorKind::NotFound, "alerts are not kept"))
    }
}
