//! A key as people see it: a row of a list, or one line for each thing there is to know.

use mcp_api_keys::Timestamp;
use mcp_api_keys::key::{Connection, KeyInfo, KeyStatus, NameRules, QuotaStatus, Servers, Signing};

use super::table::{
    dash, harmless, joined, or_never, quotas, rates, scopes, servers, to_the_second,
};
use crate::cli::standing::Standing;
use crate::cli::values::written_quota;

/// The head of a list of keys.
pub(super) const HEAD: [&str; 10] = [
    "KEY",
    "NAME",
    "OWNER",
    "STATUS",
    "SERVERS",
    "SCOPES",
    "ACCESS",
    "CREATED",
    "LAST USED",
    "EXPIRES",
];

pub(super) fn row(info: &KeyInfo, now: Timestamp) -> [String; 10] {
    [
        info.masked.clone(),
        info.name.clone(),
        owner(info),
        status(info, now).to_owned(),
        servers(&info.servers),
        scopes(&info.scopes),
        info.access.to_string(),
        to_the_second(info.created_at),
        or_never(info.last_used_at),
        or_never(info.expires_at),
    ]
}

pub(crate) fn owner(info: &KeyInfo) -> String {
    info.owner.as_ref().map_or_else(dash, ToString::to_string)
}

/// The program's id, and what it calls itself.
pub(crate) fn client(connection: &Connection) -> String {
    match &connection.name {
        None => connection.client.to_string(),
        Some(name) => format!("{} ({name})", connection.client),
    }
}

pub(crate) fn status(info: &KeyInfo, now: Timestamp) -> &'static str {
    let is_over = info.expires_at.is_some_and(|end| end <= now);
    match info.status {
        KeyStatus::Active if is_over => "expired",
        _ => info.status.as_str(),
    }
}

/// Labels and values, each pair on a line.
#[derive(Default)]
struct Lines(Vec<(&'static str, String)>);

impl Lines {
    /// What is not set is left out where its absence says nothing.
    fn add(&mut self, label: &'static str, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() {
            self.0.push((label, value));
        }
    }

    fn written(&self) -> String {
        let lines = self.0.iter();
        lines
            .map(|(label, value)| format!("  {label:<13}{}\n", harmless(value)))
            .collect()
    }
}

/// The key as it is recorded.
pub(super) fn record(info: &KeyInfo, now: Timestamp) -> String {
    lines(info, now, &[]).written()
}

/// The key as it is recorded, what it has used, and what it may do at present where that is
/// something else.
pub(super) fn standing(info: &KeyInfo, standing: &Standing, now: Timestamp) -> String {
    let mut text = lines(info, now, &standing.quotas).written();
    let present = present(info, standing);
    if !present.0.is_empty() {
        text.push_str("\nIn force at present, by its owner and its plan:\n\n");
        text.push_str(&present.written());
    }
    text
}

fn lines(info: &KeyInfo, now: Timestamp, used: &[QuotaStatus]) -> Lines {
    let mut lines = Lines::default();
    lines.add("id", info.id.to_string());
    lines.add("handle", info.handle.to_string());
    lines.add("masked", info.masked.as_str());
    lines.add("name", info.name.as_str());
    lines.add("description", info.description.clone().unwrap_or_default());
    lines.add("owner", joined(&info.owner));
    lines.add("client", joined(info.connection.as_ref().map(client)));
    lines.add("status", status(info, now));
    if info.held && info.status == KeyStatus::Disabled {
        lines.add("held", "by an admin: no member switches it on");
    }
    if let KeyStatus::Revoked { at, reason } = &info.status {
        lines.add("revoked", to_the_second(*at));
        lines.add("reason", reason.clone().unwrap_or_default());
    }
    lines.add("servers", counted(&info.servers));
    lines.add("scopes", scopes(&info.scopes));
    lines.add("access", info.access.to_string());
    if info.signing != Signing::ByLayer {
        lines.add("signing", info.signing.to_string());
    }
    for (what, rules) in [
        ("tools", info.mcp.tools()),
        ("resources", info.mcp.resources()),
        ("prompts", info.mcp.prompts()),
    ] {
        lines.add(what, permitted(rules));
    }
    lines.add("allowed from", joined(info.networks.allow()));
    lines.add("denied from", joined(info.networks.deny()));
    lines.add("plan", joined(&info.plan));
    lines.add("limits", rates(&info.limits));
    lines.add("quotas", quotas(&info.quotas));
    for status in used {
        lines.add("used", of_quota(status));
    }
    for (key, value) in &info.metadata {
        lines.add("metadata", format!("{key}={value}"));
    }
    lines.add("created", to_the_second(info.created_at));
    lines.add("updated", to_the_second(info.updated_at));
    lines.add("last used", or_never(info.last_used_at));
    lines.add("expires", or_never(info.expires_at));
    if let Some(old) = &info.previous {
        let end = match old.ends_at {
            Some(end) if end <= now => format!("ended {}", to_the_second(end)),
            Some(end) => format!("ends {}", to_the_second(end)),
            None => "its grace begins when the new secret is first used".to_owned(),
        };
        let used = or_never(old.last_used_at);
        lines.add(
            "previous",
            format!("{}, {end}, last used {used}", old.handle),
        );
    }
    lines.add("revision", info.revision.to_string());
    lines
}

/// What of a kind may be used; nothing if all of it.
fn permitted(rules: &NameRules) -> String {
    let allowed = match rules.allow() {
        [] => "all".to_owned(),
        some => joined(some),
    };
    match rules.deny() {
        [] if rules.is_empty() => String::new(),
        [] => allowed,
        denied => format!("{allowed} but not {}", joined(denied)),
    }
}

/// What differs from the record.
fn present(info: &KeyInfo, standing: &Standing) -> Lines {
    let mut lines = Lines::default();
    if standing.owner.as_ref().is_some_and(|owner| !owner.active) {
        lines.add("owner", "suspended: the key is refused");
    }
    let Some(rights) = &standing.rights else {
        return lines;
    };
    if rights.servers != info.servers {
        lines.add("servers", counted(&rights.servers));
    }
    if rights.scopes != info.scopes {
        lines.add("scopes", scopes(&rights.scopes));
    }
    if rights.access != info.access {
        lines.add("access", rights.access.to_string());
    }
    if rights.limits != info.limits {
        lines.add("limits", rates(&rights.limits));
    }
    if rights.quotas != info.quotas {
        lines.add("quotas", quotas(&rights.quotas));
    }
    lines
}

/// The names, and of several how many.
fn counted(these: &Servers) -> String {
    match these {
        Servers::Only(names) if names.len() > 1 => format!("{} ({})", servers(these), names.len()),
        _ => servers(these),
    }
}

/// How much of a quota is used, and until when that counts.
pub(crate) fn of_quota(status: &QuotaStatus) -> String {
    let quota = written_quota(&status.quota);
    let end = to_the_second(status.resets_at);
    format!("{} of {quota}, until {end}", status.used)
}
