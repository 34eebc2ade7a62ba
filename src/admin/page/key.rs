//! The page of one key.

use axum::extract::Path;
use axum::response::Response;
use maud::{Markup, html};

use super::form::{key_id, trail};
use super::notation::{Budget, Rate};
use super::shell::Section;
use super::visit::Visit;
use super::{alerts, connections, last_use, parts, times, trail as audit_trail, usage};
use crate::admin::rights::Act;
use crate::audit::AuditFilter;
use crate::error::{Error, ErrorKind};
use crate::key::{KeyInfo, KeyStatus, NameRules, QuotaStatus, Signing};
use crate::store::AuditPage;

/// How many entries of the trail the page shows.
const ENTRIES: usize = 10;

pub(super) async fn show(visit: Visit, Path(id): Path<String>) -> Response {
    let shown = shown(&visit, &id).await;
    visit.answer(shown)
}

async fn shown(visit: &Visit, id: &str) -> Result<Response, Error> {
    let key = visit.manager.get(key_id(id)?).await?;
    // A plan that is gone is no reason not to show the key.
    let rights = match visit.manager.rights(key.id).await {
        Ok(rights) => Some(rights),
        Err(error) if error.kind() == ErrorKind::Corrupt => None,
        Err(error) => return Err(error),
    };
    let quotas = match &rights {
        Some(rights) if !rights.quotas.is_empty() => visit.manager.quotas(key.id).await?,
        _ => Vec::new(),
    };
    let entries = if visit.may(Act::SeeTrail) {
        let filter = AuditFilter {
            subject: Some(key.id.into()),
            ..AuditFilter::default()
        };
        Some(
            visit
                .manager
                .audit(&filter, AuditPage::newest(ENTRIES))
                .await?,
        )
    } else {
        None
    };
    let content = html! {
        (trail(visit, None))
        (head(visit, &key))
        (warnings(visit, &key, rights.as_ref()))
        (alerts::of_key(visit, &key).await?)
        div.columns {
            section aria-labelledby="facts" {
                h2 #facts { "Facts" }
                (facts(visit, &key, &last_use::of_key(visit, &key).await?))
            }
            section aria-labelledby="rights" {
                h2 #rights { "Rights" }
                (granted(&key))
                @if let Some(rights) = &rights { (narrowed(&key, rights)) }
            }
        }
        (limits(visit, &key, rights.as_ref(), &quotas))
        @if visit.may(Act::SeeUsage) { (usage::of_key(visit, &key).await?) }
        (secrets(visit, &key))
        @if let Some(entries) = &entries {
            section aria-labelledby="trail" {
                h2 #trail { "Audit" }
                (audit_trail::table(visit, entries, audit_trail::Of::One))
                @if visit.is_admin && entries.len() == ENTRIES {
                    @let subject = key.id.to_string();
                    p { a href=(visit.link_with("/audit", [("subject", subject.as_str())])) { "The whole trail of this key" } }
                }
            }
        }
    };
    Ok(visit.page(Section::Keys, &key.name, &content))
}

fn head(visit: &Visit, key: &KeyInfo) -> Markup {
    let path = |act: &str| format!("/keys/{}/{act}", key.id);
    html! {
        div.head {
            div {
                h1 { bdi { (key.name) } " " (parts::status(key, visit.now)) }
                @if let Some(description) = &key.description {
                    p.quiet.prose { bdi { (description) } }
                }
            }
            @if visit.may(Act::ChangeKey) {
                div.acts {
                    @if !parts::is_revoked(key) {
                        a.button href=(visit.link(&path("edit"))) { "Edit" }
                        a.button href=(visit.link(&path("renew"))) { "Renew" }
                        @if key.status == KeyStatus::Active {
                            (parts::act(visit, &path("disable"), "Disable", "button"))
                        } @else if visit.is_admin || !key.held {
                            (parts::act(visit, &path("enable"), "Enable", "button"))
                        }
                        a.button.danger href=(visit.link(&path("revoke"))) { "Revoke" }
                    }
                    a.button.danger href=(visit.link(&path("delete"))) { "Delete" }
                }
            }
        }
    }
}

/// What keeps the key from working, beside what its status says.
fn warnings(visit: &Visit, key: &KeyInfo, rights: Option<&KeyInfo>) -> Markup {
    html! {
        @if let KeyStatus::Revoked { at, reason } = &key.status {
            p.warn {
                "Revoked " (times::full(*at, visit.now))
                @if let Some(reason) = reason { ": " bdi { (reason) } }
            }
        }
        @if key.held && key.status == KeyStatus::Disabled {
            p.warn { "An admin has switched this key off. Only an admin can switch it on again." }
        }
        @if rights.is_none() {
            p.warn { "The plan of this key is gone, so the key does not work. Put it on another plan." }
        }
    }
}

fn facts(visit: &Visit, key: &KeyInfo, last_use: &Markup) -> Markup {
    let now = visit.now;
    html! {
        dl.facts {
            dt { "Token" } dd { code { (key.masked) } }
            dt { "Id" } dd { code { (key.id) } }
            dt { "Owner" }
            dd {
                @match &key.owner {
                    None => span.quiet { "Nobody" },
                    Some(owner) if visit.is_admin => {
                        a href=(visit.link_with("/keys", [("owner", owner.as_str())])) { bdi { (owner) } }
                    },
                    Some(owner) => bdi { (owner) },
                }
            }
            @if let Some(connection) = &key.connection {
                dt { "Connection of" } dd { (connections::program(connection)) }
            }
            dt { "Created" } dd { (times::full(key.created_at, now)) }
            dt { "Changed" } dd { (times::full(key.updated_at, now)) }
            dt { "Last used" }
            dd { (last_use) }
            dt { "Expires" }
            dd {
                @match key.expires_at {
                    Some(time) => (times::full(time, now)),
                    None => span.quiet { "Never" },
                }
            }
            @if !key.metadata.is_empty() {
                dt { "Metadata" }
                dd {
                    dl.metadata {
                        @for (name, value) in &key.metadata {
                            dt { bdi { (name) } } dd { bdi { (value) } }
                        }
                    }
                }
            }
        }
    }
}

