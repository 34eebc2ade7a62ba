//! Flags and file, read into one set of settings that make sense.
//!
//! 1. A flag wins over the file. `--upstream` replaces the file's routes, `--route` its upstream
//!    and server name, and a repeatable flag replaces the whole list.
//! 2. A setting that cannot be read, or that nobody knows, ends the start, and the message names
//!    it as it was written: `--listen`, or `listen` in the file.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use http::HeaderName;
use mcp_api_keys::client_ip::{ClientIp, ClientIpSource};
use mcp_api_keys::key::{Network, Scope};
use serde::Deserialize;

use super::formats::Accepted;
use super::headers::Trust;
use super::hosts::Hosts;
use super::oauth::{OAuthFields, OAuthSettings};
use super::places::{self, FilePlaces, Places, Route, Table};
use super::rules::{Amount, RuleFields, Rules};
use super::setting::{Merge, Setting, missing};
use super::tls::TlsFiles;
use super::together::{Shared, SharedFields};
use super::watching::{WatchFields, Watching};
use super::{Error, ServeArgs, admin};
use crate::setup;

/// Everything that the gateway is told.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) listen: Setting<SocketAddr>,
    /// Where the admin API is, if it is served.
    pub(super) admin_listen: Option<Setting<SocketAddr>>,
    /// The names to ask for that under; any, if there are none.
    pub(super) admin_hosts: Option<Hosts>,
    pub(super) routes: Vec<Route>,
    pub(super) scopes: Vec<Scope>,
    pub(super) formats: Vec<Accepted>,
    pub(super) path_keys: bool,
    pub(super) client_ip: ClientIp,
    pub(super) trust: Trust,
    /// The names to be asked for under; any, if there are none.
    pub(super) hosts: Option<Hosts>,
    pub(super) rules: Rules,
    /// How programs connect, if they may.
    pub(super) oauth: Option<OAuthSettings>,
    /// What is shared with other gateways.
    pub(super) shared: Option<Shared>,
    /// What tells of the keys.
    pub(super) watching: Watching,
    pub(super) tls: Option<TlsFiles>,
    /// Authorities that servers' certificates may come from.
    pub(super) upstream_ca: Vec<Setting<PathBuf>>,
}

/// The file of `--config`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    listen: Option<String>,
    admin_listen: Option<String>,
    upstream: Option<String>,
    #[serde(default)]
    routes: BTreeMap<String, String>,
    #[serde(default)]
    route: Vec<Table>,
    server: Option<String>,
    require_scope: Option<Vec<String>>,
    accept_format: Option<Vec<String>>,
    path_keys: Option<bool>,
    trusted_proxies: Option<Vec<String>>,
    client_ip_header: Option<String>,
    allowed_host: Option<Vec<String>>,
    sign: Option<String>,
    sign_tolerance: Option<Amount>,
    sign_replay_guard: Option<bool>,
    #[serde(alias = "read_only_tools")]
    read_only_tool: Option<Vec<String>>,
    tool_cost: Option<Vec<String>>,
    denial_style: Option<String>,
    trust_headers: Option<bool>,
    unbound_tasks: Option<bool>,
    max_body: Option<Amount>,
    oauth: Option<bool>,
    public_url: Option<String>,
    oauth_scope: Option<Vec<String>>,
    oauth_client_documents: Option<Vec<String>>,
    oauth_registration: Option<String>,
    oauth_access_lifetime: Option<String>,
    oauth_refresh_lifetime: Option<String>,
    redis: Option<String>,
    redis_batch: Option<u32>,
    redis_outage: Option<String>,
    redis_ca: Option<PathBuf>,
    alerts: Option<String>,
    webhook: Option<Vec<String>>,
    metrics_listen: Option<String>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    upstream_ca: Option<Vec<PathBuf>>,
}

