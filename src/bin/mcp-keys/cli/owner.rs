//! `owner`: what owners may do.

use mcp_api_keys::key::{Access, Owner, Role, Servers};
use mcp_api_keys::store::DocumentPage;
use mcp_api_keys::{Error, ErrorKind, KeyManager};
use serde_json::json;

use super::Keys;
use super::args::{ListOwners, OwnerCommand, SetOwner};
use super::failure::Failure;
use super::output::{Output, scopes, servers, table};

/// How often a change that builds on what it read is tried again.
const ATTEMPTS: usize = 8;

/// How many owners are read at once.
const PAGE: usize = 1_000;

const HEAD: [&str; 6] = ["OWNER", "ROLE", "STATUS", "SERVERS", "SCOPES", "ACCESS"];

pub(super) fn owner(command: &OwnerCommand, keys: &Keys, output: Output) -> Result<(), Failure> {
    keys.manage(async |manager| match command {
        OwnerCommand::Set(args) => changed(&set(manager, args).await?, "is set", output),
        OwnerCommand::List(args) => list(manager, args, output).await,
        OwnerCommand::Show(args) => {
            let known = manager.owner(&args.id).await?;
            shown(&known.ok_or_else(unknown)?, output)
        }
        OwnerCommand::Suspend(args) => {
            let owner = manager.suspend_owner(&args.id).await?;
            changed(&owner, "is suspended: none of their keys work", output)
        }
        OwnerCommand::Resume(args) => {
            let owner = manager.resume_owner(&args.id).await?;
            changed(&owner, "is resumed", output)
        }
        OwnerCommand::Remove(args) => {
            manager.remove_owner(&args.id).await?;
            if output.is_json() {
                output.object(&json!({ "id": args.id, "removed": true }))
            } else {
                output.text(&format!("{} is removed.\n", args.id))
            }
        }
    })
}

/// Builds on the owner as they are read, and again if somebody else changed them in between. What
/// is as it is to be is not written again.
async fn set(manager: &KeyManager, args: &SetOwner) -> Result<Owner, Failure> {
    for _ in 0..ATTEMPTS {
        let known = manager.owner(&args.id).await?;
        let owner = args.on(known.clone());
        if known.as_ref() == Some(&owner) {
            return Ok(owner);
        }
        match manager.put_owner(owner).await {
            Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => {}
            outcome => return Ok(outcome?),
        }
    }
    let changed = "the owner is being changed by others all the time";
    Err(Error::new(ErrorKind::Conflict, changed).into())
}

impl SetOwner {
    /// The owner with what is named set.
    fn on(&self, known: Option<Owner>) -> Owner {
        let mut owner = known.unwrap_or_else(|| match self.role {
            Some(Role::Admin) => Owner::admin(self.id.clone()),
            _ => Owner::member(self.id.clone()),
        });
        if let Some(role) = self.role {
            owner.role = role;
        }
        if self.all_servers {
            owner.servers = Servers::All;
        } else if self.no_servers || !self.servers.is_empty() {
            owner.servers = Servers::Only(self.servers.iter().cloned().collect());
        }
        if self.no_scopes || !self.scopes.is_empty() {
            owner.scopes = self.scopes.iter().cloned().collect();
        }
        if self.read_only {
            owner.access = Access::ReadOnly;
        } else if let Some(access) = self.access {
            owner.access = access;
        }
        owner
    }
}

async fn list(manager: &KeyManager, args: &ListOwners, output: Output) -> Result<(), Failure> {
    let wanted = args.limit.map_or(usize::MAX, |limit| limit.get());
    let mut after = args.after.as_ref().map(ToString::to_string);
    let mut found: Vec<Owner> = Vec::new();
    let more = loop {
        let size = wanted.saturating_sub(found.len()).min(PAGE);
        if size == 0 {
            break more(manager, after.clone()).await?;
        }
        let page = DocumentPage { after, size };
        let owners = manager.owners(&page).await?;
        let is_last = owners.len() < size;
        found.extend(owners);
        after = found.last().map(|owner| owner.id.to_string());
        if is_last {
            break false;
        }
    };
    let next = after.filter(|_| more);
    if output.is_json() {
        return output.object(&json!({ "owners": found, "next": next }));
    }
    let rows = found.iter().map(row).collect();
    output.list(HEAD, rows, "No owners are known.")?;
    if let Some(next) = next {
        output.note(&format!("There are more: --after {next}"));
    }
    Ok(())
}

async fn more(manager: &KeyManager, after: Option<String>) -> Result<bool, Failure> {
    let page = DocumentPage { after, size: 1 };
    Ok(!manager.owners(&page).await?.is_empty())
}

fn shown(owner: &Owner, output: Output) -> Result<(), Failure> {
    if output.is_json() {
        output.object(owner)
    } else {
        output.text(&table(HEAD, &[row(owner)]))
    }
}

fn changed(owner: &Owner, what: &str, output: Output) -> Result<(), Failure> {
    if output.is_json() {
        output.object(owner)
    } else {
        output.text(&format!("{} {what}.\n", owner.id))
    }
}

fn row(owner: &Owner) -> [String; 6] {
    [
        owner.id.to_string(),
        owner.role.to_string(),
        if owner.active { "active" } else { "suspended" }.to_owned(),
        servers(&owner.servers),
        scopes(&owner.scopes),
        owner.access.to_string(),
    ]
}

fn unknown() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such owner")
}
