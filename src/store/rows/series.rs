//! What keys were used for, as rows.

use super::{corrupt, row};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::key::{Carrier, CredentialId, KeyId};
use crate::usage::ledger::{Answer, Sum};
use crate::usage::{LastUse, LatencyHistogram};

row! {
    /// What a series has in one step.
    pub(in crate::store) struct StepRow {
        at: i64,
        label: String,
        outcome: String,
        status: String,
        requests: i64,
        cost: i64,
        latency: String,
    }
}

impl StepRow {
    pub(in crate::store) fn add_to(&self, answer: &mut Answer) -> Result<(), Error> {
        let sum = Sum {
            requests: number(self.requests)?,
            cost: number(self.cost)?,
            latency: latency(&self.latency)?,
        };
        answer.add(self.at, &self.label, (&self.outcome, &self.status), &sum);
        Ok(())
    }
}

fn number(stored: i64) -> Result<u64, Error> {
    u64::try_from(stored).map_err(|error| corrupt("a count is negative").with_source(error))
}

/// The histogram that stands in a column.
pub(in crate::store) fn latency(text: &str) -> Result<LatencyHistogram, Error> {
    LatencyHistogram::from_text(text).ok_or_else(|| corrupt("latencies cannot be read"))
}

/// A number for a column.
pub(in crate::store) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The column that tells apart what is asked for. The texts are those of this file and no others.
macro_rules! by_label {
    ($by:expr, $before:literal, $after:literal) => {
        match $by {
            None => concat!($before, "''", $after),
            Some(UsageDimension::Outcome) => concat!($before, "s.outcome", $after),
            Some(UsageDimension::Server) => concat!($before, "s.server", $after),
            Some(UsageDimension::Operation) => concat!($before, "s.operation", $after),
            Some(UsageDimension::Secret) => {
                concat!($before, "CAST(s.credential AS TEXT)", $after)
            }
            Some(UsageDimension::Carrier) => concat!($before, "s.carrier", $after),
            Some(UsageDimension::Status) => concat!($before, "s.status", $after),
        }
    };
}
pub(in crate::store) use by_label;

row! {
    /// A row of `api_usage_last`.
    pub(in crate::store) struct LastRow {
        key_id: String,
        at: i64,
        address: String,
        carrier: String,
        credential: i64,
        server: String,
        operation: String,
    }
}

impl LastRow {
    pub(in crate::store) fn of(key: KeyId, last: &LastUse) -> Self {
        let text = |text: &Option<std::sync::Arc<str>>| text.as_deref().unwrap_or("").to_owned();
        Self {
            key_id: key.to_string(),
            at: last.at.as_millis(),
            address: last
                .address
                .map_or_else(String::new, |from| from.to_string()),
            carrier: last.carrier.as_str().to_owned(),
            credential: i64::from(last.credential.as_u32()),
            server: text(&last.server),
            operation: text(&last.operation),
        }
    }

    pub(in crate::store) fn columns(&self) -> (&str, i64, &str, &str, i64, &str, &str) {
        (
            &self.key_id,
            self.at,
            &self.address,
            &self.carrier,
            self.credential,
            &self.server,
            &self.operation,
        )
    }

    pub(in crate::store) fn into_use(self) -> Result<(KeyId, LastUse), Error> {
        let unreadable = || {
            corrupt(format!(
                "the last use of the key {:?} cannot be read",
                self.key_id
            ))
        };
        let key = self.key_id.parse().map_err(|_| unreadable())?;
        let carriers = [
            Carrier::Bearer,
            Carrier::Header,
            Carrier::Path,
            Carrier::Other,
        ];
        let carrier = carriers
            .into_iter()
            .find(|carrier| carrier.as_str() == self.carrier)
            .ok_or_else(unreadable)?;
        let credential = u32::try_from(self.credential).map_err(|_| unreadable())?;
        let credential = CredentialId::from_u32(credential);
        let mut last = LastUse::new(Timestamp::from_millis(self.at), carrier, credential);
        last.address = match &*self.address {
            "" => None,
            address => Some(address.parse().map_err(|_| unreadable())?),
        };
        let text = |text: &str| Some(text).filter(|text| !text.is_empty()).map(Into::into);
        (last.server, last.operation) = (text(&self.server), text(&self.operation));
        Ok((key, last))
    }
}
