//! What can be done here, and what it takes.

use super::Right;
use crate::key::KeyInfo;
use crate::rejection::{Rejection, RejectionKind};

/// Something that the API or the page does for whoever holds a key.
///
/// | acts | scope | members |
/// |---|---|---|
/// | see keys, connections and risky keys | `keys:read` | their own |
/// | make, change, switch on and off, rotate, end an old secret, revoke, delete, disconnect | `keys:write` | their own |
/// | import keys | `keys:write` | no |
/// | see owners | `owners:read` | themselves |
/// | define, suspend, resume, remove owners | `owners:write` | no |
/// | see plans | `plans:read` | yes |
/// | define, remove plans | `plans:write` | no |
/// | see what keys were used for | `usage:read` | their own |
/// | see the trail | `audit:read` | of their own keys |
/// | see alerts | `alerts:read` | about their own keys |
/// | see messages that were given up | `alerts:read` | no |
/// | acknowledge alerts | `alerts:write` | about their own keys |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::admin) enum Act {
    SeeKeys,
    SeeConnections,
    SeeRisks,
    MakeKey,
    ImportKeys,
    ChangeKey,
    SwitchKey,
    RotateKey,
    EndGrace,
    RevokeKeys,
    DeleteKey,
    Disconnect,
    SeeOwners,
    DefineOwner,
    SuspendOwner,
    RemoveOwner,
    SeePlans,
    DefinePlan,
    RemovePlan,
    SeeUsage,
    SeeTrail,
    SeeAlerts,
    SeeDeadLetters,
    AcknowledgeAlert,
}

impl Act {
    /// The scope that it takes.
    pub(in crate::admin) const fn right(self) -> Right {
        match self {
            Self::SeeKeys | Self::SeeConnections | Self::SeeRisks => Right::KeysRead,
            Self::MakeKey
            | Self::ImportKeys
            | Self::ChangeKey
            | Self::SwitchKey
            | Self::RotateKey
            | Self::EndGrace
            | Self::RevokeKeys
            | Self::DeleteKey
            | Self::Disconnect => Right::KeysWrite,
            Self::SeeOwners => Right::OwnersRead,
            Self::DefineOwner | Self::SuspendOwner | Self::RemoveOwner => Right::OwnersWrite,
            Self::SeePlans => Right::PlansRead,
            Self::DefinePlan | Self::RemovePlan => Right::PlansWrite,
            Self::SeeUsage => Right::UsageRead,
            Self::SeeTrail => Right::AuditRead,
            Self::SeeAlerts | Self::SeeDeadLetters => Right::AlertsRead,
            Self::AcknowledgeAlert => Right::AlertsWrite,
        }
    }

    /// Whether members are not offered it: of these things they see nothing, or a part that is shown
    /// elsewhere.
    pub(in crate::admin) const fn is_for_admins(self) -> bool {
        matches!(
            self,
            Self::ImportKeys
                | Self::SeeOwners
                | Self::DefineOwner
                | Self::SuspendOwner
                | Self::RemoveOwner
                | Self::DefinePlan
                | Self::RemovePlan
                | Self::SeeTrail
                | Self::SeeDeadLetters
        )
    }

    /// Refuses `key`, as it stands at present, if it lacks the scope, or is read-only where something is
    /// to be changed.
    pub(in crate::admin) fn check(self, key: &KeyInfo) -> Result<(), Rejection> {
        let right = self.right();
        if !right.is_held_by(key) {
            return Err(right.missing());
        }
        if right.changes() && !key.access.is_full() {
            return Err(Rejection::new(RejectionKind::ReadOnly));
        }
        Ok(())
    }

    /// Whether `key` is not refused.
    pub(in crate::admin) fn is_open_to(self, key: &KeyInfo) -> bool {
        self.check(key).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::scope::tests::key;
    use super::*;
    use crate::key::{Access, Servers};

    const ALL: [Act; 24] = [
        Act::SeeKeys,
        Act::SeeConnections,
        Act::SeeRisks,
        Act::MakeKey,
        Act::ImportKeys,
        Act::ChangeKey,
        Act::SwitchKey,
        Act::RotateKey,
        Act::EndGrace,
        Act::RevokeKeys,
        Act::DeleteKey,
        Act::Disconnect,
        Act::SeeOwners,
        Act::DefineOwner,
        Act::SuspendOwner,
        Act::RemoveOwner,
        Act::SeePlans,
        Act::DefinePlan,
        Act::RemovePlan,
        Act::SeeUsage,
        Act::SeeTrail,
        Act::SeeAlerts,
        Act::SeeDeadLetters,
        Act::AcknowledgeAlert,
    ];

    #[test]
    fn an_act_takes_its_scope_and_no_other() {
        for act in ALL {
            let scope = act.right().as_str();
            assert!(act.is_open_to(&key(Servers::default(), &[scope])));
            let others: Vec<_> = Right::ALL
                .into_iter()
                .filter(|right| *right != act.right())
                .map(Right::as_str)
                .collect();
            let refused = act.check(&key(Servers::All, &others)).unwrap_err();
            assert_eq!(refused.kind(), RejectionKind::ScopeMissing, "{act:?}");
        }
    }

    #[test]
    fn whatever_is_not_seen_changes_something_and_takes_full_access() {
        let mut reader = key(Servers::All, &["*"]);
        reader.access = Access::ReadOnly;
        for act in ALL {
            let sees = format!("{act:?}").starts_with("See");
            let refused = act.check(&reader).err().map(|error| error.kind());
            assert_eq!(refused.is_none(), sees, "{act:?}");
            assert!(sees || refused == Some(RejectionKind::ReadOnly), "{act:?}");
        }
    }
}
