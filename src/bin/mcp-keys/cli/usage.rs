//! `usage`: when a key was last used, by which of its secrets, and what it has used of its quotas.

use std::cmp::Reverse;

use mcp_api_keys::key::{CredentialId, KeyInfo, KeyRecord, QuotaStatus};
use mcp_api_keys::store::KeyUse;
use mcp_api_keys::{Error, ErrorKind, KeyFormat, Timestamp};
use serde::Serialize;
use serde_json::json;

use super::Keys;
use super::args::OneKey;
use super::failure::Failure;
use super::find::find;
use super::output::{Output, dash, named, of_quota, or_never, table};
use super::standing::Standing;

pub(super) fn usage(args: &OneKey, keys: &Keys, output: Output) -> Result<(), Failure> {
    keys.open(KeyFormat::default(), async |manager, store| {
        let info = find(manager, &args.key, output).await?;
        let standing = Standing::of(manager, &info).await?;
        let record = store.get(info.id).await?.ok_or_else(gone)?;
        let secrets = secrets(&record, &store.uses(&[info.id]).await?);
        shown(&info, &secrets, &standing.quotas, output)
    })
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
        }));
    }
    let rows: Vec<_> = secrets.iter().map(row).collect();
    let mut text = format!("{}\n\n", named(info));
    text.push_str(&table(["SECRET", "STATE", "LAST USED"], &rows));
    for status in quotas {
        text.push_str(&format!("\nused: {}\n", of_quota(status)));
    }
    output.text(&text)
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