impl Config {
    pub(super) fn load(args: ServeArgs) -> Result<Self, Error> {
        let path = args.config.clone();
        let file = path.as_deref().map(File::read).transpose()?;
        let merge = Merge { path };
        let config = merge.config(args, file.unwrap_or_default())?;
        let secret = setup::session_secret().map_err(Error::of_keys)?;
        Ok(Self {
            rules: config.rules.with_sessions_of(secret),
            ..config
        })
    }
}

impl File {
    fn read(path: &Path) -> Result<Self, Error> {
        let wrong = |reason: String| Error::Usage(format!("--config {}: {reason}", path.display()));
        let text = std::fs::read_to_string(path)
            .map_err(|error| wrong(format!("cannot be read: {error}")))?;
        toml::from_str(&text).map_err(|error| wrong(error.to_string().trim_end().to_owned()))
    }
}

impl Merge {
    fn config(&self, args: ServeArgs, file: File) -> Result<Config, Error> {
        let listen = self
            .pick("listen", args.listen, file.listen)
            .ok_or_else(|| missing("--listen", "the address to listen on"))?
            .read(|text| {
                text.parse::<SocketAddr>()
                    .map_err(|_| "must be an address and a port such as 127.0.0.1:8080")
            })?;
        let admin_listen = self
            .pick("admin_listen", args.admin_listen, file.admin_listen)
            .map(|address| address.read(admin::address))
            .transpose()?;
        let places = Places {
            upstream: args.upstream,
            routes: args.route,
            server: args.server,
        };
        let in_file = FilePlaces {
            upstream: file.upstream,
            routes: file.routes,
            tables: file.route,
            server: file.server,
        };
        let routes = self.routes(places, in_file)?;
        let scopes = self
            .pick_list("require_scope", args.require_scope, file.require_scope)
            .into_iter()
            .map(|scope| scope.read(str::parse::<Scope>).map(|scope| scope.value))
            .collect::<Result<_, _>>()?;
        let path_keys = args.path_keys || file.path_keys.unwrap_or_default();
        let formats = self.pick_list("accept_format", args.accept_format, file.accept_format);
        let formats = places::formats(formats, &routes, path_keys)?;
        let proxies = self
            .trusted_proxies(args.trusted_proxy, file.trusted_proxies)
            .into_iter()
            .map(|net| net.read(str::parse::<Network>).map(|net| net.value))
            .collect::<Result<_, _>>()?;
        let header = self.pick(
            "client_ip_header",
            args.client_ip_header,
            file.client_ip_header,
        );
        let (client_ip, trust) = client_ip(proxies, header)?;
        let rules = RuleFields {
            sign: file.sign,
            sign_tolerance: file.sign_tolerance,
            sign_replay_guard: file.sign_replay_guard,
            read_only_tool: file.read_only_tool,
            tool_cost: file.tool_cost,
            denial_style: file.denial_style,
            trust_headers: file.trust_headers,
            unbound_tasks: file.unbound_tasks,
            max_body: file.max_body,
        };
        let rules = self.rules(args.rules, rules)?;
        let oauth = OAuthFields {
            oauth: file.oauth,
            public_url: file.public_url,
            oauth_scope: file.oauth_scope,
            oauth_client_documents: file.oauth_client_documents,
            oauth_registration: file.oauth_registration,
            oauth_access_lifetime: file.oauth_access_lifetime,
            oauth_refresh_lifetime: file.oauth_refresh_lifetime,
        };
        let oauth = self.oauth(args.oauth, oauth)?;
        let shared = SharedFields {
            redis: file.redis,
            redis_batch: file.redis_batch,
            redis_outage: file.redis_outage,
            redis_ca: file.redis_ca,
        };
        let shared = self.shared(args.shared, shared)?;
        let watching = WatchFields {
            alerts: file.alerts,
            webhook: file.webhook,
            metrics_listen: file.metrics_listen,
        };
        let watching = self.watching(args.watching, watching)?;
        let cert = self.pick("tls_cert", args.tls_cert, file.tls_cert);
        let key = self.pick("tls_key", args.tls_key, file.tls_key);
        let tls = tls(cert, key)?;
        let hosts = self.pick_list("allowed_host", args.allowed_host, file.allowed_host);
        let named_elsewhere = tls.is_some() || !trust.proxies.is_empty();
        let admin_hosts = match &admin_listen {
            Some(address) => Hosts::read(hosts.clone(), address.value, named_elsewhere)?,
            None => None,
        };
        let hosts = Hosts::read(hosts, listen.value, named_elsewhere)?;
        let hosts = match &oauth {
            Some(oauth) => {
                oauth.check(&listen, &routes)?;
                hosts.map(|hosts| hosts.and(oauth.host()))
            }
            None => hosts,
        };
        Ok(Config {
            listen,
            admin_listen,
            admin_hosts,
            routes,
            scopes,
            formats,
            path_keys,
            client_ip,
            trust,
            hosts,
            rules,
            oauth,
            shared,
            watching,
            tls,
            upstream_ca: self.pick_list("upstream_ca", args.upstream_ca, file.upstream_ca),
        })
    }

