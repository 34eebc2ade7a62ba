//! All bodies that the API reads, for tests that send it anything.

use serde::de::DeserializeOwned;

use super::asked::{
    AskedImport, AskedKey, AskedOwner, AskedPlan, AskedRevocation, AskedRotation, AskedUpdate,
    AskedWithdrawal,
};
use super::fault::Fault;
use super::read::parsed;
use crate::manager::ImportKey;

/// Reads `body` as each of the bodies there are. Of one that is refused, what the answer says.
pub(crate) fn read_as_each(body: &[u8]) -> Vec<Result<(), String>> {
    fn read<T: DeserializeOwned>(
        body: &[u8],
        meant: impl FnOnce(T) -> Result<(), Fault>,
    ) -> Result<(), String> {
        let outcome = parsed::<T>(body).and_then(meant);
        outcome.map_err(|fault| fault.object().to_string())
    }
    vec![
        read(body, |asked: AskedKey| asked.into_new().map(drop)),
        read(body, |asked: AskedUpdate| {
            let _ = asked.into_update();
            Ok(())
        }),
        read(body, |asked: AskedRotation| asked.grace().map(drop)),
        read(body, |_: AskedRevocation| Ok(())),
        read(body, |asked: AskedWithdrawal| {
            let _ = asked.filter.into_filter();
            Ok(())
        }),
        read(body, |asked: AskedImport| {
            let each = asked.keys.iter();
            each.for_each(|key| drop(parsed::<ImportKey>(key.get().as_bytes())));
            Ok(())
        }),
        read(body, |asked: AskedOwner| {
            "ada".parse().map_or(Ok(()), |id| {
                drop(asked.into_owner(id));
                Ok(())
            })
        }),
        read(body, |asked: AskedPlan| {
            "free".parse().map_or(Ok(()), |name| {
                drop(asked.into_plan(name));
                Ok(())
            })
        }),
    ]
}
