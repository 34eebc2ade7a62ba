//! Which keys: filters and pages.

use serde::Deserialize;
use utoipa::ToSchema;

use super::fault::Fault;
use super::schema::{KeyIdText, OwnerText, PlanText, ServerText, StatusWord, TimeText};
use crate::clock::Timestamp;
use crate::key::{KeyId, OwnerId, PlanName, ServerName, StatusKind};
use crate::store::{KeyFilter, PageRequest};

/// Keys that match all of what is named. Something must be.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = KeyChoice)]
pub(super) struct AskedChoice {
    #[schema(value_type = Option<OwnerText>)]
    owner: Option<OwnerId>,
    /// Keys for all servers are spared.
    #[schema(value_type = Option<ServerText>)]
    server: Option<ServerName>,
    #[schema(value_type = Option<PlanText>)]
    plan: Option<PlanName>,
    /// Part of the name, whatever its case.
    name: Option<String>,
    #[schema(value_type = Option<TimeText>)]
    expires_before: Option<Timestamp>,
    #[schema(value_type = Option<TimeText>)]
    created_before: Option<Timestamp>,
    /// Not used since.
    #[schema(value_type = Option<TimeText>)]
    idle_since: Option<Timestamp>,
    /// Only connections, or only keys that are none.
    connections: Option<bool>,
}

impl AskedChoice {
    pub(super) fn into_filter(self) -> KeyFilter {
        KeyFilter {
            owner: self.owner,
            server: self.server,
            plan: self.plan,
            name_contains: self.name,
            expires_before: self.expires_before,
            created_before: self.created_before,
            idle_since: self.idle_since,
            connections: self.connections,
            ..KeyFilter::default()
        }
    }
}

/// Which keys to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AskedKeys {
    /// Only keys of this owner.
    #[param(value_type = Option<OwnerText>)]
    owner: Option<OwnerId>,
    /// Only keys that open this server; those for all servers do.
    #[param(value_type = Option<ServerText>)]
    server: Option<ServerName>,
    /// Only keys with this status.
    #[param(value_type = Option<StatusWord>)]
    status: Option<String>,
    /// Only keys whose name contains this text, whatever the case of ASCII letters.
    name: Option<String>,
    /// Only keys on this plan.
    #[param(value_type = Option<PlanText>)]
    plan: Option<PlanName>,
    /// Only keys that expire before this time.
    #[param(value_type = Option<TimeText>)]
    expires_before: Option<Timestamp>,
    /// Only keys made before this time.
    #[param(value_type = Option<TimeText>)]
    created_before: Option<Timestamp>,
    /// Only keys not used since this time.
    #[param(value_type = Option<TimeText>)]
    idle_since: Option<Timestamp>,
    /// Only connections, or only keys that are none.
    connections: Option<bool>,
    /// Revoked keys too. Asking for the status implies it.
    all: Option<bool>,
    /// At most this many.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
    /// Only keys after this one: the `next` of the page before.
    #[param(value_type = Option<KeyIdText>)]
    after: Option<KeyId>,
}

impl AskedKeys {
    pub(super) fn filter(&self) -> Result<KeyFilter, Fault> {
        let status = self.status.as_deref().map(str::parse::<StatusKind>);
        let status = status.transpose().map_err(|error| {
            Fault::malformed(format!("invalid status: {error}")).in_field("status")
        })?;
        Ok(KeyFilter {
            owner: self.owner.clone(),
            server: self.server.clone(),
            status,
            name_contains: self.name.clone(),
            plan: self.plan.clone(),
            expires_before: self.expires_before,
            created_before: self.created_before,
            idle_since: self.idle_since,
            connections: self.connections,
            include_revoked: self.all.unwrap_or_default(),
        })
    }

    pub(super) fn page(&self) -> Result<PageRequest, Fault> {
        page(self.limit, self.after)
    }
}

pub(super) fn page(limit: Option<usize>, after: Option<KeyId>) -> Result<PageRequest, Fault> {
    let size = size(limit)?;
    Ok(PageRequest { after, size })
}

/// How many to read at once.
pub(super) fn size(limit: Option<usize>) -> Result<usize, Fault> {
    match limit {
        None => Ok(100),
        Some(size @ 1..=1_000) => Ok(size),
        Some(_) => Err(Fault::malformed("invalid limit: must be 1 to 1,000").in_field("limit")),
    }
}