fn granted(key: &KeyInfo) -> Markup {
    let rules = [
        ("Tools", key.mcp.tools()),
        ("Resources", key.mcp.resources()),
        ("Prompts", key.mcp.prompts()),
    ];
    html! {
        dl.facts {
            dt { "Projects" } dd { (parts::servers(&key.servers)) }
            dt { "Access" } dd { (parts::access(key.access)) }
            dt { "Scopes" } dd { (parts::scopes(&key.scopes)) }
            @for (name, rules) in rules {
                @if !rules.is_empty() { dt { (name) } dd { (patterns(rules)) } }
            }
            dt { "Addresses" }
            dd {
                @if key.networks.is_empty() {
                    span.quiet { "Everywhere" }
                } @else {
                    @if !key.networks.allow().is_empty() { span.label { "Only from" } (parts::codes(key.networks.allow())) }
                    @if !key.networks.deny().is_empty() { span.label { "Not from" } (parts::codes(key.networks.deny())) }
                }
            }
            @if key.signing == Signing::Required {
                dt { "Signing" } dd { "Every request must be signed" }
            }
        }
    }
}

fn patterns(rules: &NameRules) -> Markup {
    html! {
        @if !rules.allow().is_empty() { span.label { "Only" } (parts::codes(rules.allow())) }
        @if !rules.deny().is_empty() { span.label { "Not" } (parts::codes(rules.deny())) }
    }
}

/// Where the owner's rights leave less than the key says.
fn narrowed(key: &KeyInfo, rights: &KeyInfo) -> Markup {
    let servers = key.servers != rights.servers;
    let scopes = key.scopes != rights.scopes;
    let access = key.access != rights.access;
    html! {
        @if servers || scopes || access {
            div.note {
                p { strong { "Less at present. " } "The owner may do less than this key says, so at present it has:" }
                dl.facts {
                    @if servers { dt { "Projects" } dd { (parts::servers(&rights.servers)) } }
                    @if access { dt { "Access" } dd { (parts::access(rights.access)) } }
                    @if scopes { dt { "Scopes" } dd { (parts::scopes(&rights.scopes)) } }
                }
            }
        }
    }
}

fn limits(
    visit: &Visit,
    key: &KeyInfo,
    rights: Option<&KeyInfo>,
    quotas: &[QuotaStatus],
) -> Markup {
    let limits = rights.map_or(&key.limits, |rights| &rights.limits);
    html! {
        section aria-labelledby="limits" {
            h2 #limits { "Limits" }
            dl.facts {
                dt { "Plan" }
                dd {
                    @match &key.plan {
                        Some(plan) => (plan),
                        None => span.quiet { "None" },
                    }
                }
                dt { "Rates" }
                dd {
                    @if limits.is_empty() { span.quiet { "Unlimited" } }
                    @else { (parts::codes(limits.iter().cloned().map(Rate))) }
                }
                dt { "Quotas" }
                dd {
                    @if quotas.is_empty() { span.quiet { "None" } }
                    @for quota in quotas {
                        @let amount = quota.quota.amount();
                        div.quota {
                            code { (Budget(quota.quota.clone())) }
                            " "
                            meter min="0" max=(amount) value=(quota.used) aria-label={ "Used of " (quota.quota.name()) } {}
                            " " (quota.used) " used, whole again " (times::near(quota.resets_at, visit.now))
                        }
                    }
                }
            }
        }
    }
}

/// Which secrets work, and which of them is in use.
fn secrets(visit: &Visit, key: &KeyInfo) -> Markup {
    let now = visit.now;
    let path = format!("/keys/{}/end-grace", key.id);
    html! {
        @if let Some(old) = &key.previous {
            section aria-labelledby="secrets" {
                h2 #secrets { "Secrets" }
                table.list {
                    caption.hidden { "The secrets of this key" }
                    thead { tr {
                        th scope="col" { "Secret" }
                        th scope="col" { "Works" }
                        th scope="col" { "Last used" }
                    } }
                    tbody {
                        tr {
                            th scope="row" { code { (key.masked) } " new" }
                            td data-label="Works" { "As long as the key" }
                            td data-label="Last used" { (times::near_or(newest_use(key), now, "Not yet")) }
                        }
                        tr {
                            th scope="row" { code { (old.handle) "\u{2026}" } " old" }
                            td data-label="Works" {
                                @match old.ends_at {
                                    Some(end) if end <= now => { "Ended " (times::near(end, now)) },
                                    Some(end) => { "Until " (times::full(end, now)) },
                                    None => "Until a while after the new one is first used",
                                }
                            }
                            td data-label="Last used" { (times::near_or(old.last_used_at, now, "Not known")) }
                        }
                    }
                }
                @if visit.may(Act::EndGrace) && !parts::is_revoked(key)
                    && old.ends_at.is_none_or(|end| end > now) {
                    (parts::act(visit, &path, "End the old secret now", "button"))
                }
            }
        }
    }
}

/// When the newest secret was used: the key's last use, unless that was the old one's.
fn newest_use(key: &KeyInfo) -> Option<crate::clock::Timestamp> {
    let old = key.previous.as_ref().and_then(|old| old.last_used_at);
    key.last_used_at.filter(|time| Some(*time) != old)
}
