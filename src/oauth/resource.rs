//! What programs can be connected to, one MCP server each, and what they may ask for there.

use url::Url;

use super::issuer::{Issuer, is_plain_path};
use crate::error::Error;
use crate::key::{Scope, ServerName};

/// A server that programs may be connected to, and what they may ask for there.
///
/// ```
/// use mcp_api_keys::oauth::Resource;
///
/// let files = Resource::new("/mcp").server("files").scopes(["files:read", "files:write"]).name("Files");
/// # let _ = files;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Resource {
    path: String,
    server: Option<String>,
    scopes: Vec<String>,
    defaults: Option<Vec<String>>,
    name: Option<String>,
}

impl Resource {
    /// The server at this path below the issuer: `/mcp`, or nothing for the issuer itself. It is where
    /// clients send their messages to.
    pub fn new(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            server: None,
            scopes: Vec::new(),
            defaults: None,
            name: None,
        }
    }

    /// The name that the layer in front of it has for it: what connections to it open, and nothing
    /// else. No two resources have the same one, or a token for one of them would open the other.
    pub fn server(mut self, name: impl Into<String>) -> Self {
        self.server = Some(name.into());
        self
    }

    /// The scopes that clients may ask for.
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// The scopes that a client is meant to ask for that asks for none. Default: all of them.
    pub fn default_scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.defaults = Some(scopes.into_iter().map(Into::into).collect());
        self
    }

    /// What people call it. Default: the server's name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    pub(super) fn at(self, issuer: &Issuer) -> Result<Place, Error> {
        let path = self.path.trim_end_matches('/').to_owned();
        if !is_plain_path(&path) {
            return Err(Error::invalid(
                "resource",
                "must be a path of plain segments",
            ));
        }
        let server = self.server.unwrap_or_default();
        let server: ServerName = server
            .parse()
            .map_err(|_| Error::invalid("resource", "must name its server"))?;
        let scopes = parsed(&self.scopes)?;
        let defaults = match &self.defaults {
            None => scopes.clone(),
            Some(texts) => parsed(texts)?,
        };
        if !defaults.iter().all(|scope| scopes.contains(scope)) {
            let message = "must offer the scopes that it gives by default";
            return Err(Error::invalid("resource", message));
        }
        Ok(Place {
            url: issuer.url(&path),
            name: self.name.unwrap_or_else(|| server.to_string()),
            path,
            server,
            scopes,
            defaults,
        })
    }
}

fn parsed(texts: &[String]) -> Result<Vec<Scope>, Error> {
    let mut scopes = Vec::new();
    for text in texts {
        let scope: Scope = text.parse().map_err(|error| {
            Error::invalid("resource", "has an invalid scope").with_source(error)
        })?;
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    Ok(scopes)
}

/// A resource in its place below the issuer.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) path: String,
    /// What stands in metadata, and what clients ask for by.
    pub(super) url: String,
    pub(super) name: String,
    pub(super) server: ServerName,
    pub(super) scopes: Vec<Scope>,
    pub(super) defaults: Vec<Scope>,
}

/// What stands for full access among the scopes that programs ask for and are granted.
///
/// It is no [`Scope`], and cannot be read as one: no scope has a slash in it. So none that you offer,
/// ask for or grant can be taken for it, and no key holds it.
pub(super) const FULL_ACCESS: &str = "access/full";

/// What a program asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) scopes: Vec<Scope>,
    pub(super) full_access: bool,
}

impl Wanted {
    /// The same as a `scope` parameter.
    pub(super) fn text(&self) -> String {
        joined(&self.scopes, self.full_access)
    }
}

impl Place {
    /// Whether a `resource` parameter (RFC 8707) means this one.
    pub(super) fn is_meant_by(&self, text: &str) -> bool {
        let Ok(url) = Url::parse(text) else {
            return false;
        };
        let is_bare = url.query().is_none() && url.fragment().is_none();
        is_bare && url.as_str().trim_end_matches('/') == self.url
    }