    fn trusted_proxies(
        &self,
        flags: Vec<String>,
        file: Option<Vec<String>>,
    ) -> Vec<Setting<String>> {
        // The one setting whose flag says one and whose field says many.
        self.list("--trusted-proxy", "trusted_proxies", flags, file)
    }
}

fn client_ip(
    proxies: Vec<Network>,
    header: Option<Setting<String>>,
) -> Result<(ClientIp, Trust), Error> {
    if proxies.is_empty() {
        return match header {
            Some(header) => Err(header.wrong("is never read without a trusted proxy")),
            None => Ok((ClientIp::peer(), Trust::default())),
        };
    }
    let header = match header {
        Some(header) => {
            let read = |text: &str| text.parse::<HeaderName>().map_err(|_| "is no header name");
            Some(header.read(read)?.value)
        }
        None => None,
    };
    let source = match header.as_ref().map(HeaderName::as_str) {
        None | Some("x-forwarded-for") => ClientIpSource::XForwardedFor,
        Some("forwarded") => ClientIpSource::Forwarded,
        Some(_) => header
            .clone()
            .map_or(ClientIpSource::Peer, ClientIpSource::Header),
    };
    let client_ip = ClientIp::behind(proxies.iter().copied(), source);
    Ok((client_ip, Trust { proxies, header }))
}

