//! What looks wrong about keys.

use super::KeyManager;
use crate::alert::{Acknowledged, Alert, AlertLedger, AlertRequest, AlertRule};
use crate::error::{Error, ErrorKind};
use crate::key::KeyId;

/// How many alerts are given at once, at most.
const MOST: usize = 1_000;

impl KeyManager {
    /// Whether alerts are kept: [`ApiKeysBuilder::alerts`](crate::ApiKeysBuilder::alerts).
    pub fn keeps_alerts(&self) -> bool {
        self.office.records.alerts.is_some()
    }

    /// Reads alerts, the latest raised first, at most a thousand: the last one of each key and rule. An
    /// admin is told of all, a member of those about their own keys.
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

    fn ledger(&self) -> Result<&dyn AlertLedger, Error> {
        let ledger = self.office.records.alerts.as_deref();
        ledger.ok_or_else(|| Error::new(ErrorKind::NotFound, "alerts are not kept"))
    }
}
