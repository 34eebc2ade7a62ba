//! `create` and `rotate`: the commands that show a key in clear.

use mcp_api_keys::key::McpRules;
use mcp_api_keys::{KeyFormat, NewKey};

use super::args::{Create, Rotate, Writing};
use super::failure::Failure;
use super::find::find;
use super::output::Output;
use super::{Keys, values};

pub(super) fn create(args: &Create, keys: &Keys, output: Output) -> Result<(), Failure> {
    let format = format_of(&args.writing)?;
    let facts = values::metadata(&args.metadata)?;
    let mut new = NewKey::named(&args.name).scopes(args.scopes.iter().cloned());
    if let Some(text) = &args.description {
        new = new.description(text);
    }
    if let Some(owner) = &args.owner {
        new = new.owner(owner.as_str());
    }
    for server in &args.servers {
        new = new.server(server.as_str());
    }
    if args.all_servers {
        new = new.all_servers();
    }
    if args.read_only {
        new = new.read_only();
    }
    if args.signed_only {
        new = new.signed_only();
    }
    if let Some(client) = &args.client {
        new = new.connection(client.as_str());
    }
    new = new.mcp(args.tools.on(&McpRules::default()));
    for network in &args.networks.allow {
        new = new.allow_from(*network);
    }
    for network in &args.networks.deny {
        new = new.deny_from(*network);
    }
    if let Some(plan) = &args.plan {
        new = new.plan(plan.as_str());
    }
    for limit in &args.rates {
        new = new.rate(limit.clone());
    }
    for quota in &args.quotas {
        new = new.quota(quota.clone());
    }
    for (key, value) in facts {
        new = new.metadata(key, value);
    }
    if let Some(duration) = args.expiry.after {
        new = new.expires_in(duration);
    }
    if let Some(time) = args.expiry.at {
        new = new.expires_at(time);
    }
    if args.inactive {
        new = new.inactive();
    }
    keys.manage_in(format, async |manager| {
        output.issued(&manager.issue(new).await?)
    })
}

/// Without a word on how to write it, the new key is written as the old one was.
pub(super) fn rotate(args: &Rotate, keys: &Keys, output: Output) -> Result<(), Failure> {
    let grace = args.grace();
    let says_how = args.writing.format.is_some() || args.writing.prefix.is_some();
    let format = says_how.then(|| format_of(&args.writing)).transpose()?;
    keys.manage(async |manager| {
        let id = find(manager, &args.one.key, output).await?.id;
        let issued = match &format {
            None => manager.rotate_with(id, grace).await?,
            Some(format) => manager.rotate_in(id, grace, format).await?,
        };
        output.issued(&issued)
    })
}

pub(super) fn format_of(writing: &Writing) -> Result<KeyFormat, Failure> {
    writing
        .to_format()
        .map_err(|error| Failure::usage("prefix", format!("--prefix: {error}")))
}
