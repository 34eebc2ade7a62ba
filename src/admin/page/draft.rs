//! A key as a form holds it: texts, which may make no sense yet.
//!
//! Changes are told by comparing texts: what somebody has left as it was is not set again, so a
//! form that shows an old key changes nothing that was not touched.

use std::collections::BTreeMap;

use super::fields::Fields;
use super::notation::{self, Budget, Fact, Rate, in_lines, in_words, lines, words};
use super::times;
use crate::clock::Timestamp;
use crate::key::{
    Access, Glob, KeyInfo, KeyStatus, McpRules, Metadata, Network, NetworkRules, Quota, RateLimit,
    ScopeSet, Servers, Signing,
};
use crate::manager::{KeyUpdate, NewKey};

/// The fields of the form, in their order.
pub(super) const FIELDS: [&str; 25] = [
    "name",
    "description",
    "owner",
    "status",
    "reach",
    "servers",
    "access",
    "scopes",
    "expiry",
    "expires_at",
    "networks_allow",
    "networks_deny",
    "plan",
    "limits",
    "quotas",
    "tools_allow",
    "tools_deny",
    "resources_allow",
    "resources_deny",
    "prompts_allow",
    "prompts_deny",
    "signing",
    "client",
    "metadata",
    "once",
];

/// What is wrong, by field.
pub(super) type Faults = BTreeMap<&'static str, String>;

