//! Which servers (or projects) a key opens.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a third answer would change what every match means"
)]
pub enum Servers {
    /// Every server, those that are added later included.
    All,
    /// These and no others.
    Only(BTreeSet<ServerName>),
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
            (Self::Only(one), Self::Only(other)) => {
                Self::Only(one.intersection(other).cloned().collect())
            }
        }
    }
}

impl Default for Servers {
    fn default() -> Self {
        Self::Only(BTreeSet::new())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Wire {
    Word(String),
    Names(BTreeSet<ServerName>),
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
