//! Which tools, prompts and resources of an MCP server a key may use.
//!
//! 1. A rule is a list of patterns to allow and a list to deny. Deny beats allow.
//! 2. An empty allow list allows all that is not denied. So no rules at all restrict nothing.
//! 3. In a [`Glob`], `*` stands for any run of characters, also for none and also across `/`.
//!    Everything else stands for itself, upper case apart from lower case.
//! 4. Names are compared as they are written. A URI can be written in many ways that mean the same
//!    place; whoever applies these rules to URIs must refuse the ones that are not plain.
//!
//! To confine a key to something, allow it. A deny list holds against the names somebody thought of
//! on the day it was written, and not against the tool that the server gets tomorrow.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

use super::InvalidText;

/// The longest pattern in bytes.
const MAX_LENGTH: usize = 256;

/// A pattern over names of tools and prompts, or over URIs of resources.
///
/// `*` stands for any run of characters, everything else for itself. 1 to 256 bytes, without
/// control characters. There is no way to write a literal star.
///
/// ```
/// use mcp_api_keys::key::Glob;
///
/// let notes: Glob = "note_*".parse()?;
/// assert!(notes.matches("note_read"));
/// assert!(!notes.matches("Note_read"));
/// assert!(!notes.matches("my_note_read"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Glob(Box<str>);

impl Glob {
    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the pattern stands for `name`. Takes time in proportion to both lengths, whatever
    /// they hold: the name comes from a caller.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let Some((head, rest)) = self.0.split_once('*') else {
            return *self.0 == *name;
        };
        let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
        let inner = name
            .strip_prefix(head)
            .and_then(|name| name.strip_suffix(tail));
        let Some(mut inner) = inner else {
            return false;
        };
        // The first place where a part fits leaves the most room for the parts after it, so there
        // is never a reason to go back.
        for part in middle.split('*') {
            let Some((_, after)) = inner.split_once(part) else {
                return false;
            };
            inner = after;
        }
        true
    }

    /// Whether it is certain that this pattern matches all that `other` matches.
    ///
    /// Read as a name, the other pattern keeps its stars. Only a star can match a star, and what
    /// it matches may be longer or shorter.
    fn covers(&self, other: &Self) -> bool {
        self.matches(&other.0)
    }

    /// Whether it is certain that no name matches both patterns.
    fn excludes(&self, other: &Self) -> bool {
        match (self.ends(), other.ends()) {
            (_, None) => !self.matches(&other.0),
            (None, _) => !other.matches(&self.0),
            (Some((head, tail)), Some((others_head, others_tail))) => {
                !(head.starts_with(others_head) || others_head.starts_with(head))
                    || !(tail.ends_with(others_tail) || others_tail.ends_with(tail))
            }
        }
    }

    /// What stands before the first star and behind the last, if there is one.
    fn ends(&self) -> Option<(&str, &str)> {
        let (head, rest) = self.0.split_once('*')?;
        Some((head, rest.rsplit_once('*').map_or(rest, |(_, tail)| tail)))
    }
}

impl FromStr for Glob {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if (1..=MAX_LENGTH).contains(&text.len()) && !text.chars().any(char::is_control) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidText::new(
                "must be 1 to 256 bytes without control characters",
            ))
        }
    }
}

impl TryFrom<String> for Glob {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Glob> for String {
    fn from(glob: Glob) -> Self {
        glob.0.into()
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// The names of one sort that a key may use: patterns to allow and patterns to deny.
///
/// Deny beats allow, and an empty allow list allows all that is not denied.
///
/// ```
/// use mcp_api_keys::key::NameRules;
///
/// let rules = NameRules::new(vec!["note_*".parse()?], vec!["note_delete".parse()?]);
/// assert!(rules.permits("note_read"));
/// assert!(!rules.permits("note_delete"));
/// assert!(!rules.permits("shell"));
/// assert!(NameRules::default().permits("shell"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NameRules {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    allow: Vec<Glob>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    deny: Vec<Glob>,
}

impl NameRules {
    const NONE: Self = Self {
        allow: Vec::new(),
        deny: Vec::new(),
    };

    /// Rules from the two lists.
    #[must_use]
    pub fn new(allow: Vec<Glob>, deny: Vec<Glob>) -> Self {
        Self { allow, deny }
    }

    /// The patterns of which a name must match one, unless there are none.
    #[must_use]
    pub fn allow(&self) -> &[Glob] {
        &self.allow
    }

    /// The patterns of which a name must match none.
    #[must_use]
    pub fn deny(&self) -> &[Glob] {
        &self.deny
    }

    /// Whether there is no rule at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// Whether `name` may be used.
    #[must_use]
    pub fn permits(&self, name: &str) -> bool {
        let listed = |list: &[Glob]| list.iter().any(|glob| glob.matches(name));
        !listed(&self.deny) && (self.allow.is_empty() || listed(&self.allow))
    }

