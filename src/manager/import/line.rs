//! A key to be imported as a line of JSON; each fault names its field.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use super::ImportKey;
use crate::clock::Timestamp;
use crate::key::{Access, McpRules, Metadata, NetworkRules, Quota, RateLimit, ScopeGrant, Servers};
use crate::manager::NewKey;

const FIELDS: &[&str] = &[
    "name",
    "handle",
    "hash",
    "prefix",
    "description",
    "owner",
    "active",
    "servers",
    "scopes",
    "access",
    "mcp",
    "networks",
    "plan",
    "limits",
    "quotas",
    "metadata",
    "created_at",
    "expires_at",
];

#[derive(Default)]
struct Line {
    name: Option<String>,
    handle: Option<String>,
    hash: Option<String>,
    prefix: Option<String>,
    description: Option<String>,
    owner: Option<String>,
    active: Option<bool>,
    servers: Option<Servers>,
    scopes: Option<Vec<ScopeGrant>>,
    access: Option<Access>,
    mcp: Option<McpRules>,
    networks: Option<NetworkRules>,
    plan: Option<String>,
    limits: Option<Vec<RateLimit>>,
    quotas: Option<Vec<Quota>>,
    metadata: Option<Metadata>,
    created_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
}

impl<'de> Deserialize<'de> for ImportKey {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_struct("ImportKey", FIELDS, LineVisitor)
    }
}

struct LineVisitor;

impl<'de> Visitor<'de> for LineVisitor {
    type Value = ImportKey;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object that describes a key")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ImportKey, A::Error> {
        let mut line = Line::default();
        while let Some(field) = map.next_key::<String>()? {
            match field.as_str() {
                "name" => read(&mut map, "name", &mut line.name),
                "handle" => read(&mut map, "handle", &mut line.handle),
                "hash" => read(&mut map, "hash", &mut line.hash),
                "prefix" => read(&mut map, "prefix", &mut line.prefix),
                "description" => read(&mut map, "description", &mut line.description),
                "owner" => read(&mut map, "owner", &mut line.owner),
                "active" => read(&mut map, "active", &mut line.active),
                "servers" => read(&mut map, "servers", &mut line.servers),
                "scopes" => read(&mut map, "scopes", &mut line.scopes),
                "access" => read(&mut map, "access", &mut line.access),
                "mcp" => read(&mut map, "mcp", &mut line.mcp),
                "networks" => read(&mut map, "networks", &mut line.networks),
                "plan" => read(&mut map, "plan", &mut line.plan),
                "quotas" => read(&mut map, "quotas", &mut line.quotas),
                "limits" => read(&mut map, "limits", &mut line.limits),
                "metadata" => read(&mut map, "metadata", &mut line.metadata),
                "created_at" => read(&mut map, "created_at", &mut line.created_at),
                "expires_at" => read(&mut map, "expires_at", &mut line.expires_at),
                unknown => Err(A::Error::unknown_field(unknown, FIELDS)),
            }?;
        }
        line.into_key()
    }
}

/// Reads a member once; `null` is as good as left out.
fn read<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    map: &mut A,
    field: &'static str,
    place: &mut Option<T>,
) -> Result<(), A::Error> {
    if place.is_some() {
        return Err(A::Error::duplicate_field(field));
    }
    *place = map
        .next_value()
        .map_err(|error| A::Error::custom(format_args!("invalid {field}: {error}")))?;
    Ok(())
}

impl Line {
    fn into_key<E: Error>(self) -> Result<ImportKey, E> {
        let required = |field, value: Option<String>| value.ok_or_else(|| E::missing_field(field));
        let mut new =
            NewKey::named(required("name", self.name)?).scopes(self.scopes.unwrap_or_default());
        if let Some(text) = self.description {
            new = new.description(text);
        }
        if let Some(owner) = self.owner {
            new = new.owner(owner);
        }
        if self.active == Some(false) {
            new = new.inactive();
        }
        if self.access == Some(Access::ReadOnly) {
            new = new.read_only();
        }
        new = match self.servers.unwrap_or_default() {
            Servers::All => new.all_servers(),
            Servers::Only(names) => names
                .iter()
                .fold(new, |new, name| new.server(name.as_str())),
        };
        if let Some(rules) = self.mcp {
            new = new.mcp(rules);
        }
        let networks = self.networks.unwrap_or_default();
        let allow = networks.allow().iter().copied();
        let deny = networks.deny().iter().copied();
        new = allow.fold(new, NewKey::allow_from);
        new = deny.fold(new, NewKey::deny_from);
        new = self.limits.into_iter().flatten().fold(new, NewKey::rate);
        new = self.quotas.into_iter().flatten().fold(new, NewKey::quota);
        if let Some(plan) = self.plan {
            new = new.plan(plan);
        }
        let facts = self.metadata.into_iter().flatten();
        new = facts.fold(new, |new, (key, value)| new.metadata(key, value));
        if let Some(time) = self.expires_at {
            new = new.expires_at(time);
        }
        let mut key = new.import(
            required("handle", self.handle)?,
            required("hash", self.hash)?,
        );
        key.prefix = self.prefix;
        key.created_at = self.created_at;
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(json: &str) -> String {
        let read = serde_json::from_str::<ImportKey>(json);
        read.unwrap_err().to_string()
    }

    #[test]
    fn each_fault_names_its_field() {
        for field in FIELDS {
            let wrong = fault(&format!(r#"{{"{field}":17.5}}"#));
            assert!(wrong.starts_with(&format!("invalid {field}: ")), "{wrong}");
            assert_eq!(wrong.matches("column").count(), 1, "{wrong}");
        }
        for (json, expected) in [
            (r#"{}"#, "missing field `name`"),
            (r#"{"name":null}"#, "missing field `name`"),
            (r#"{"name":"a","hash":"h"}"#, "missing field `handle`"),
            (r#"{"name":"a","handle":"h"}"#, "missing field `hash`"),
            (r#"{"name":"a","name":"b"}"#, "duplicate field `name`"),
            (
                r#"{"scope":["*"]}"#,
                "unknown field `scope`, expected one of",
            ),
            (r#"{"tag":7}"#, "unknown field `tag`"),
            (r#"{"scopes":["a b"]}"#, "invalid scopes: "),
            (r#"{"servers":["*"]}"#, "invalid servers: "),
            (r#"{"networks":{"alow":[]}}"#, "invalid networks: "),
            (r#"{"expires_at":"tomorrow"}"#, "invalid expires_at: "),
            (r#"[]"#, "invalid type: sequence, expected an object"),
        ] {
            let fault = fault(json);
            assert!(fault.starts_with(expected), "{json}: {fault}");
        }
    }

    #[test]
    fn a_key_read_from_a_line_is_shown_without_its_hash() {
        let json = r#"{"name":"ci","handle":"ATgKlpEa","hash":"sha256:0123","owner":null}"#;
        let key: ImportKey = serde_json::from_str(json).unwrap();
        let shown = format!("{key:?}");
        assert!(
            shown.contains("ATgKlpEa") && !shown.contains("0123"),
            "{shown}"
        );
    }
}