fn tls(
    cert: Option<Setting<PathBuf>>,
    key: Option<Setting<PathBuf>>,
) -> Result<Option<TlsFiles>, Error> {
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert, key })),
        (None, None) => Ok(None),
        (Some(cert), None) => Err(cert.wrong("needs --tls-key as well")),
        (None, Some(key)) => Err(key.wrong("needs --tls-cert as well")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(args: ServeArgs, file: &str) -> Result<Config, Error> {
        let merge = Merge {
            path: Some("g.toml".into()),
        };
        merge.config(args, toml::from_str(file).unwrap())
    }

    fn fault(args: ServeArgs, file: &str) -> String {
        load(args, file).unwrap_err().to_string()
    }

    fn args() -> ServeArgs {
        ServeArgs {
            listen: Some("127.0.0.1:0".to_owned()),
            upstream: Some("http://h:1".to_owned()),
            ..ServeArgs::default()
        }
    }

    #[test]
    fn the_file_says_everything_that_flags_say() {
        let file = r#"
            listen = "[::1]:80"
            admin_listen = "[::1]:81"
            require_scope = ["a:b", "c"]
            accept_format = ["plain=mgw_", "segmented"]
            path_keys = true
            trusted_proxies = ["10.0.0.0/8"]
            client_ip_header = "X-Real-IP"
            allowed_host = ["gateway.test", "[::1]:80"]
            sign = "required"
            sign_tolerance = 60
            sign_replay_guard = true
            read_only_tools = ["list"]
            tool_cost = ["search_*=5"]
            denial_style = "http"
            trust_headers = true
            unbound_tasks = true
            max_body = "1MiB"
            oauth = true
            public_url = "https://mcp.example.com"
            oauth_scope = ["a:c"]
            oauth_client_documents = ["claude.ai"]
            oauth_registration = "off"
            oauth_access_lifetime = "15m"
            oauth_refresh_lifetime = "7d"
            redis = "redis://:hunter2@h:7000"
            redis_outage = "closed"
            redis_batch = 20
            alerts = "off"
            metrics_listen = "127.0.0.1:9090"
            tls_cert = "c.pem"
            tls_key = "k.pem"
            upstream_ca = ["a.pem", "b.pem"]
            [routes]
            files = "http://h:1"
            mail = "https://h:2/x"
            [[route]]
            name = "notes"
            url = "http://h:3"
            read_only_tools = ["read"]
        "#;
        let config = load(ServeArgs::default(), file).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        assert_eq!(config.listen.value, "[::1]:80".parse().unwrap());
        let admin = config.admin_listen.as_ref().unwrap();
        assert_eq!(admin.value, "[::1]:81".parse().unwrap());
        assert!(config.admin_hosts.is_some());
        assert_eq!(config.scopes.len(), 2);
        assert_eq!(config.formats.len(), 3, "with the default one");
        assert!(config.path_keys);
        assert_eq!(config.trust.proxies.len(), 1);
        assert_eq!(config.trust.header.unwrap(), "x-real-ip");
        assert!(config.tls.is_some());
        assert_eq!(config.upstream_ca.len(), 2);
        let names = config.routes.iter().map(|route| &route.server);
        let names: Vec<_> = names.map(|name| name.as_ref().unwrap().as_str()).collect();
        assert_eq!(names, ["files", "mail", "notes"]);
        assert_eq!(config.routes[2].read_only_tools, ["read"]);
        assert!(config.hosts.is_some());
        let shared = format!("{:?}", config.shared.as_ref().unwrap());
        for part in ["h:7000", "Closed", "batch: 20"] {
            assert!(shared.contains(part), "{part}: {shared}");
        }
        let oauth = format!("{:?}", config.oauth.as_ref().unwrap());
        for part in [
            "mcp.example.com",
            "a:c",
            "claude.ai",
            "registration: false",
            "access: 900s",
            "refresh: 604800s",
        ] {
            assert!(oauth.contains(part), "{part}: {oauth}");
        }
        let watching = format!("{:?}", config.watching);
        for part in ["alerts: false", "127.0.0.1:9090"] {
            assert!(watching.contains(part), "{part}: {watching}");
        }
        let rules = format!("{:?}", config.rules);
        for part in [
            "Required",
            "Some(60s)",
            "replay_guard: true",
            r#"["list"]"#,
            r#"[("search_*", 5)]"#,
            "Http",
            "Some(1048576)",
            "trusts_headers: true",
            "unbound_tasks: true",
        ] {
            assert!(rules.contains(part), "{part}: {rules}");
        }
    }

    #[test]
    fn flags_win() {
        let file = r#"
            listen = "wrong"
            server = "one"
            require_scope = ["wrong scope"]
            [routes]
            files = "wrong"
        "#;
        let mut flags = args();
        flags.require_scope = vec!["a".to_owned()];
        let config = load(flags, file).unwrap();
        assert_eq!(config.routes.len(), 1);
        assert_eq!(config.routes[0].server.as_ref().unwrap().as_str(), "one");
        assert_eq!(config.scopes[0].as_str(), "a");

        let mut flags = args();
        flags.upstream = None;
        flags.route = vec!["mail=http://h:2".to_owned()];
        let config = load(flags, r#"upstream = "wrong""#).unwrap();
        assert_eq!(config.routes[0].name.as_ref().unwrap().as_str(), "mail");
    }

    #[test]
    fn every_wrong_setting_is_named_as_it_was_written() {
        let (args, none) = (args(), ServeArgs::default());
        let upstream = |url: &str| ServeArgs {
            upstream: Some(url.to_owned()),
            ..args.clone()
        };
        let routes = |routes: &[&str]| ServeArgs {
            upstream: None,
            route: routes.iter().map(|&route| route.to_owned()).collect(),
            ..args.clone()
        };
        for (args, file, begins) in [
            (none.clone(), "", "--listen is missing"),
            (none, "listen = \"x\"", "`listen` in g.toml: \"x\" must be"),
            (
                args.clone(),
                "admin_listen = \"x\"",
                "`admin_listen` in g.toml: \"x\" must be",
            ),
            (upstream("h:1"), "", "--upstream: "),
            (routes(&["files"]), "", "--route: "),
            (routes(&["a b=http://h"]), "", "--route a b: "),
            (routes(&["..=http://h"]), "", "--route ..: "),
            (routes(&["a=ftp://h"]), "", "--route a: "),
            (routes(&["a=http://h", "a=http://i"]), "", "--route a: "),
            (routes(&[]), "", "--upstream is missing"),
            (routes(&[]), "[routes]\na = 'x'", "`routes.a` in g.toml: "),
            (
                routes(&[]),
                "upstream = 'http://h'\n[routes]\na = 'http://h'",
                "`upstream` in g.toml: ",
            ),
            (args.clone(), "server = \"a/b\"", "`server` in g.toml: "),
            (args.clone(), "require_scope = [\"a:*\"]", "`require_scope`"),
            (
                args.clone(),
                "accept_format = [\"mgw_\"]",
                "`accept_format` in g.toml: \"mgw_\" must be",
            ),
            (
                args.clone(),
                "path_keys = true\naccept_format = [\"plain=mc\"]",
                "`accept_format` in g.toml: keys in the path",
            ),
            (
                args.clone(),
                "trusted_proxies = [\"x\"]",
                "`trusted_proxies`",
            ),
            (
                args.clone(),
                "client_ip_header = \"x\"",
                "`client_ip_header`",
            ),
            (args.clone(), "allowed_host = ['a/b']", "`allowed_host`"),
            (args.clone(), "sign = 'on'", "`sign` in g.toml: \"on\" must"),
            (args.clone(), "sign_tolerance = 0", "`sign_tolerance`"),
            (args.clone(), "tool_cost = ['x']", "`tool_cost`"),
            (args.clone(), "denial_style = 'x'", "`denial_style`"),
            (args.clone(), "max_body = '1MB'", "`max_body`"),
            (
                args.clone(),
                "alerts = 'x'",
                "`alerts` in g.toml: \"x\" must be on",
            ),
            (
                args.clone(),
                "metrics_listen = 'x'",
                "`metrics_listen` in g.toml: ",
            ),
            (
                args.clone(),
                "webhook = ['https://h']",
                "`webhook` in g.toml: needs a secret",
            ),
            (
                routes(&[]),
                "[[route]]\nname = 'a'\nurl = 'x'",
                "`route.a` in g.toml: ",
            ),
            (
                routes(&[]),
                "[routes]\na = 'http://h'\n[[route]]\nname = 'a'\nurl = 'http://h'",
                "`route.a` in g.toml: is there twice",
            ),
            (
                args.clone(),
                "tls_cert = \"x\"",
                "`tls_cert` in g.toml: needs",
            ),
            (
                args.clone(),
                "tls_key = \"x\"",
                "`tls_key` in g.toml: needs",
            ),
        ] {
            let fault = fault(args, file);
            assert!(fault.starts_with(begins), "{begins}: {fault}");
        }
    }

    #[test]
    fn an_unknown_field_is_named() {
        let error = toml::from_str::<File>("listne = \"x\"").unwrap_err();
        assert!(error.to_string().contains("listne"), "{error}");
    }
}
