//! `update`, `enable`, `disable` and `end-grace`.

use mcp_api_keys::key::{KeyInfo, McpRules, NetworkRules, Revision, Servers};
use mcp_api_keys::{Error, ErrorKind, KeyManager, KeyUpdate};

use super::args::{ChangeKey, Update};
use super::failure::Failure;
use super::find::find;
use super::output::Output;
use super::{Keys, values};

/// How often a change that builds on what it read is tried again.
const ATTEMPTS: usize = 8;

pub(super) fn update(args: &Update, keys: &Keys, output: Output) -> Result<(), Failure> {
    if args.changes_nothing() {
        return Err(Failure::usage(
            "update",
            "nothing to change: name what to set, as in --name NAME (see `mcp-keys help update`)",
        ));
    }
    values::metadata(&args.metadata)?;
    keys.manage(async |manager| {
        let info = find(manager, &args.key, output).await?;
        let changed = apply(manager, args, info, output).await?;
        output.changed(
            &changed,
            &format!("is changed, now of revision {}", changed.revision),
        )
    })
}

/// Lists and facts that are changed in part build on what was read, so they are written only if
/// nobody else has changed the key since, and else built anew.
async fn apply(
    manager: &KeyManager,
    args: &Update,
    mut info: KeyInfo,
    output: Output,
) -> Result<KeyInfo, Failure> {
    let wanted = args.if_revision.map(Revision::new);
    for _ in 0..ATTEMPTS {
        if wanted.is_some_and(|wanted| wanted != info.revision) {
            break;
        }
        match manager.update(info.id, args.on(&info, output)).await {
            Err(error) if error.kind() == ErrorKind::Conflict && wanted.is_none() => {
                let read = manager.get(info.id).await?;
                if read.revision == info.revision {
                    return Err(error.into());
                }
                info = read;
            }
            outcome => return Ok(outcome?),
        }
    }
    let changed = format!(
        "the key was changed by somebody else, it is now of revision {}",
        info.revision
    );
    Err(Error::new(ErrorKind::Conflict, changed).into())
}

impl Update {
    fn changes_nothing(&self) -> bool {
        let named = self.name.is_some()
            || self.description.is_some()
            || self.owner.is_some()
            || !self.servers.is_empty()
            || !self.scopes.is_empty()
            || self.access.is_some()
            || self.signing.is_some()
            || self.plan.is_some()
            || !self.rates.is_empty()
            || !self.quotas.is_empty()
            || self.expiry.after.is_some()
            || self.expiry.at.is_some();
        let removed = self.no_description
            || self.no_owner
            || self.all_servers
            || self.no_servers
            || self.no_scopes
            || self.no_plan
            || self.no_rates
            || self.no_quotas
            || self.no_expiry;
        !named
            && !removed
            && !self.changes_tools()
            && !self.changes_networks()
            && !self.changes_metadata()
    }

    fn changes_tools(&self) -> bool {
        self.no_tool_rules || !self.tools.is_empty()
    }

    fn changes_networks(&self) -> bool {
        self.no_ip_rules || !self.networks.allow.is_empty() || !self.networks.deny.is_empty()
    }

    fn changes_metadata(&self) -> bool {
        !self.metadata.is_empty() || !self.unset_metadata.is_empty()
    }

    /// What is to be changed of the key as it was read.
    fn on(&self, info: &KeyInfo, output: Output) -> KeyUpdate {
        let mut update = KeyUpdate::new();
        if let Some(name) = &self.name {
            update = update.name(name);
        }
        if self.no_description || self.description.is_some() {
            update = update.description(self.description.clone());
        }
        if self.no_owner || self.owner.is_some() {
            update = update.owner(self.owner.clone());
        }
        if self.all_servers {
            update = update.servers(Servers::All);
        } else if self.no_servers || !self.servers.is_empty() {
            update = update.servers(Servers::Only(self.servers.iter().cloned().collect()));
        }
        if self.no_scopes || !self.scopes.is_empty() {
            update = update.scopes(self.scopes.iter().cloned().collect());
        }
        if let Some(access) = self.access {
            update = update.access(access);
        }
        if let Some(signing) = self.signing {
            update = update.signing(signing);
        }
        if self.no_plan || self.plan.is_some() {
            update = update.plan(self.plan.clone());
        }
        if self.no_rates || !self.rates.is_empty() {
            update = update.limits(self.rates.clone());
        }
        if self.no_quotas || !self.quotas.is_empty() {
            update = update.quotas(self.quotas.clone());
        }
        if let Some(duration) = self.expiry.after {
            update = update.expires_at(Some(output.now().saturating_add(duration)));
        } else if self.no_expiry || self.expiry.at.is_some() {
            update = update.expires_at(self.expiry.at);
        }
        if self.changes_tools() {
            let none = McpRules::default();
            let before = if self.no_tool_rules { &none } else { &info.mcp };
            update = update.mcp(self.tools.on(before));
        }
        if self.changes_networks() {
            update = update.networks(self.networks_on(info));
        }
        if self.changes_metadata() {
            update = update.metadata(self.metadata_on(info));
        }
        let builds_on_it =
            self.changes_tools() || self.changes_networks() || self.changes_metadata();
        match self.if_revision {
            Some(wanted) => update.only_at(Revision::new(wanted)),
            None if builds_on_it => update.only_at(info.revision),
            None => update,
        }
    }

    fn networks_on(&self, info: &KeyInfo) -> NetworkRules {
        let list = |named: &[_], before: &[_]| match named {
            [] if self.no_ip_rules => Vec::new(),
            [] => before.to_vec(),
            named => named.to_vec(),
        };
        NetworkRules::new(
            list(&self.networks.allow, info.networks.allow()),
            list(&self.networks.deny, info.networks.deny()),
        )
    }

    fn metadata_on(&self, info: &KeyInfo) -> mcp_api_keys::key::Metadata {
        let mut facts = info.metadata.clone();
        facts.retain(|key, _| !self.unset_metadata.contains(key));
        facts.extend(self.metadata.iter().cloned());
        facts
    }
}

pub(super) fn enable(args: &ChangeKey, keys: &Keys, output: Output) -> Result<(), Failure> {
    keys.manage(async |manager| {
        let id = find(manager, &args.one.key, output).await?.id;
        output.changed(&manager.enable(id).await?, "is enabled")
    })
}

pub(super) fn disable(args: &ChangeKey, keys: &Keys, output: Output) -> Result<(), Failure> {
    keys.manage(async |manager| {
        let id = find(manager, &args.one.key, output).await?.id;
        output.changed(&manager.disable(id).await?, "is disabled")
    })
}

pub(super) fn end_grace(args: &ChangeKey, keys: &Keys, output: Output) -> Result<(), Failure> {
    keys.manage(async |manager| {
        let id = find(manager, &args.one.key, output).await?.id;
        let info = manager.end_grace(id).await?;
        output.changed(&info, "has no secret but this one")
    })
}
