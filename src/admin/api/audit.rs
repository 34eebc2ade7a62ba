//! The trail of acts.

use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::answer;
use super::caller::Caller;
use super::choice::size;
use super::fault::Fault;
use super::read::Asked;
use super::schema::{KeyIdText, SubjectText, TimeText};
use crate::admin::rights::Act;
use crate::audit::{AuditAction, AuditEntry, AuditFilter};
use crate::clock::Timestamp;
use crate::key::{KeyId, Revision, Subject};
use crate::store::AuditPage;

/// Which entries to read.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AskedAudit {
    /// Only acts on this: a key's id, `owner:ID`, `plan:NAME`, `client:ID` or `code:ID`.
    #[param(value_type = Option<SubjectText>)]
    subject: Option<Subject>,
    /// Only acts of this actor.
    actor: Option<String>,
    /// Only acts at or after this time.
    #[param(value_type = Option<TimeText>)]
    since: Option<Timestamp>,
    /// Only acts before this time.
    #[param(value_type = Option<TimeText>)]
    until: Option<Timestamp>,
    /// At most this many.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
    /// Only entries older than the one of this revision: the `next` of the page before.
    before: Option<u64>,
}

/// One page of the trail, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditList)]
pub(super) struct ShownTrail {
    entries: Vec<ShownEntry>,
    /// Where the next page starts, for `before`; nothing if this is the last.
    #[schema(value_type = Option<u64>)]
    next: Option<Revision>,
}

/// One act.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
struct ShownEntry {
    /// The key it is about, if it is about one.
    #[schema(value_type = Option<KeyIdText>)]
    key: Option<KeyId>,
    /// The revision of the write that the act was.
    #[schema(value_type = u64)]
    revision: Revision,
    /// When.
    #[schema(value_type = TimeText)]
    at: Timestamp,
    /// Who.
    actor: String,
    /// From where.
    source: Option<String>,
    /// What.
    #[schema(value_type = ActionWord)]
    action: AuditAction,
    /// To what: a key's id, `owner:ID`, `plan:NAME`, `client:ID` or `code:ID`.
    #[schema(value_type = SubjectText)]
    subject: Subject,
    /// What could be shown before; nothing for what is new.
    #[schema(value_type = Option<std::collections::BTreeMap<String, Value>>)]
    before: Option<Value>,
    /// What could be shown after; nothing for what was removed.
    #[schema(value_type = Option<std::collections::BTreeMap<String, Value>>)]
    after: Option<Value>,
}

/// What is done.
#[derive(Debug, ToSchema)]
#[schema(as = AuditAction, rename_all = "snake_case")]
#[allow(dead_code, reason = "describes what is written elsewhere")]
enum ActionWord {
    Issued,
    Imported,
    Updated,
    Enabled,
    Disabled,
    Rotated,
    GraceStarted,
    GraceEnded,
    Revoked,
    Deleted,
    Defined,
    Connected,
    Renewed,
    Reused,
    Registered,
    Consented,
    Exchanged,
}

impl From<AuditEntry> for ShownEntry {
    fn from(entry: AuditEntry) -> Self {
        Self {
            key: entry.subject.key(),
            revision: entry.revision,
            at: entry.at,
            actor: entry.actor,
            source: entry.source,
            action: entry.action,
            subject: entry.subject,
            before: entry.before,
            after: entry.after,
        }
    }
}

/// Read the trail
///
/// Who did what to which key, owner or plan, newest first. A member reads the trail of a key of their
/// own, which `subject` names.
#[utoipa::path(
    get, path = "/audit", tag = "audit", operation_id = "readAudit",
    params(AskedAudit),
    responses((status = 200, description = "One page of the trail.", body = ShownTrail)),
    extensions(("x-required-scope" = json!("audit:read"))),
)]
pub(super) async fn read(
    caller: Caller,
    Asked(asked): Asked<AskedAudit>,
) -> Result<Response, Fault> {
    let manager = caller.may(Act::SeeTrail).await?;
    let wanted = size(asked.limit)?;
    let filter = AuditFilter {
        subject: asked.subject,
        actor: asked.actor,
        since: asked.since,
        until: asked.until,
    };
    let mut page = AuditPage::newest(wanted);
    // The document says that it is a number of 63 bits.
    if asked
        .before
        .is_some_and(|before| i64::try_from(before).is_err())
    {
        let fault = Fault::malformed("invalid before: is larger than any revision");
        return Err(fault.in_field("before"));
    }
    page.before = asked.before.map(Revision::new);
    let entries = manager.audit(&filter, page).await?;
    let last = entries.last().map(|entry| entry.revision);
    let next = match last.filter(|_| entries.len() == wanted) {
        Some(last) => {
            let rest = manager.audit(&filter, AuditPage::newest(1).before(last));
            (!rest.await?.is_empty()).then_some(last)
        }
        None => None,
    };
    let entries = entries.into_iter().map(ShownEntry::from).collect();
    Ok(answer::json(StatusCode::OK, &ShownTrail { entries, next }))
}
