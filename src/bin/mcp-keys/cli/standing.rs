//! What a key may do at present, and what it has used: its record, bounded by its owner, under its
//! plan.

use mcp_api_keys::key::{Access, KeyInfo, Owner, Quota, QuotaStatus, RateLimit, ScopeSet, Servers};
use mcp_api_keys::{Error, ErrorKind, KeyManager};
use serde::Serialize;

use super::failure::Failure;
use super::output::shown::Shown;

/// How a key stands.
#[derive(Debug)]
pub(super) struct Standing {
    /// Its owner, if they are known.
    pub(super) owner: Option<Owner>,
    /// The key as its owner and its plan leave it; nothing where that cannot be told, as for a
    /// revoked key whose plan is gone.
    pub(super) rights: Option<KeyInfo>,
    /// What it has used of its quotas, its plan's included.
    pub(super) quotas: Vec<QuotaStatus>,
}

impl Standing {
    pub(super) async fn of(manager: &KeyManager, info: &KeyInfo) -> Result<Self, Failure> {
        let owner = match &info.owner {
            Some(id) => manager.owner(id).await?,
            None => None,
        };
        let rights = if_it_can_be_told(manager.rights(info.id).await)?;
        let quotas = if_it_can_be_told(manager.quotas(info.id).await)?;
        Ok(Self {
            owner,
            rights,
            quotas: quotas.unwrap_or_default(),
        })
    }

    /// The key and how it stands, for programs.
    pub(super) fn shown_with<'a>(&'a self, key: Shown<'a>) -> ShownStanding<'a> {
        ShownStanding {
            key,
            owner_active: self.owner.as_ref().map(|owner| owner.active),
            rights: self.rights.as_ref().map(|rights| Rights {
                servers: &rights.servers,
                scopes: &rights.scopes,
                access: rights.access,
                limits: &rights.limits,
                quotas: &rights.quotas,
            }),
            quota_status: &self.quotas,
        }
    }
}

fn if_it_can_be_told<T>(outcome: Result<T, Error>) -> Result<Option<T>, Error> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(None),
        outcome => outcome.map(Some),
    }
}

/// A key and how it stands.
#[derive(Serialize)]
pub(super) struct ShownStanding<'a> {
    #[serde(flatten)]
    key: Shown<'a>,
    /// Nothing where the owner is not known.
    owner_active: Option<bool>,
    rights: Option<Rights<'a>>,
    quota_status: &'a [QuotaStatus],
}

#[derive(Serialize)]
struct Rights<'a> {
    servers: &'a Servers,
    scopes: &'a ScopeSet,
    access: Access,
    limits: &'a [RateLimit],
    quotas: &'a [Quota],
}
