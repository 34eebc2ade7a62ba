//! `default-key` and `bootstrap`: keys that are made once, and shown then.

use mcp_api_keys::IssuedKey;
use serde_json::json;

use super::Keys;
use super::args::{Bootstrap, DefaultKey};
use super::failure::Failure;
use super::issue::format_of;
use super::output::Output;

pub(super) fn default_key(args: &DefaultKey, keys: &Keys, output: Output) -> Result<(), Failure> {
    let server = args.server.as_str();
    keys.manage_in(format_of(&args.writing)?, async |manager| {
        let made = manager.ensure_default_key(server).await?;
        told(
            made,
            output,
            &format!("{server} has had its default key before"),
        )
    })
}

pub(super) fn bootstrap(args: &Bootstrap, keys: &Keys, output: Output) -> Result<(), Failure> {
    keys.manage_in(format_of(&args.writing)?, async |manager| {
        let made = manager.bootstrap(args.owner.clone()).await?;
        told(made, output, "the first admin was made before")
    })
}

/// That the key was made before is no failure: whoever asked wants it to be there.
fn told(made: Option<IssuedKey>, output: Output, otherwise: &str) -> Result<(), Failure> {
    match made {
        Some(issued) => output.created(&issued),
        None if output.is_json() => output.object(&json!({ "created": false })),
        None => output.text(&format!("Nothing was made: {otherwise}.\n")),
    }
}
