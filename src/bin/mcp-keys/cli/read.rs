//! `list` and `show`.

use std::num::NonZeroUsize;

use mcp_api_keys::KeyManager;
use mcp_api_keys::key::{KeyId, KeyInfo};
use mcp_api_keys::store::{KeyFilter, PageRequest};

use super::Keys;
use super::args::{List, OneKey};
use super::failure::Failure;
use super::find::find;
use super::output::Output;
use super::standing::Standing;

/// How many keys are read at once.
const PAGE: usize = 1_000;

pub(super) fn list(args: &List, keys: &Keys, output: Output) -> Result<(), Failure> {
    let mut filter = KeyFilter::default();
    filter.owner.clone_from(&args.owner);
    filter.server.clone_from(&args.server);
    filter.status = args.status;
    filter.name_contains.clone_from(&args.name);
    filter.expires_before = args.expires_before.map(|when| when.after(output.now()));
    filter.plan.clone_from(&args.plan);
    filter.created_before = args.created_before.map(|when| when.before(output.now()));
    filter.idle_since = args.idle_for.map(|idle| output.now().saturating_sub(idle));
    filter.connections = args.connections.then_some(true);
    filter.include_revoked = args.all;
    keys.manage(async |manager| {
        let (found, next) = pages(manager, &filter, args.after, args.limit).await?;
        output.keys(&found, next.map(|id| id.to_string()))
    })
}

/// Reads page after page until there are no more, or as many as are wanted.
pub(super) async fn pages(
    manager: &KeyManager,
    filter: &KeyFilter,
    mut after: Option<KeyId>,
    limit: Option<NonZeroUsize>,
) -> Result<(Vec<KeyInfo>, Option<KeyId>), Failure> {
    let wanted = limit.map_or(usize::MAX, NonZeroUsize::get);
    let mut found = Vec::new();
    loop {
        let size = wanted.saturating_sub(found.len()).min(PAGE);
        let page = manager.list(filter, PageRequest { after, size }).await?;
        found.extend(page.keys);
        after = page.next;
        if after.is_none() || found.len() >= wanted {
            return Ok((found, after));
        }
    }
}

pub(super) fn show(args: &OneKey, keys: &Keys, output: Output) -> Result<(), Failure> {
    keys.manage(async |manager| {
        let info = find(manager, &args.key, output).await?;
        let standing = Standing::of(manager, &info).await?;
        output.key(&info, &standing)
    })
}
