//! `revoke` and `delete`: the commands that cannot be undone.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use mcp_api_keys::key::{KeyId, KeyInfo, Servers};
use mcp_api_keys::store::KeyFilter;
use mcp_api_keys::{Error, ErrorKind, Timestamp, Withdrawn};
use serde_json::{Value, json};

use super::Keys;
use super::args::{Choice, Delete, Revoke};
use super::failure::{Failure, redacted};
use super::find::find;
use super::output::{Output, Shown, dash, named, or_dash, owner};
use super::read::pages;

const HEAD: [&str; 6] = ["OUTCOME", "KEY", "ID", "NAME", "OWNER", "WHY"];

/// One key, or all that are chosen.
pub(super) fn revoke(args: &Revoke, keys: &Keys, output: Output) -> Result<ExitCode, Failure> {
    let Some(key) = &args.key else {
        return revoke_chosen(args, keys, output);
    };
    keys.manage(async |manager| {
        let id = find(manager, key, output).await?.id;
        let info = manager.revoke(id, args.reason.as_deref()).await?;
        output.changed(&info, "is revoked for good")
    })?;
    Ok(ExitCode::SUCCESS)
}

fn revoke_chosen(args: &Revoke, keys: &Keys, output: Output) -> Result<ExitCode, Failure> {
    check_consent(args.yes, "to revoke several keys", output)?;
    let filter = args.choice.filter(output.now());
    let withdrawn = keys.manage(async |manager| {
        if !args.yes {
            let (found, _) = pages(manager, &filter, None, None).await?;
            let is_spared =
                |info: &KeyInfo| filter.server.is_some() && info.servers == Servers::All;
            let count = found.iter().filter(|info| !is_spared(info)).count();
            let keys = if count == 1 { "key" } else { "keys" };
            if count > 0 && !confirmed(&format!("Revoke {count} {keys} for good?")) {
                return Err(Failure::failed("nothing was revoked"));
            }
        }
        Ok(manager.revoke_all(&filter, args.reason.as_deref()).await?)
    })?;
    let any_failed = !withdrawn.failed.is_empty();
    told(withdrawn, output)?;
    Ok(if any_failed {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}

impl Choice {
    fn filter(&self, now: Timestamp) -> KeyFilter {
        let mut filter = KeyFilter::default();
        filter.owner.clone_from(&self.owner);
        filter.server.clone_from(&self.server);
        filter.plan.clone_from(&self.plan);
        filter.created_before = self.created_before.map(|when| when.before(now));
        filter.idle_since = self.idle_for.map(|idle| now.saturating_sub(idle));
        filter
    }
}

fn told(withdrawn: Withdrawn, output: Output) -> Result<(), Failure> {
    let Withdrawn {
        revoked,
        spared,
        failed,
        ..
    } = withdrawn;
    let failed: Vec<(KeyId, Failure)> = failed
        .into_iter()
        .map(|(id, error)| (id, error.into()))
        .collect();
    if output.is_json() {
        let shown = |keys: &[KeyInfo]| json!(keys.iter().map(Shown::of).collect::<Vec<_>>());
        let failed = failed
            .iter()
            .map(|(id, failure)| json!({ "id": id, "error": failure.object(redacted) }));
        return output.object(&json!({
            "revoked": shown(&revoked),
            "spared": shown(&spared),
            "failed": failed.collect::<Vec<Value>>(),
        }));
    }
    let row = |outcome: &str, info: &KeyInfo, why: &str| {
        [
            outcome.to_owned(),
            info.masked.clone(),
            info.id.to_string(),
            info.name.clone(),
            owner(info),
            or_dash(why.to_owned()),
        ]
    };
    let mut rows: Vec<_> = revoked
        .iter()
        .map(|info| row("revoked", info, ""))
        .collect();
    let spared_rows = spared.iter();
    rows.extend(spared_rows.map(|info| row("spared", info, "it opens all servers")));
    rows.extend(failed.iter().map(|(id, failure)| {
        let [key, name, owner] = [dash(), dash(), dash()];
        let why = redacted(failure.message());
        ["failed".to_owned(), key, id.to_string(), name, owner, why]
    }));
    output.list(HEAD, rows, "There are no such keys.")?;
    output.note(&format!(
        "{} revoked, {} spared, {} failed.",
        revoked.len(),
        spared.len(),
        failed.len()
    ));
    Ok(())
}

pub(super) fn delete(args: &Delete, keys: &Keys, output: Output) -> Result<(), Failure> {
    check_consent(args.yes, "to delete a key", output)?;
    keys.manage(async |manager| {
        let info = find(manager, &args.one.key, output).await?;
        let question = format!("Delete {}? It cannot be brought back.", named(&info));
        if !args.yes && !confirmed(&question) {
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

/// Refuses, before anything is opened, what nobody has agreed to and nobody can be asked about.
fn check_consent(yes: bool, what: &str, output: Output) -> Result<(), Failure> {
    let somebody_answers = io::stdin().is_terminal() && !output.is_json();
    if yes || somebody_answers {
        return Ok(());
    }
    let message = format!("--yes is needed {what} where nobody can be asked");
    Err(Failure::usage("yes", message))
}

/// Asks on the terminal; nothing but a clear yes is one.
fn confirmed(question: &str) -> bool {
    let mut answer = String::new();
    let asked = write!(io::stderr(), "{question} [y/N] ");
    asked.is_ok()
        && io::stdin().read_line(&mut answer).is_ok()
        && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}