#[derive(Clone, Debug, Default)]
pub(super) struct Draft(BTreeMap<&'static str, String>);

impl Draft {
    /// What a form for a new key shows at first.
    pub(super) fn of_new() -> Self {
        let set = [
            ("status", "active"),
            ("reach", "some"),
            ("access", "full"),
            ("expiry", "never"),
            ("signing", "by-layer"),
        ];
        Self(set.map(|(name, value)| (name, value.to_owned())).into())
    }

    /// What was sent.
    pub(super) fn sent(fields: &Fields) -> Self {
        Self(
            FIELDS
                .map(|name| (name, fields.get(name).to_owned()))
                .into(),
        )
    }

    /// What was sent, and of what was not asked for, what is there.
    pub(super) fn sent_over(fields: &Fields, before: &Self) -> Self {
        let sent = FIELDS.map(|name| {
            let text = if fields.has(name) {
                fields.get(name)
            } else {
                before.get(name)
            };
            (name, text.to_owned())
        });
        Self(sent.into())
    }

    /// A key as it is.
    pub(super) fn of(key: &KeyInfo) -> Self {
        let (reach, servers) = match &key.servers {
            Servers::All => ("all", String::new()),
            Servers::Only(names) => ("some", in_words(names)),
        };
        let rules = [key.mcp.tools(), key.mcp.resources(), key.mcp.prompts()];
        let [tools, resources, prompts] =
            rules.map(|rules| [in_lines(rules.allow()), in_lines(rules.deny())]);
        let optional = |text: Option<String>| text.unwrap_or_default();
        let facts = key.metadata.iter();
        let texts = [
            ("name", key.name.clone()),
            ("description", optional(key.description.clone())),
            (
                "owner",
                optional(key.owner.as_ref().map(ToString::to_string)),
            ),
            (
                "status",
                word(key.status == KeyStatus::Active, "active", "inactive"),
            ),
            ("reach", reach.to_owned()),
            ("servers", servers),
            ("access", key.access.as_str().to_owned()),
            ("scopes", in_words(&key.scopes)),
            ("expiry", "keep".to_owned()),
            ("expires_at", optional(key.expires_at.map(times::in_field))),
            ("networks_allow", in_lines(key.networks.allow())),
            ("networks_deny", in_lines(key.networks.deny())),
            ("plan", optional(key.plan.as_ref().map(ToString::to_string))),
            ("limits", in_lines(key.limits.iter().cloned().map(Rate))),
            ("quotas", in_lines(key.quotas.iter().cloned().map(Budget))),
            ("signing", key.signing.as_str().to_owned()),
            (
                "metadata",
                in_lines(facts.map(|(key, value)| Fact(key.clone(), value.clone()))),
            ),
        ];
        let mut draft = Self(texts.into());
        for (name, [allow, deny]) in [
            (["tools_allow", "tools_deny"], tools),
            (["resources_allow", "resources_deny"], resources),
            (["prompts_allow", "prompts_deny"], prompts),
        ] {
            draft.0.extend(name.into_iter().zip([allow, deny]));
        }
        draft.trimmed()
    }

    /// As it comes back from a browser.
    fn trimmed(mut self) -> Self {
        for text in self.0.values_mut() {
            *text = text.trim().to_owned();
        }
        self
    }

    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub(super) fn set(&mut self, name: &'static str, text: String) {
        self.0.insert(name, text);
    }

    /// Which fields hold something else than in `other`.
    pub(super) fn differs(&self, other: &Self, name: &str) -> bool {
        self.get(name) != other.get(name)
    }

    /// The key to be made.
    pub(super) fn to_new(&self, now: Timestamp) -> Result<NewKey, Faults> {
        let mut reading = Reading::of(self);
        let servers = reading.servers();
        let scopes = reading.take("scopes", words);
        let networks = reading.networks();
        let limits = reading.take("limits", lines::<Rate>);
        let quotas = reading.take("quotas", lines::<Budget>);
        let mcp = reading.mcp();
        let metadata = reading.metadata();
        let expires_at = reading.expiry(now);
        reading.end()?;

        let mut new = NewKey::named(self.get("name")).scopes(scopes).mcp(mcp);
        new = match servers {
            Servers::All => new.all_servers(),
            Servers::Only(names) => names
                .iter()
                .fold(new, |new, name| new.server(name.as_str())),
        };
        for network in networks.allow() {
            new = new.allow_from(*network);
        }
        for network in networks.deny() {
            new = new.deny_from(*network);
        }
        new = limits.into_iter().fold(new, |new, rate| new.rate(rate.0));
        new = quotas
            .into_iter()
            .fold(new, |new, quota| new.quota(quota.0));
        for (name, value) in metadata {
            new = new.metadata(name, value);
        }
        if let Some(end) = expires_at {
            new = new.expires_at(end);
        }
        if self.get("status") == "inactive" {
            new = new.inactive();
        }
        if self.get("access") == Access::ReadOnly.as_str() {
            new = new.read_only();
        }
        if self.get("signing") == Signing::Required.as_str() {
            new = new.signed_only();
        }
        let some = |name| Some(self.get(name)).filter(|text| !text.is_empty());
        new = some("description")
            .into_iter()
            .fold(new, NewKey::description);
        new = some("owner").into_iter().fold(new, NewKey::owner);
        new = some("plan").into_iter().fold(new, NewKey::plan);
        Ok(some("client").into_iter().fold(new, NewKey::connection))
    }

    /// The change from `before`; nothing if there is none.
    pub(super) fn to_update(
        &self,
        before: &Self,
        now: Timestamp,
    ) -> Result<Option<KeyUpdate>, Faults> {
        let changed = |names: &[&str]| names.iter().any(|name| self.differs(before, name));
        let mut reading = Reading::of(self);
        let mut update = KeyUpdate::new();
        let mut any = false;
        let mut set = |yes: bool, change: &mut dyn FnMut(KeyUpdate) -> KeyUpdate| {
            if yes {
                any = true;
                update = change(std::mem::take(&mut update));
            }
        };
        set(changed(&["name"]), &mut |update| {
            update.name(self.get("name"))
        });
        set(changed(&["description"]), &mut |update| {
            update.description(reading.optional("description"))
        });
        set(changed(&["owner"]), &mut |update| {
            update.owner(reading.one("owner"))
        });
        set(changed(&["reach", "servers"]), &mut |update| {
            update.servers(reading.servers())
        });
        set(changed(&["access"]), &mut |update| {
            update.access(reading.one("access").unwrap_or_default())
        });
        set(changed(&["scopes"]), &mut |update| {
            update.scopes(ScopeSet::from(reading.take("scopes", words)))
        });
        set(
            changed(&["networks_allow", "networks_deny"]),
            &mut |update| update.networks(reading.networks()),
        );
        set(changed(&["plan"]), &mut |update| {
            update.plan(reading.one("plan"))
        });
        set(changed(&["limits"]), &mut |update| {
            update.limits(reading.limits())
        });
        set(changed(&["quotas"]), &mut |update| {
            update.quotas(reading.quotas())
        });
        set(changed(&MCP), &mut |update| update.mcp(reading.mcp()));
        set(changed(&["signing"]), &mut |update| {
            update.signing(reading.one("signing").unwrap_or_default())
        });
        set(changed(&["metadata"]), &mut |update| {
            update.metadata(reading.metadata())
        });
        // A date that is there already counts only once somebody asks for a date.
        let dated = self.get("expiry") == "at" && self.differs(before, "expires_at");
        let moved = !matches!(self.get("expiry"), "keep" | "" | "at");
        set(dated || moved, &mut |update| {
            update.expires_at(reading.expiry(now))
        });
        reading.end()?;
        Ok(any.then_some(update))
    }
}

const MCP: [&str; 6] = [
    "tools_allow",
    "tools_deny",
    "resources_allow",
    "resources_deny",
    "prompts_allow",
    "prompts_deny",
];

fn word(is: bool, yes: &str, no: &str) -> String {
    if is { yes } else { no }.to_owned()
}

/// Reads the texts of a draft and collects what is wrong with them.
struct Reading<'d> {
    draft: &'d Draft,
    faults: Faults,
}

