//! Which servers there are, by flags and file, and where callers find them.

use std::collections::BTreeMap;

use mcp_api_keys::key::{InvalidText, ServerName};
use serde::Deserialize;

use super::Error;
use super::formats::{Accepted, begins_as_key};
use super::setting::{Merge, Setting, missing};

use super::upstream::{MCP, Upstream};

/// The way to one server.
#[derive(Debug)]
pub(super) struct Route {
    /// What stands before `/mcp` in the path; nothing for the only server.
    pub(super) name: Option<ServerName>,
    /// What keys are granted for.
    pub(super) server: Option<ServerName>,
    pub(super) upstream: Upstream,
    /// Those of its tools that change nothing, beside the ones that are named for all servers.
    pub(super) read_only_tools: Vec<String>,
}

/// By flags.
pub(super) struct Places {
    pub(super) upstream: Option<String>,
    pub(super) routes: Vec<String>,
    pub(super) server: Option<String>,
}

/// By the file.
#[derive(Default)]
pub(super) struct FilePlaces {
    pub(super) upstream: Option<String>,
    pub(super) routes: BTreeMap<String, String>,
    pub(super) tables: Vec<Table>,
    pub(super) server: Option<String>,
}

/// A server of several in the file, with more to say of it than its URL: `[[route]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    name: String,
    url: String,
    #[serde(default, alias = "read_only_tool")]
    read_only_tools: Vec<String>,
}

/// A route as it was written, and what to call it.
struct Written {
    name: String,
    url: String,
    read_only_tools: Vec<String>,
    origin: String,
}

impl Merge {
    pub(super) fn routes(&self, flags: Places, file: FilePlaces) -> Result<Vec<Route>, Error> {
        let file = match (&flags.upstream, &*flags.routes) {
            (None, []) => file,
            (Some(_), _) => FilePlaces {
                server: file.server,
                ..FilePlaces::default()
            },
            (None, _) => FilePlaces::default(),
        };
        let upstream = self.pick("upstream", flags.upstream, file.upstream);
        let server = self.pick("server", flags.server, file.server);
        let routes = self.named(flags.routes, file.routes, file.tables)?;
        match (upstream, &*routes) {
            (None, []) => Err(missing(
                "--upstream",
                "the server's URL (or --route NAME=URL, for several)",
            )),
            (Some(upstream), []) => {
                let upstream = upstream.read(Upstream::parse)?.value;
                let server = server.map(|name| name.read(server_name)).transpose()?;
                Ok(vec![Route {
                    name: None,
                    server: server.map(|server| server.value),
                    upstream,
                    read_only_tools: Vec::new(),
                }])
            }
            (Some(upstream), _) => Err(upstream.wrong("cannot stand beside routes")),
            (None, _) => match server {
                Some(server) => Err(server.wrong("is of no use with routes, which have names")),
                None => Ok(routes),
            },
        }
    }

    fn named(
        &self,
        flags: Vec<String>,
        file: BTreeMap<String, String>,
        tables: Vec<Table>,
    ) -> Result<Vec<Route>, Error> {
        let mut written = Vec::new();
        for text in flags {
            let Some((name, url)) = text.split_once('=') else {
                let text = format!("--route: {text:?} must be NAME=URL");
                return Err(Error::Usage(text));
            };
            written.push(Written {
                name: name.to_owned(),
                url: url.to_owned(),
                read_only_tools: Vec::new(),
                origin: format!("--route {name}"),
            });
        }
        written.extend(file.into_iter().map(|(name, url)| Written {
            origin: self.field(&format!("routes.{name}")),
            name,
            url,
            read_only_tools: Vec::new(),
        }));
        written.extend(tables.into_iter().map(|table| Written {
            origin: self.field(&format!("route.{}", table.name)),
            name: table.name,
            url: table.url,
            read_only_tools: table.read_only_tools,
        }));
        let mut routes: Vec<Route> = Vec::new();
        for written in written {
            let setting = |value| Setting {
                value,
                name: written.origin.clone(),
            };
            let name = setting(written.name).read(server_name)?;
            if routes
                .iter()
                .any(|route| route.name.as_ref() == Some(&name.value))
            {
                return Err(name.wrong("is there twice"));
            }
            routes.push(Route {
                name: Some(name.value.clone()),
                server: Some(name.value),
                upstream: setting(written.url).read(Upstream::parse)?.value,
                read_only_tools: written.read_only_tools,
            });
        }
        Ok(routes)
    }
}

/// A name that can also stand in a path.
fn server_name(text: &str) -> Result<ServerName, String> {
    if matches!(text, "." | "..") {
        return Err("would mean another place in a path".to_owned());
    }
    text.parse().map_err(|error: InvalidText| error.to_string())
}

/// Reads the accepted formats; the default format is always among what comes back.
pub(super) fn formats(
    settings: Vec<Setting<String>>,
    routes: &[Route],
    path_keys: bool,
) -> Result<Vec<Accepted>, Error> {
    let mut formats = vec![Accepted::default()];
    for setting in settings {
        let accepted = setting.read(Accepted::parse)?;
        if path_keys {
            tell_apart(&accepted, routes)?;
        }
        formats.push(accepted.value);
    }
    Ok(formats)
}

/// In a path, keys are told by how they begin; nothing of the path itself may begin so.
fn tell_apart(accepted: &Setting<Accepted>, routes: &[Route]) -> Result<(), Error> {
    let one = std::slice::from_ref(&accepted.value);
    let names = routes.iter().filter_map(|route| route.name.as_ref());
    let mut segments = names.map(ServerName::as_str).chain([MCP.trim_matches('/')]);
    match segments.find(|segment| begins_as_key(segment.as_bytes(), one)) {
        Some(segment) => Err(accepted.wrong(format!(
            "keys in the path could not be told from its {segment:?}"
        ))),
        None => Ok(()),
    }
}
