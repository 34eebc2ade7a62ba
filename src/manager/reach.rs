//! What is asked of whoever acts, and of what they name.

use super::principal::forbidden;
use super::{KeyManager, Principal};
use crate::error::{Error, ErrorKind};
use crate::key::{KeyRecord, OwnerId, PlanName, Quota, RateLimit};
use crate::rights::Terms;

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
        if let Some(owner) = owner.filter(|_| resolver.wants_known_owners())
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
        let Some(id) = self.principal.confined_to() else {
            return Ok(());
        };
        let resolver = self.office.live.resolver();
        match resolver.owner(id).await? {
            Some(owner) => Principal::check_own_rights(&owner, record),
            None if resolver.wants_known_owners() => Err(unknown_owner()),
            None => Ok(()),
        }
    }

    /// Puts a member's new key on the plan that members' keys are to be on.
    pub(super) async fn check_new_terms(&self, record: &mut KeyRecord) -> Result<(), Error> {
        let Some(plan) = &self.office.policy.members_plan else {
            return Ok(());
        };
        if self.principal.confined_to().is_none() {
            return Ok(());
        }
        if record.plan.as_ref().is_some_and(|asked| asked != plan) {
            return Err(forbidden("plan", "is not for members to choose"));
        }
        record.plan = Some(plan.clone());
        let resolver = self.office.live.resolver();
        let bare = resolver.plan(plan).await?.ok_or_else(|| {
            let message = format!("there is no plan {plan}, which members' keys are to be on");
            Error::new(ErrorKind::Corrupt, message)
        })?;
        let asked = resolver.terms(record).await?;
        check_terms(&(bare.limits, bare.quotas), &asked)
    }

    /// Refuses to loosen what bounds a member's key and nothing else of theirs does: plan, limits,
    /// quotas, signing, expiry. Its servers, scopes and access are bounded by their own rights.
    pub(super) async fn check_not_loosened(
        &self,
        before: &KeyRecord,
        after: &KeyRecord,
    ) -> Result<(), Error> {
        if self.principal.confined_to().is_none() {
            return Ok(());
        }
        if before.grant.is_some() && after.access > before.access {
            let message = "must not be higher than was consented to";
            return Err(forbidden("access", message));
        }
        if before.plan != after.plan {
            return Err(forbidden("plan", "is not for members to choose"));
        }
        if after.signing < before.signing {
            return Err(forbidden("signing", "must stay required"));
        }
        if let Some(end) = before.expires_at
            && after.expires_at.is_none_or(|later| later > end)
        {
            return Err(forbidden("expires_at", "must not be moved later"));
        }
        if before.limits == after.limits && before.quotas == after.quotas {
            return Ok(());
        }
        let resolver = self.office.live.resolver();
        check_terms(
            &resolver.terms(before).await?,
            &resolver.terms(after).await?,
        )
    }
}

/// Refuses terms that admit more than `bounds` do.
fn check_terms(bounds: &Terms, asked: &Terms) -> Result<(), Error> {
    let within = "must not admit more than before or than the plan";
    let limited = |bound: &RateLimit| asked.0.iter().any(|limit| limit.is_within(bound));
    if !bounds.0.iter().all(limited) {
        return Err(forbidden("limits", within));
    }
    let limited = |bound: &Quota| asked.1.iter().any(|quota| quota.is_within(bound));
    if !bounds.1.iter().all(limited) {
        return Err(forbidden("quotas", within));
    }
    Ok(())
}

pub(super) fn unknown_owner() -> Error {
    Error::new(ErrorKind::Forbidden, "the owner is not known")
}
