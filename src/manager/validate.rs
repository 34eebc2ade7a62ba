//! What a record must fulfil to be stored; each fault names its field.

use std::collections::BTreeSet;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::key::{KeyRecord, McpRules, Metadata, Plan, Quota, RateLimit};

const NAME: usize = 200;
const DESCRIPTION: usize = 1_000;
const REASON: usize = 500;
const METADATA: usize = 16 * 1_024;
const LIMITS: usize = 16;
const RULES: usize = 1_000;
const PATTERNS: usize = 200;

/// Checks a record; with `now`, that it has not expired already.
pub(super) fn record(record: &KeyRecord, now: Option<Timestamp>) -> Result<(), Error> {
    text("name", &record.name, NAME)?;
    if record.name.trim().is_empty() {
        return Err(Error::invalid("name", "must not be empty"));
    }
    if let Some(description) = &record.description {
        text("description", description, DESCRIPTION)?;
    }
    limits(&record.limits)?;
    quotas(&record.quotas)?;
    if record.connection.is_some() && record.owner.is_none() {
        return Err(Error::invalid(
            "owner",
            "must be named: a connection is somebody's",
        ));
    }
    metadata(&record.metadata)?;
    if record.networks.allow().len() + record.networks.deny().len() > RULES {
        return Err(Error::invalid("networks", "must be at most 1,000 rules"));
    }
    mcp(&record.mcp)?;
    match (record.expires_at, now) {
        (Some(end), Some(now)) => expiry(end, now),
        _ => Ok(()),
    }
}

/// Checks the reason of a revocation.
pub(super) fn reason(reason: Option<&str>) -> Result<(), Error> {
    reason.map_or(Ok(()), |reason| text("reason", reason, REASON))
}

/// Checks that an expiry is still to come.
pub(super) fn expiry(end: Timestamp, now: Timestamp) -> Result<(), Error> {
    if end <= now {
        return Err(Error::invalid("expires_at", "must be in the future"));
    }
    Ok(())
}

pub(super) fn text(field: &'static str, text: &str, most: usize) -> Result<(), Error> {
    if text.chars().count() > most {
        return Err(Error::invalid(
            field,
            format!("must be at most {most} characters"),
        ));
    }
    if text
        .chars()
        .any(|c| c.is_control() && c != '\n' && c != '\t')
    {
        return Err(Error::invalid(field, "must not hold control characters"));
    }
    Ok(())
}

/// Checks what a plan says.
pub(super) fn plan(plan: &Plan) -> Result<(), Error> {
    limits(&plan.limits)?;
    quotas(&plan.quotas)
}

fn quotas(quotas: &[Quota]) -> Result<(), Error> {
    if quotas.len() > LIMITS {
        return Err(Error::invalid("quotas", "must be at most 16"));
    }
    if let Some(fault) = quotas.iter().find_map(Quota::fault) {
        return Err(Error::invalid("quotas", fault));
    }
    different("quotas", quotas.iter().map(Quota::name))
}

fn limits(limits: &[RateLimit]) -> Result<(), Error> {
    if limits.len() > LIMITS {
        return Err(Error::invalid("limits", "must be at most 16"));
    }
    if let Some(fault) = limits.iter().find_map(RateLimit::fault) {
        return Err(Error::invalid("limits", fault));
    }
    different("limits", limits.iter().map(RateLimit::name))
}

/// What is spent is noted under the name, so no two may share one.
fn different<'a>(field: &'static str, names: impl Iterator<Item = &'a str>) -> Result<(), Error> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            let message = format!("two {field} have the name {name:?}");
            return Err(Error::invalid(field, message));
        }
    }
    Ok(())
}

/// Each list is gone through at each call.
fn mcp(rules: &McpRules) -> Result<(), Error> {
    for names in [rules.tools(), rules.prompts(), rules.resources()] {
        if names.allow().len().max(names.deny().len()) > PATTERNS {
            return Err(Error::invalid(
                "mcp",
                "must be at most 200 patterns in each list",
            ));
        }
    }
    Ok(())
}

fn metadata(metadata: &Metadata) -> Result<(), Error> {
    let size: usize = metadata
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if size > METADATA {
        return Err(Error::invalid("metadata", "must be at most 16 KiB in all"));
    }
    if metadata.keys().any(String::is_empty) {
        return Err(Error::invalid("metadata", "must not have an empty key"));
    }
    Ok(())
}