    /// What a `scope` parameter asks for here; nothing if a scope of it is not offered.
    pub(super) fn wanted(&self, asked: Option<&str>) -> Option<Wanted> {
        let words = asked.unwrap_or_default().split(' ');
        let mut scopes = Vec::new();
        let mut full_access = false;
        for word in words.filter(|word| !word.is_empty()) {
            match word {
                // What it stands for, a refresh token, is always given.
                "offline_access" => continue,
                FULL_ACCESS => {
                    full_access = true;
                    continue;
                }
                _ => {}
            }
            let offered = self.scopes.iter().find(|scope| scope.as_str() == word)?;
            if !scopes.contains(offered) {
                scopes.push(offered.clone());
            }
        }
        if scopes.is_empty() {
            scopes.clone_from(&self.defaults);
        }
        Some(Wanted {
            scopes,
            full_access,
        })
    }
}

/// Scopes as OAuth writes them.
pub(super) fn joined(scopes: &[Scope], full_access: bool) -> String {
    let full_access = full_access.then_some(FULL_ACCESS);
    let texts: Vec<_> = scopes
        .iter()
        .map(Scope::as_str)
        .chain(full_access)
        .collect();
    texts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        let issuer = Issuer::parse("https://mcp.example.com").unwrap();
        let resource = Resource::new("/mcp/").server("files").scopes([
            "files:read",
            "files:write",
            "files:read",
        ]);
        resource.default_scopes(["files:read"]).at(&issuer).unwrap()
    }

    #[test]
    fn a_resource_is_meant_by_its_url_however_it_is_written() {
        let place = place();
        assert_eq!(place.url, "https://mcp.example.com/mcp");
        for text in [
            "https://mcp.example.com/mcp",
            "https://mcp.example.com/mcp/",
            "HTTPS://MCP.example.com:443/mcp",
        ] {
            assert!(place.is_meant_by(text), "{text}");
        }
        for text in [
            "",
            "/mcp",
            "https://mcp.example.com",
            "https://mcp.example.com/mcp/other",
            "https://mcp.example.com/mcp?x",
            "https://mcp.example.com/mcp#x",
            "http://mcp.example.com/mcp",
            "https://evil.example/mcp",
        ] {
            assert!(!place.is_meant_by(text), "{text}");
        }
    }

    #[test]
    fn scopes_are_those_offered() {
        let place = place();
        let asked = |text: Option<&str>| place.wanted(text).map(|wanted| wanted.text());
        assert_eq!(asked(None).unwrap(), "files:read");
        assert_eq!(asked(Some(" ")).unwrap(), "files:read");
        assert_eq!(asked(Some("offline_access")).unwrap(), "files:read");
        assert_eq!(
            asked(Some("files:write offline_access files:write")).unwrap(),
            "files:write"
        );
        assert_eq!(asked(Some("files:read admin")), None);
        assert_eq!(asked(Some("files:*")), None);
    }

    #[test]
    fn full_access_is_asked_for_by_a_word_that_is_no_scope() {
        let place = place();
        let asked = |text: &str| place.wanted(Some(text)).map(|wanted| wanted.text());
        assert_eq!(asked("access/full").unwrap(), "files:read access/full");
        assert_eq!(
            asked("access/full files:write access/full").unwrap(),
            "files:write access/full"
        );
        assert!(!place.wanted(Some("files:write")).unwrap().full_access);
        for near in ["full", "access:full", "access/full:x", "Access/Full", "*"] {
            assert_eq!(asked(near), None, "{near}");
        }
        // Nobody can offer, require, hold or grant it as a scope.
        assert!(FULL_ACCESS.parse::<Scope>().is_err());
        assert!(FULL_ACCESS.parse::<crate::key::ScopeGrant>().is_err());
        let issuer = Issuer::parse("https://mcp.example.com").unwrap();
        let own = Resource::new("/mcp").server("files").scopes([FULL_ACCESS]);
        assert!(own.at(&issuer).is_err());
    }

    #[test]
    fn a_resource_has_a_plain_path_a_server_and_its_own_defaults() {
        let issuer = Issuer::parse("https://mcp.example.com").unwrap();
        for wrong in [
            Resource::new("mcp").server("files"),
            Resource::new("/{key}").server("files"),
            Resource::new("/a/../b").server("files"),
            Resource::new("/mcp"),
            Resource::new("/mcp").server("no server"),
            Resource::new("/mcp").server("files").scopes(["files:*"]),
            Resource::new("/mcp").server("files").default_scopes(["a"]),
        ] {
            assert!(wrong.clone().at(&issuer).is_err(), "{wrong:?}");
        }
        let root = Resource::new("").server("files").at(&issuer).unwrap();
        assert_eq!(root.url, "https://mcp.example.com");
        assert!(root.is_meant_by("https://mcp.example.com/"));
    }
}
