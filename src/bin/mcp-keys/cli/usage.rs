//! `usage`: when a key was last used, by which of its secrets, what it has used of its quotas, and its
//! requests by the hour or the day.

use std::cmp::Reverse;
use std::time::Duration;

use mcp_api_keys::key::{CredentialId, KeyInfo, KeyRecord, QuotaStatus};
use mcp_api_keys::store::KeyUse;
use mcp_api_keys::usage::{LastUse, UsagePoint, UsageQuery, UsageStep};
use mcp_api_keys::{Error, ErrorKind, KeyFormat, Timestamp};
use serde::Serialize;
use serde_json::json;

use super::Keys;
use super::args::Usage;
use super::failure::Failure;
use super::find::find;
use super::output::{Output, dash, named, of_quota, or_never, shortened, table, to_the_second};
use super::series::plot;
use super::standing::Standing;

pub(super) fn usage(args: &Usage, keys: &Keys, output: Output) -> Result<(), Failure> {
    keys.open(KeyFormat::default(), async |manager, store| {
        let mut query = query(args, output);
        let Some(key) = &args.key else {
            let points = manager.usage(&query).await?;
            return shown_of_all(&query, &points, output);
        };
        let info = find(manager, key, output).await?;
        query.key = Some(info.id);
        let standing = Standing::of(manager, &info).await?;
        let record = store.get(info.id).await?.ok_or_else(gone)?;
        let secrets = secrets(&record, &store.uses(&[info.id]).await?);
        let used = Used {
            last: manager.last_use(info.id).await?,
            points: manager.usage(&query).await?,
            query,
        };
        shown(&info, &secrets, &standing.quotas, &used, output)
    })
}

/// What a key was used for.
struct Used {
    last: Option<LastUse>,
    query: UsageQuery,
    points: Vec<UsagePoint>,
}

fn query(args: &Usage, output: Output) -> UsageQuery {
    const DAY: u64 = 86_400;
    let step = UsageStep::from(args.step);
    let usual = match step {
        UsageStep::Hour => Duration::from_secs(DAY),
        UsageStep::Day => Duration::from_secs(30 * DAY),
    };
    let now = output.now();
    let until = args.until.map_or(now, |when| when.before(now));
    let from = args.from.map(|when| when.before(now));
    let mut query = UsageQuery::new(from.unwrap_or(until.saturating_sub(usual)), until, step);
    query.by = args.by.map(Into::into);
    query
}

fn shown_of_all(query: &UsageQuery, points: &[UsagePoint], output: Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.object(&json!({
            "from": query.from,
            "until": query.until,
            "step": query.step,
            "by": query.by,
            "series": points,
        }));
    }
    output.text(&plot(query, points))
}

/// A secret of a key, and when it was last used.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Secret {
    credential: CredentialId,
    /// Nothing for one that was replaced and ended.
    handle: Option<String>,
    state: &'static str,
    last_used_at: Option<Timestamp>,
}

/// The newest first; of those that have ended only the ones that were used.
fn secrets(record: &KeyRecord, uses: &[KeyUse]) -> Vec<Secret> {
    let last_use = |id| {
        uses.iter()
            .filter(|one| one.credential == id)
            .map(|one| one.at)
            .max()
    };
    let newest = record.credentials.iter().map(|known| known.id).max();
    let kept = record.credentials.iter().map(|known| Secret {
        credential: known.id,
        handle: Some(known.handle.to_string()),
        state: if Some(known.id) == newest {
            "current"
        } else {
            "previous"
        },
        last_used_at: last_use(known.id),
    });
    let ended = uses.iter().filter(|one| {
        record
            .credentials
            .iter()
            .all(|known| known.id != one.credential)
    });
    let ended = ended.map(|one| Secret {
        credential: one.credential,
        handle: None,
        state: "replaced",
        last_used_at: Some(one.at),
    });
    let mut secrets: Vec<_> = kept.chain(ended).collect();
    secrets.sort_by_key(|secret| Reverse(secret.credential));
    secrets
}

fn shown(
    info: &KeyInfo,
    secrets: &[Secret],
    quotas: &[QuotaStatus],
    used: &Used,
    output: Output,
) -> Result<(), Failure> {
    if output.is_json() {
        return output.object(&json!({
            "id": info.id,
            "handle": info.handle,
            "name": info.name,
            "last_used_at": info.last_used_at,
            "secrets": secrets,
            "quota_status": quotas,
            "last_use": used.last,
            "from": used.query.from,
            "until": used.query.until,
            "step": used.query.step,
            "by": used.query.by,
            "series": used.points,
        }));
    }
    let rows: Vec<_> = secrets.iter().map(row).collect();
    let mut text = format!("{}\n\n", named(info));
    text.push_str(&table(["SECRET", "STATE", "LAST USED"], &rows));
    for status in quotas {
        text.push_str(&format!("\nused: {}\n", of_quota(status)));
    }
    if let Some(last) = &used.last {
        text.push_str(&format!("\n{}\n", of_last(last)));
    }
    text.push('\n');
    text.push_str(&plot(&used.query, &used.points));
    output.text(&text)
}

/// A key's last use as a sentence.
fn of_last(last: &LastUse) -> String {
    let mut text = format!("last used: {}", to_the_second(last.at));
    let server = last.server.as_deref().map(shortened);
    let operation = last.operation.as_deref().map(shortened);
    for (word, what) in [
        ("from", last.address.map(|from| from.to_string())),
        ("for", operation),
        ("on", server),
        ("by", Some(last.carrier.as_str().to_owned())),
    ] {
        if let Some(what) = what {
            text.push_str(&format!(" {word} {what}"));
        }
    }
    text
}

fn row(secret: &Secret) -> [String; 3] {
    [
        secret.handle.clone().unwrap_or_else(dash),
        secret.state.to_owned(),
        or_never(secret.last_used_at),
    ]
}

fn gone() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such key")
}
