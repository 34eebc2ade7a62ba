//! What is asked of whoever acts, and of what they name.

use super::{KeyManager, Principal};
use crate::error::Error;
use crate::key::{KeyRecord, OwnerId, PlanName};

impl KeyManager {
    /// Refuses members where only admins change keys.
    pub(super) fn check_may_change(&self) -> Result<(), Error> {
        if self.office.policy.only_admins_change {
            self.principal
                .check_admin("only admins issue and change keys")?;
        }
        Ok(())
    }

    /// Refuses an owner that has to be known and is not, and a plan that there is not.
    pub(super) async fn check_names(
        &self,
        owner: Option<&OwnerId>,
        plan: Option<&PlanName>,
    ) -> Result<(), Error> {
        let resolver = self.office.live.resolver();
        if let Some(owner) = owner.filter(|_| self.office.policy.known_only)
            && resolver.owner(owner).await?.is_none()
        {
            return Err(Error::invalid("owner", "is not known"));
        }
        if let Some(plan) = plan
            && resolver.plan(plan).await?.is_none()
        {
            return Err(Error::invalid("plan", format!("there is no plan {plan}")));
        }
        Ok(())
    }

    /// Refuses a key, as it is to be after the act, that reaches further than whoever acts.
    pub(super) async fn check_reach(&self, record: &KeyRecord) -> Result<(), Error> {
        self.principal.check_reach(record)?;
        if let Some(id) = self.principal.confined_to()
            && let Some(owner) = self.office.live.resolver().owner(id).await?
        {
            Principal::check_own_rights(&owner, record)?;
        }
        Ok(())
    }
}
