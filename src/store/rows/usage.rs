//! When a secret was used, and what was taken of a quota.

use super::{corrupt, row};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::key::{CredentialId, KeyId};
use crate::store::{KeyUse, QuotaAccount, Taken};

row! {
    /// A row of `api_key_uses`.
    pub(in crate::store) struct UseRow {
        key_id: String,
        credential: i64,
        at: i64,
    }
}

impl UseRow {
    pub(in crate::store) fn into_use(self) -> Result<KeyUse, Error> {
        let unreadable = || {
            corrupt(format!(
                "the use of the key {:?} cannot be read",
                self.key_id
            ))
        };
        Ok(KeyUse {
            key: self.key_id.parse().map_err(|_| unreadable())?,
            credential: u32::try_from(self.credential)
                .map(CredentialId::from_u32)
                .map_err(|_| unreadable())?,
            at: Timestamp::from_millis(self.at),
        })
    }
}

row! {
    /// A row of `api_key_quotas`, of a key that is known.
    pub(in crate::store) struct TakenRow {
        name: String,
        pub(in crate::store) period: i64,
        taken: i64,
    }
}

impl TakenRow {
    pub(in crate::store) fn units(&self) -> Result<u64, Error> {
        units(self.taken)
    }

    pub(in crate::store) fn into_taken(self, key: KeyId) -> Result<Taken, Error> {
        let units = self.units()?;
        Ok(Taken {
            account: QuotaAccount {
                key,
                quota: self.name,
                period: Timestamp::from_millis(self.period),
            },
            units,
        })
    }
}

/// The number of units that stands in a column.
pub(in crate::store) fn units(number: i64) -> Result<u64, Error> {
    u64::try_from(number)
        .map_err(|error| corrupt("what was taken of a quota is negative").with_source(error))
}
