//! Which servers (or projects) a key opens.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};
use smallvec::SmallVec;

use super::ServerName;

/// The servers a key opens. An empty set opens none; "all" is said, never left out.
///
/// In JSON `"all"` or an array of names.
///
/// ```
/// use mcp_api_keys::key::Servers;
///
/// let some = Servers::only(["files", "mail"])?;
/// assert!(some.contains(&"files".parse()?));
/// assert!(!some.contains(&"billing".parse()?));
/// assert!(!Servers::default().contains(&"files".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a third answer would change what every match means"
)]
pub enum Servers {
    /// Every server, those that are added later included.
    All,
    /// These and no others.
    Only(ServerSet),
}

/// Names of servers, in their order and without repetitions.
///
/// ```
/// use mcp_api_keys::key::{ServerName, ServerSet};
///
/// let names: [ServerName; 3] = ["mail".parse()?, "files".parse()?, "mail".parse()?];
/// let set = ServerSet::from_iter(names);
/// assert_eq!(set.len(), 2);
/// assert!(set.contains(&"files".parse()?));
/// assert_eq!(set.iter().map(ServerName::as_str).collect::<Vec<_>>(), ["files", "mail"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
// A tree would take two hundred bytes of every key for the one or two names that most have.
#[derive(Clone, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "Vec<ServerName>")]
pub struct ServerSet(SmallVec<[ServerName; 1]>);

impl ServerSet {
    /// Whether `server` is among them.
    #[must_use]
    pub fn contains(&self, server: &ServerName) -> bool {
        // A few are compared sooner than searched.
        match self.0.as_slice() {
            few @ ([] | [_] | [_, _] | [_, _, _]) => few.contains(server),
            many => many.binary_search(server).is_ok(),
        }
    }

    /// Whether all of them are in `other`.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.iter().all(|server| other.contains(server))
    }

    /// The servers that are in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let both = self.iter().filter(|server| other.contains(server));
        both.cloned().collect()
    }

    /// Adds a server. Says whether it is new.
    pub fn insert(&mut self, server: ServerName) -> bool {
        let Err(at) = self.0.binary_search(&server) else {
            return false;
        };
        self.0.insert(at, server);
        true
    }

    /// The names in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, ServerName> {
        self.0.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<ServerName>> for ServerSet {
    fn from(mut names: Vec<ServerName>) -> Self {
        names.sort_unstable();
        names.dedup();
        Self(names.into_iter().collect())
    }
}

impl Serialize for ServerSet {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self)
    }
}

impl FromIterator<ServerName> for ServerSet {
    fn from_iter<I: IntoIterator<Item = ServerName>>(names: I) -> Self {
        Vec::from_iter(names).into()
    }
}

impl<'a> IntoIterator for &'a ServerSet {
    type Item = &'a ServerName;
    type IntoIter = std::slice::Iter<'a, ServerName>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for ServerSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self).finish()
    }
}

impl Servers {
    /// The set of the named servers.
    ///
    /// # Errors
    ///
    /// If a name is not a valid [`ServerName`].
    pub fn only<I>(names: I) -> Result<Self, super::InvalidText>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        names
            .into_iter()
            .map(|name| name.as_ref().parse())
            .collect::<Result<_, _>>()
            .map(Self::Only)
    }

    /// Whether `server` is among them.
    pub fn contains(&self, server: &ServerName) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(server),
        }
    }

    /// The servers that are in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::All, some) | (some, Self::All) => some.clone(),
            (Self::Only(one), Self::Only(other)) => Self::Only(one.intersection(other)),
        }
    }
}

impl Default for Servers {
    fn default() -> Self {
        Self::Only(ServerSet::default())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Wire {
    Word(String),
    Names(ServerSet),
}

impl TryFrom<Wire> for Servers {
    type Error = &'static str;

    fn try_from(wire: Wire) -> Result<Self, Self::Error> {
        match wire {
            Wire::Names(names) => Ok(Self::Only(names)),
            Wire::Word(word) if word == "all" => Ok(Self::All),
            Wire::Word(_) => Err("servers must be \"all\" or an array of names"),
        }
    }
}

impl From<Servers> for Wire {
    fn from(servers: Servers) -> Self {
        match servers {
            Servers::All => Self::Word("all".to_owned()),
            Servers::Only(names) => Self::Names(names),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_with_some_are_those_some() {
        let [some, other] = [["a", "b"], ["b", "c"]].map(|names| Servers::only(names).unwrap());
        assert_eq!(some.intersection(&other), Servers::only(["b"]).unwrap());
        assert_eq!(some.intersection(&Servers::All), some);
        assert_eq!(Servers::All.intersection(&some), some);
        assert_eq!(Servers::All.intersection(&Servers::All), Servers::All);
        assert_eq!(
            Servers::default().intersection(&Servers::All),
            Servers::default()
        );
    }

    #[test]
    fn a_set_keeps_its_order_and_each_name_once() {
        let name = |text: &str| -> ServerName { text.parse().unwrap() };
        let mut set = ServerSet::from_iter(["c", "a", "c"].map(name));
        assert!(set.insert(name("b")));
        assert!(!set.insert(name("a")));
        assert_eq!(set, ServerSet::from_iter(["a", "b", "c"].map(name)));
        assert_eq!(set.len(), 3);
        assert_eq!(
            format!("{set:?}"),
            format!(
                "{:?}",
                set.iter().collect::<std::collections::BTreeSet<_>>()
            )
        );
        let less = ServerSet::from_iter(["a", "c"].map(name));
        assert!(less.is_subset(&set) && !set.is_subset(&less));
        assert_eq!(
            serde_json::from_str::<ServerSet>(r#"["c","a","c"]"#).unwrap(),
            less
        );
    }

    #[test]
    fn json_says_all_or_names_and_nothing_else() {
        let some = Servers::only(["b", "a"]).unwrap();
        assert_eq!(serde_json::to_string(&some).unwrap(), r#"["a","b"]"#);
        assert_eq!(serde_json::to_string(&Servers::All).unwrap(), r#""all""#);
        assert_eq!(
            serde_json::from_str::<Servers>("[]").unwrap(),
            Servers::default()
        );
        for wrong in [r#""ALL""#, r#""files""#, "null", "{}", r#"["*"]"#] {
            assert!(serde_json::from_str::<Servers>(wrong).is_err(), "{wrong}");
        }
    }
}