impl<'d> Reading<'d> {
    fn of(draft: &'d Draft) -> Self {
        let faults = Faults::new();
        Self { draft, faults }
    }

    fn end(self) -> Result<(), Faults> {
        if self.faults.is_empty() {
            return Ok(());
        }
        Err(self.faults)
    }

    /// What `read` makes of a field; nothing, and a fault, if it makes nothing of it.
    fn take<T: Default>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        read(self.draft.get(name)).unwrap_or_else(|fault| {
            self.faults.insert(name, fault);
            T::default()
        })
    }

    fn optional(&self, name: &str) -> Option<String> {
        Some(self.draft.get(name).to_owned()).filter(|text| !text.is_empty())
    }

    fn one<T>(&mut self, name: &'static str) -> Option<T>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
    {
        self.take(name, |text| match text {
            "" => Ok(None),
            text => notation::value(text).map(Some),
        })
    }

    fn servers(&mut self) -> Servers {
        if self.draft.get("reach") == "all" {
            return Servers::All;
        }
        let names: Vec<crate::key::ServerName> = self.take("servers", words);
        Servers::Only(names.into())
    }

    fn limits(&mut self) -> Vec<RateLimit> {
        let rates = self.take("limits", lines::<Rate>);
        rates.into_iter().map(|rate| rate.0).collect()
    }

    fn quotas(&mut self) -> Vec<Quota> {
        let budgets = self.take("quotas", lines::<Budget>);
        budgets.into_iter().map(|budget| budget.0).collect()
    }

    fn networks(&mut self) -> NetworkRules {
        let allow: Vec<Network> = self.take("networks_allow", words);
        let deny: Vec<Network> = self.take("networks_deny", words);
        NetworkRules::new(allow, deny)
    }

    fn mcp(&mut self) -> McpRules {
        let adds: [fn(McpRules, Glob) -> McpRules; 6] = [
            McpRules::allow_tool,
            McpRules::deny_tool,
            McpRules::allow_resource,
            McpRules::deny_resource,
            McpRules::allow_prompt,
            McpRules::deny_prompt,
        ];
        MCP.into_iter()
            .zip(adds)
            .fold(McpRules::default(), |rules, (name, add)| {
                let patterns: Vec<Glob> = self.take(name, lines);
                patterns.into_iter().fold(rules, add)
            })
    }

    fn metadata(&mut self) -> Metadata {
        self.take("metadata", |text| {
            let mut metadata = Metadata::new();
            for Fact(key, value) in lines::<Fact>(text)? {
                if metadata.insert(key.clone(), value).is_some() {
                    return Err(format!("\u{201c}{key}\u{201d} is there twice"));
                }
            }
            Ok(metadata)
        })
    }

    fn expiry(&mut self, now: Timestamp) -> Option<Timestamp> {
        match self.draft.get("expiry") {
            "" | "never" | "keep" => None,
            "at" => self.take("expires_at", |text| {
                notation::instant(text).map(Some).map_err(str::to_owned)
            }),
            _ => self.take("expiry", |text| {
                let window = notation::duration(text).map_err(str::to_owned)?;
                Ok(Some(now.saturating_add(window)))
            }),
        }
    }
}

/// The field of the form that holds what the manager calls `field`.
pub(super) fn place_of(field: &str) -> &'static str {
    match field {
        "networks" => "networks_allow",
        "mcp" => "tools_allow",
        field => FIELDS
            .into_iter()
            .find(|known| *known == field)
            .unwrap_or("name"),
    }
}

#[cfg(test)]
#[path = "draft/tests.rs"]
mod tests;
