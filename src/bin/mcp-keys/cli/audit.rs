//! `audit`: who did what to which key, for people as a table and for programs as JSON lines.

use std::num::NonZeroUsize;

use mcp_api_keys::KeyManager;
use mcp_api_keys::audit::{AuditEntry, AuditFilter};
use mcp_api_keys::key::{KeyId, Subject};
use mcp_api_keys::store::AuditPage;
use serde::Serialize;
use serde_json::Value;

use super::Keys;
use super::args::Audit;
use super::failure::Failure;
use super::find::find;
use super::output::{Output, dash, joined, shortened, table, to_the_second};

/// How many entries are read at once.
const PAGE: usize = 1_000;

/// What differs after every change, or says again what another field says.
const OF_COURSE: [&str; 3] = ["masked", "revision", "updated_at"];

pub(super) fn audit(args: &Audit, keys: &Keys, output: Output) -> Result<(), Failure> {
    let mut filter = AuditFilter::default();
    filter.actor.clone_from(&args.actor);
    filter.since = args.since.map(|when| when.before(output.now()));
    filter.until = args.until.map(|when| when.before(output.now()));
    keys.manage(async |manager| {
        if let Some(key) = &args.key {
            filter.subject = Some(subject_of(manager, key, output).await?);
        }
        if output.is_json() {
            let write = |entry: &AuditEntry| {
                let key = entry.subject.key();
                output.object(&Shown { key, entry })
            };
            return pages(manager, &filter, args.limit, write).await;
        }
        let mut rows = Vec::new();
        pages(manager, &filter, args.limit, |entry| {
            rows.push(row(entry));
            Ok(())
        })
        .await?;
        if rows.is_empty() {
            output.note("There are no such entries.");
            return Ok(());
        }
        let head = ["TIME", "ACTOR", "SOURCE", "ACTION", "KEY", "ID", "CHANGED"];
        output.text(&table(head, &rows))
    })
}

/// The trail of a key, an owner or a plan outlives it, so what names one for certain is not looked
/// up.
async fn subject_of(manager: &KeyManager, text: &str, output: Output) -> Result<Subject, Failure> {
    match text.parse() {
        Ok(subject) => Ok(subject),
        Err(_) => Ok(find(manager, text, output).await?.id.into()),
    }
}

/// An entry as programs see it: beside what it is about, the key, if it is about one.
#[derive(Serialize)]
struct Shown<'a> {
    key: Option<KeyId>,
    #[serde(flatten)]
    entry: &'a AuditEntry,
}

/// Reads page after page until there are no more, or as many as are wanted.
async fn pages(
    manager: &KeyManager,
    filter: &AuditFilter,
    limit: Option<NonZeroUsize>,
    mut each: impl FnMut(&AuditEntry) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut wanted = limit.map_or(usize::MAX, NonZeroUsize::get);
    let mut page = AuditPage::newest(PAGE);
    while wanted > 0 {
        page.size = wanted.min(PAGE);
        let entries = manager.audit(filter, page).await?;
        entries.iter().try_for_each(&mut each)?;
        wanted -= entries.len().min(wanted);
        match entries.last() {
            Some(last) if entries.len() >= page.size => page = page.before(last.revision),
            _ => break,
        }
    }
    Ok(())
}

fn row(entry: &AuditEntry) -> [String; 7] {
    [
        to_the_second(entry.at),
        shortened(&entry.actor),
        entry.source.as_deref().map_or_else(dash, shortened),
        entry.action.to_string(),
        handle(entry).map_or_else(dash, str::to_owned),
        entry.subject.to_string(),
        changed(entry),
    ]
}

fn handle(entry: &AuditEntry) -> Option<&str> {
    let shown = entry.after.as_ref().or(entry.before.as_ref())?;
    shown.get("handle")?.as_str()
}

/// The names of the fields that are not as they were; what was made or removed as a whole has none.
fn changed(entry: &AuditEntry) -> String {
    let (Some(Value::Object(before)), Some(Value::Object(after))) = (&entry.before, &entry.after)
    else {
        return dash();
    };
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| {
        !OF_COURSE.contains(&name.as_str()) && before.get(*name) != after.get(*name)
    });
    if names.is_empty() {
        dash()
    } else {
        joined(names)
    }
}

#[cfg(test)]
mod tests {
    use mcp_api_keys::Timestamp;
    use mcp_api_keys::audit::{Act, AuditAction};
    use mcp_api_keys::key::Revision;
    use serde_json::json;

    use super::*;

    fn entry(before: Option<Value>, after: Option<Value>) -> AuditEntry {
        let act = Act::new(AuditAction::Updated, "ada", Timestamp::from_millis(0));
        let id = "key_00VZwwy0Fq9zX3Uvt4pS0L".parse::<Subject>().unwrap();
        let mut entry = AuditEntry::new(Revision::new(1), id, &act);
        (entry.before, entry.after) = (before, after);
        entry
    }

    #[test]
    fn what_changed_is_named_and_what_always_changes_is_not() {
        let before = json!({"handle": "a", "name": "x", "revision": 1, "updated_at": 1});
        let after = json!({"handle": "b", "name": "x", "revision": 2, "previous": {}});
        let both = entry(Some(before.clone()), Some(after));
        assert_eq!(changed(&both), "handle, previous");
        assert_eq!(handle(&both), Some("b"));
        assert_eq!(
            changed(&entry(Some(before.clone()), Some(before.clone()))),
            "-"
        );
        let deleted = entry(Some(before), None);
        assert_eq!(
            (changed(&deleted).as_str(), handle(&deleted)),
            ("-", Some("a"))
        );
        assert_eq!(handle(&entry(None, None)), None);
    }
}
