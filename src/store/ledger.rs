//! What was taken of quotas.

use std::fmt;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::key::KeyId;

/// Where it is noted how much keys have taken of their quotas.
///
/// Every [`KeyStore`](super::KeyStore) is one. Processes take several units at a time, so a call is
/// made for one in a hundred requests at most, unless a quota is small.
///
/// # Contract
///
/// 1. The amounts taken from an account never come to more than the limit, however many take at
///    once.
/// 2. An account is of one period. Taking in a later period begins it anew, and taking in an
///    earlier one, by a process whose clock is behind, counts for the later.
/// 3. What a call has returned is durable.
#[async_trait]
pub trait QuotaLedger: fmt::Debug + Send + Sync + 'static {
    /// Takes up to `wanted` units of the account, so that not more than `limit` are taken of it in
    /// all. Returns how many were taken; zero if there are none left.
    async fn take(&self, account: &QuotaAccount, wanted: u64, limit: u64) -> Result<u64, Error>;

    /// Gives back units that were taken and not used. In a later period, or for a key that is gone,
    /// that changes nothing.
    async fn give_back(&self, account: &QuotaAccount, units: u64) -> Result<(), Error>;

    /// Reads what a key has taken of each of its quotas, in the last period that it took any.
    async fn taken(&self, key: KeyId) -> Result<Vec<Taken>, Error>;
}

/// One quota of one key in one period.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_structs,
    reason = "an account is whose, which and when"
)]
pub struct QuotaAccount {
    /// Whose quota.
    pub key: KeyId,
    /// Its name.
    pub quota: String,
    /// When the period began.
    pub period: Timestamp,
}

/// What was taken of a quota.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "ledgers outside the crate build it"
)]
pub struct Taken {
    /// Of which account.
    pub account: QuotaAccount,
    /// How many units.
    pub units: u64,
}

macro_rules! forward_to_inner {
    ($($pointer:ty),+) => {$(
        #[async_trait]
        impl<T: QuotaLedger + ?Sized> QuotaLedger for $pointer {
            async fn take(
                &self,
                account: &QuotaAccount,
                wanted: u64,
                limit: u64,
            ) -> Result<u64, Error> {
                (**self).take(account, wanted, limit).await
            }

            async fn give_back(&self, account: &QuotaAccount, units: u64) -> Result<(), Error> {
                (**self).give_back(account, units).await
            }

            async fn taken(&self, key: KeyId) -> Result<Vec<Taken>, Error> {
                (**self).taken(key).await
            }
        }
    )+};
}

forward_to_inner!(Box<T>, std::sync::Arc<T>);