    /// Whether it is certain that these rules permit all that `other` permits.
    ///
    /// Each allowed pattern of the other lies within a single one allowed here, and each one denied
    /// here is denied there or is out of reach of all that is allowed there.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let within = |glob: &Glob| self.allow.iter().any(|wider| wider.covers(glob));
        let kept_out = |glob: &Glob| {
            other.deny.iter().any(|wider| wider.covers(glob))
                || (!other.allow.is_empty()
                    && other.allow.iter().all(|allowed| glob.excludes(allowed)))
        };
        let allow =
            self.allow.is_empty() || (!other.allow.is_empty() && other.allow.iter().all(within));
        allow && self.deny.iter().all(kept_out)
    }
}

/// The tools, resources and prompts of MCP servers that a key may use. The default restricts
/// nothing.
///
/// In JSON an object with `tools`, `resources` and `prompts`, each of them an object with `allow`
/// and `deny`; what is empty may be left out. A misspelt name is an error: ignored, it would open
/// the key.
///
/// ```
/// use mcp_api_keys::key::McpRules;
///
/// let rules = McpRules::default()
///     .allow_tool("note_*".parse()?)
///     .deny_tool("note_delete".parse()?)
///     .allow_resource("note://public/*".parse()?);
/// assert!(rules.tools().permits("note_read"));
/// assert!(!rules.tools().permits("note_delete"));
/// assert!(rules.prompts().permits("summary"));
///
/// let json = r#"{"tools":{"allow":["note_*"],"deny":["note_delete"]},"resources":{"allow":["note://public/*"]}}"#;
/// assert_eq!(serde_json::to_string(&rules)?, json);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "Lists")]
// None where there is no rule, so that equal rules are equal. Most keys have none.
pub struct McpRules(Option<Box<Lists>>);

/// The rules themselves, in the form in which they are written.
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename = "McpRules", deny_unknown_fields)]
struct Lists {
    #[serde(default, skip_serializing_if = "NameRules::is_empty")]
    tools: NameRules,
    #[serde(default, skip_serializing_if = "NameRules::is_empty")]
    resources: NameRules,
    #[serde(default, skip_serializing_if = "NameRules::is_empty")]
    prompts: NameRules,
}

static NO_RULES: Lists = Lists {
    tools: NameRules::NONE,
    resources: NameRules::NONE,
    prompts: NameRules::NONE,
};

impl From<Lists> for McpRules {
    fn from(lists: Lists) -> Self {
        let restricts = lists != NO_RULES;
        Self(restricts.then(|| Box::new(lists)))
    }
}

impl Serialize for McpRules {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.lists().serialize(to)
    }
}

impl fmt::Debug for McpRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpRules")
            .field("tools", self.tools())
            .field("resources", self.resources())
            .field("prompts", self.prompts())
            .finish()
    }
}

impl McpRules {
    fn lists(&self) -> &Lists {
        self.0.as_deref().unwrap_or(&NO_RULES)
    }

    /// The lists, to add a rule to.
    fn lists_mut(&mut self) -> &mut Lists {
        self.0.get_or_insert_default()
    }

    /// The rules for names of tools.
    #[must_use]
    pub fn tools(&self) -> &NameRules {
        &self.lists().tools
    }

    /// The rules for URIs of resources.
    #[must_use]
    pub fn resources(&self) -> &NameRules {
        &self.lists().resources
    }

    /// The rules for names of prompts.
    #[must_use]
    pub fn prompts(&self) -> &NameRules {
        &self.lists().prompts
    }

    /// Allows the tools with such names; the first call denies all others.
    #[must_use]
    pub fn allow_tool(mut self, names: Glob) -> Self {
        self.lists_mut().tools.allow.push(names);
        self
    }

    /// Denies the tools with such names.
    #[must_use]
    pub fn deny_tool(mut self, names: Glob) -> Self {
        self.lists_mut().tools.deny.push(names);
        self
    }

    /// Allows the resources with such URIs; the first call denies all others.
    #[must_use]
    pub fn allow_resource(mut self, uris: Glob) -> Self {
        self.lists_mut().resources.allow.push(uris);
        self
    }

    /// Denies the resources with such URIs.
    #[must_use]
    pub fn deny_resource(mut self, uris: Glob) -> Self {
        self.lists_mut().resources.deny.push(uris);
        self
    }

    /// Allows the prompts with such names; the first call denies all others.
    #[must_use]
    pub fn allow_prompt(mut self, names: Glob) -> Self {
        self.lists_mut().prompts.allow.push(names);
        self
    }

    /// Denies the prompts with such names.
    #[must_use]
    pub fn deny_prompt(mut self, names: Glob) -> Self {
        self.lists_mut().prompts.deny.push(names);
        self
    }

    /// Whether there is no rule at all.
    #[must_use]
    pub fn is_unrestricted(&self) -> bool {
        self.0.is_none()
    }

    /// Whether it is certain that these rules permit all that `other` permits: whether a key with
    /// these rules may create one with the others.
    ///
    /// Some pairs that would be harmless are not recognised as such. Two patterns together are
    /// never taken for a third, as in [`ScopeSet::covers`](super::ScopeSet::covers).
    ///
    /// ```
    /// use mcp_api_keys::key::McpRules;
    ///
    /// let notes = McpRules::default().allow_tool("note_*".parse()?);
    /// let reading = McpRules::default().allow_tool("note_read*".parse()?);
    /// assert!(notes.covers(&reading));
    /// assert!(!reading.covers(&notes));
    /// assert!(!notes.covers(&McpRules::default()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let (own, other) = (self.lists(), other.lists());
        own.tools.covers(&other.tools)
            && own.resources.covers(&other.resources)
            && own.prompts.covers(&other.prompts)
    }
}

#[cfg(test)]
mod tests;
