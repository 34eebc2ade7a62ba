//! `connections` and `disconnect`: the keys that programs use on behalf of owners.

use mcp_api_keys::key::KeyInfo;
use mcp_api_keys::store::KeyFilter;
use serde_json::json;

use super::Keys;
use super::args::{ChangeKey, Connections};
use super::failure::Failure;
use super::find::find;
use super::output::{
    Output, Shown, client, dash, or_never, owner, scopes, servers, status, to_the_second,
};
use super::read::pages;
use super::standing::Standing;

const HEAD: [&str; 11] = [
    "KEY",
    "CLIENT",
    "OWNER",
    "NAME",
    "STATUS",
    "SERVERS",
    "SCOPES",
    "ACCESS",
    "CREATED",
    "LAST USED",
    "EXPIRES",
];

pub(super) fn connections(args: &Connections, keys: &Keys, output: Output) -> Result<(), Failure> {
    let mut filter = KeyFilter::default();
    filter.owner.clone_from(&args.owner);
    filter.connections = Some(true);
    keys.manage(async |manager| {
        let (found, _) = pages(manager, &filter, None, None).await?;
        let mut listed = Vec::with_capacity(found.len());
        for info in found {
            let standing = Standing::of(manager, &info).await?;
            listed.push((info, standing));
        }
        if output.is_json() {
            let listed = listed.iter();
            let shown = listed.map(|(info, standing)| standing.shown_with(Shown::of(info)));
            return output.object(&json!({ "connections": shown.collect::<Vec<_>>() }));
        }
        let rows = listed
            .iter()
            .map(|(info, standing)| row(info, standing, output));
        output.list(HEAD, rows.collect(), "There are no connections.")
    })
}

/// What the connection may do at present, by its owner's rights and role.
fn row(info: &KeyInfo, standing: &Standing, output: Output) -> [String; 11] {
    let rights = standing.rights.as_ref().unwrap_or(info);
    [
        info.masked.clone(),
        info.connection.as_ref().map_or_else(dash, client),
        owner(info),
        info.name.clone(),
        status(info, output.now()).to_owned(),
        servers(&rights.servers),
        scopes(&rights.scopes),
        rights.access.to_string(),
        to_the_second(info.created_at),
        or_never(info.last_used_at),
        or_never(info.expires_at),
    ]
}

pub(super) fn disconnect(args: &ChangeKey, keys: &Keys, output: Output) -> Result<(), Failure> {
    keys.manage(async |manager| {
        let id = find(manager, &args.one.key, output).await?.id;
        output.changed(&manager.disconnect(id).await?, "is disconnected for good")
    })
}
