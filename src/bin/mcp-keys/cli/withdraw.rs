//! `revoke` and `delete`: the commands that cannot be undone.

use std::io::{self, IsTerminal as _, Write as _};

use mcp_api_keys::key::KeyInfo;
use mcp_api_keys::{Error, ErrorKind};
use serde_json::json;

use super::Keys;
use super::args::{Delete, Revoke};
use super::failure::Failure;
use super::find::find;
use super::output::{Output, named};

pub(super) fn revoke(args: &Revoke, keys: &Keys, output: Output) -> Result<(), Failure> {
    keys.manage(async |manager| {
        let id = find(manager, &args.one.key, output).await?.id;
        let info = manager.revoke(id, args.reason.as_deref()).await?;
        output.changed(&info, "is revoked for good")
    })
}

pub(super) fn delete(args: &Delete, keys: &Keys, output: Output) -> Result<(), Failure> {
    let somebody_answers = io::stdin().is_terminal() && !output.is_json();
    if !args.yes && !somebody_answers {
        return Err(Failure::usage(
            "yes",
            "--yes is needed to delete a key where nobody can be asked",
        ));
    }
    keys.manage(async |manager| {
        let info = find(manager, &args.one.key, output).await?;
        if !args.yes && !confirmed(&info) {
            return Err(Failure::failed("nothing was deleted"));
        }
        if !manager.delete(info.id).await? {
            return Err(Error::new(ErrorKind::NotFound, "there is no such key").into());
        }
        if output.is_json() {
            output.object(&json!({ "id": info.id, "handle": info.handle, "deleted": true }))
        } else {
            output.text(&format!("{} is deleted.\n", named(&info)))
        }
    })
}

/// Asks on the terminal; nothing but a clear yes is one.
fn confirmed(info: &KeyInfo) -> bool {
    let mut answer = String::new();
    let asked = write!(
        io::stderr(),
        "Delete {}? It cannot be brought back. [y/N] ",
        named(info)
    );
    asked.is_ok()
        && io::stdin().read_line(&mut answer).is_ok()
        && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}
