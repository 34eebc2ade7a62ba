//! Owners: what is decided about them, and where they are known from.

use std::sync::Arc;

use super::{ApiKeys, ApiKeysBuilder};
use crate::key::{OwnerId, PlanName};
use crate::rights::OwnerDirectory;

impl ApiKeys {
    /// Says that an owner's rights have changed in the [directory](ApiKeysBuilder::owner_directory):
    /// it is asked again before a key of theirs is honoured here. Owners that the store knows need
    /// no such word.
    pub fn owner_changed(&self, owner: &OwnerId) {
        self.shared.verifier.live().owner_changed(owner);
    }
}

impl ApiKeysBuilder {
    /// Asks `directory` what owners may do, instead of the store. Keys of an owner that it does not
    /// know are refused.
    pub fn owner_directory(mut self, directory: impl OwnerDirectory) -> Self {
        self.owners = Some(Arc::new(directory));
        self
    }

    /// Whether keys are made for known owners only, and refused if their owner is not known (or no
    /// longer). Off by default: the name of an owner that the store does not know is a label.
    pub fn known_owners_only(mut self, on: bool) -> Self {
        self.owner_policy.known_only = on;
        self
    }

    /// Whether members, that is [principals](crate::Principal::member) who are no admins, may only
    /// look at their keys. Off by default: they make, change and withdraw them.
    pub fn only_admins_change_keys(mut self, on: bool) -> Self {
        self.owner_policy.only_admins_change = on;
        self
    }

    /// Puts every key that a member makes on `plan`: they can neither choose another nor give a key
    /// limits that admit more. Default: members choose, as admins do.
    pub fn members_plan(mut self, plan: PlanName) -> Self {
        self.owner_policy.members_plan = Some(plan);
        self
    }
}
