//! OAuth: programs connect with a click, beside callers that bring a key.
//!
//! 1. Each route is a resource of its own, `/NAME/mcp`, and a connection to it is granted for that
//!    server alone. Whoever has a key with an owner signs in with it, and consents on a page.
//! 2. The URL that callers know is said once ([`public_url`](OAuthArgs::public_url)), and is never taken
//!    from what a caller sends. Without it the gateway is known by its own address, and that must be
//!    a loopback address. Its host is one of the names to be asked for under.
//! 3. Connections are offered the scopes that every key needs, and those that are named for them.
//! 4. Pages on which people sign in and consent share their origin with the servers. So what a server
//!    answers is given no more rights in a browser than a page from nowhere: no script, no origin.
//! 5. Without `--oauth` none of it is there: no documents, no challenge that names one.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use http::header::CONTENT_SECURITY_POLICY;
use http::uri::Authority;
use http::{HeaderValue, Response};
use mcp_api_keys::ApiKeys;
use mcp_api_keys::key::Scope;
use mcp_api_keys::layer::StandardResponder;
use mcp_api_keys::oauth::{ClientDocuments, KeySignIn, OAuth, Resource};
use url::Url;

use super::Error;
use super::config::Config;
use super::places::Route;
use super::route;
use super::setting::{Merge, Setting};

/// The flags for it.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct OAuthArgs {
    /// Let programs such as Claude connect by OAuth: whoever has a key signs in with it on a page, and
    /// allows or denies
    #[arg(long)]
    pub(super) oauth: bool,

    /// URL under which programs and browsers reach the gateway, without a path, such as
    /// https://NAME [default: the address it listens on, if that is a loopback address]
    #[arg(long, value_name = "URL")]
    pub(super) public_url: Option<String>,

    /// Scope to offer to programs that connect, beside those of --require-scope (repeatable)
    #[arg(long, value_name = "SCOPE")]
    pub(super) oauth_scope: Vec<String>,

    /// Host whose programs may name themselves by the URL of a document about them there, which the
    /// gateway fetches (client ID metadata documents); * for any host (repeatable) [default: none]
    #[arg(long, value_name = "HOST")]
    pub(super) oauth_client_documents: Vec<String>,

    /// Whether programs may register themselves, which most still do: on or off [default: on]
    #[arg(long, value_name = "on|off")]
    pub(super) oauth_registration: Option<String>,

    /// How long a program may use what it was given before it has to renew it, such as 15m [default:
    /// 1h]
    #[arg(long, value_name = "TIME")]
    pub(super) oauth_access_lifetime: Option<String>,

    /// How long a connection that is not used stays, such as 7d [default: 30d]
    #[arg(long, value_name = "TIME")]
    pub(super) oauth_refresh_lifetime: Option<String>,
}

/// The same in the file.
#[derive(Debug, Default)]
pub(super) struct OAuthFields {
    pub(super) oauth: Option<bool>,
    pub(super) public_url: Option<String>,
    pub(super) oauth_scope: Option<Vec<String>>,
    pub(super) oauth_client_documents: Option<Vec<String>>,
    pub(super) oauth_registration: Option<String>,
    pub(super) oauth_access_lifetime: Option<String>,
    pub(super) oauth_refresh_lifetime: Option<String>,
}

/// How long tokens live, unless something else is said.
const ACCESS: Duration = Duration::from_secs(3_600);
const REFRESH: Duration = Duration::from_secs(30 * 86_400);

/// How programs connect.
#[derive(Debug)]
pub(super) struct OAuthSettings {
    public_url: Option<Url>,
    scopes: Vec<Scope>,
    client_documents: Option<ClientDocuments>,
    registration: bool,
    access: Duration,
    refresh: Duration,
}

impl Merge {
    pub(super) fn oauth(
        &self,
        flags: OAuthArgs,
        file: OAuthFields,
    ) -> Result<Option<OAuthSettings>, Error> {
        let url = self.pick("public_url", flags.public_url, file.public_url);
        let scopes = self.pick_list("oauth_scope", flags.oauth_scope, file.oauth_scope);
        let registration = self.pick(
            "oauth_registration",
            flags.oauth_registration,
            file.oauth_registration,
        );
        let access = self.pick(
            "oauth_access_lifetime",
            flags.oauth_access_lifetime,
            file.oauth_access_lifetime,
        );
        let refresh = self.pick(
            "oauth_refresh_lifetime",
            flags.oauth_refresh_lifetime,
            file.oauth_refresh_lifetime,
        );
        let documents = self.pick_list(
            "oauth_client_documents",
            flags.oauth_client_documents,
            file.oauth_client_documents,
        );
        if !flags.oauth && !file.oauth.unwrap_or_default() {
            let mut alone = [&url, &registration, &access, &refresh]
                .into_iter()
                .flatten()
                .chain(scopes.iter().chain(&documents));
            return match alone.next() {
                Some(setting) => Err(setting.wrong("means nothing without --oauth")),
                None => Ok(None),
            };
        }
        let lifetime = |setting: Option<Setting<String>>, usual| match setting {
            Some(setting) => setting.read(lifetime).map(|set| set.value),
            None => Ok(usual),
        };
        Ok(Some(OAuthSettings {
            public_url: match url {
                Some(url) => Some(url.read(public_url)?.value),
                None => None,
            },
            scopes: scopes
                .into_iter()
                .map(|scope| scope.read(str::parse::<Scope>).map(|scope| scope.value))
                .collect::<Result<_, _>>()?,
            client_documents: client_documents(documents)?,
            registration: match registration {
                Some(registration) => registration.read(on_or_off)?.value,
                None => true,
            },
            access: lifetime(access, ACCESS)?,
            refresh: lifetime(refresh, REFRESH)?,
        }))
    }
}

impl OAuthSettings {
    /// Whether programs can find the gateway, and what each connection would be granted.
    pub(super) fn check(
        &self,
        listen: &Setting<SocketAddr>,
        routes: &[Route],
    ) -> Result<(), Error> {
        if self.public_url.is_none() && !listen.value.ip().to_canonical().is_loopback() {
            return Err(Error::Usage(format!(
                "--oauth: needs --public-url, the https URL under which callers reach {}",
                listen.value
            )));
        }
        if routes.iter().any(|route| route.server.is_none()) {
            let what = "--oauth: needs --server, the name of the one server: connections are granted \
                        for servers by name";
            return Err(Error::Usage(what.to_owned()));
        }
        Ok(())
    }

    /// The name in the public URL.
    pub(super) fn host(&self) -> Option<Authority> {
        let url = self.public_url.as_ref()?;
        url.authority().parse().ok()
    }

    /// What answers programs at the public URL, or at the address `local`.
    pub(super) fn open(
        &self,
        config: &Config,
        keys: &ApiKeys,
        local: SocketAddr,
    ) -> Result<Connections, Error> {
        let issuer = match &self.public_url {
            Some(url) => url.origin().ascii_serialization(),
            None if config.tls.is_some() => format!("https://{local}"),
            None => format!("http://{local}"),
        };
        let scopes: Vec<&str> = config
            .scopes
            .iter()
            .chain(&self.scopes)
            .map(Scope::as_str)
            .collect();
        let mut builder = OAuth::new(keys, &issuer)
            .map_err(|error| refused(&error))?
            .sign_in(KeySignIn::new(keys))
            .lifetimes(self.access, self.refresh);
        for route in &config.routes {
            let server = route.server.as_ref().map_or("", |name| name.as_str());
            let resource = Resource::new(route::prefix(route)).server(server);
            builder = builder.resource(resource.scopes(scopes.iter().copied()));
        }
        if let Some(documents) = &self.client_documents {
            builder = builder.client_documents(documents.clone());
        }
        if !self.registration {
            builder = builder.without_registration();
        }
        let oauth = builder.build().map_err(|error| refused(&error))?;
        let router = oauth.router();
        Ok(Connections { oauth, router })
    }
}

/// What a program could not be told, or a name that cannot stand in a URL.
fn refused(error: &mcp_api_keys::Error) -> Error {
    Error::Usage(format!("--oauth: {error}"))
}

/// What answers programs that connect, and whoever signs in and consents.
#[derive(Debug)]
pub(super) struct Connections {
    oauth: OAuth,
    router: Router,
}

impl Connections {
    /// Whether there may be something at this path. What there is not is for the router to say.
    pub(super) fn are_at(&self, path: &str) -> bool {
        path.starts_with("/oauth/") || path.starts_with("/.well-known/oauth-")
    }

    pub(super) fn router(&self) -> Router {
        self.router.clone()
    }

    /// What tells callers of the server at `prefix` how to connect.
    pub(super) fn responder(&self, prefix: &str) -> Result<StandardResponder, Error> {
        self.oauth
            .responder(prefix)
            .map_err(|error| refused(&error))
    }
}

/// Takes from a server's answer what a browser would grant it as a page of this origin.
pub(super) fn hold_apart<B>(answer: &mut Response<B>) {
    let sandbox = HeaderValue::from_static("sandbox");
    // Beside the server's own, if it has any: browsers hold to all of them.
    answer
        .headers_mut()
        .append(CONTENT_SECURITY_POLICY, sandbox);
}

fn on_or_off(text: &str) -> Result<bool, &'static str> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("must be on or off"),
    }
}

/// Whose documents are fetched.
fn client_documents(hosts: Vec<Setting<String>>) -> Result<Option<ClientDocuments>, Error> {
    if hosts.is_empty() {
        return Ok(None);
    }
    let documents = ClientDocuments::new();
    if hosts.iter().any(|host| host.value == ANY) {
        return Ok(Some(documents));
    }
    let read = |host: Setting<String>| host.read(host_name).map(|host| host.value);
    let hosts: Vec<String> = hosts.into_iter().map(read).collect::<Result<_, _>>()?;
    Ok(Some(documents.only_hosts(hosts)))
}

/// Stands for every host.
const ANY: &str = "*";

fn host_name(text: &str) -> Result<String, &'static str> {
    match url::Host::parse(text) {
        Ok(url::Host::Domain(name)) => Ok(name),
        _ => Err("must be the name of a host such as claude.ai, or *"),
    }
}

/// A URL that is nothing but an origin. Tokens cross the network under it, so without TLS it is one of
/// this machine.
fn public_url(text: &str) -> Result<Url, &'static str> {
    const SHAPE: &str = "must be a URL without a path, such as https://mcp.example.com";
    let url = Url::parse(text).map_err(|_| SHAPE)?;
    let is_origin = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    match url.scheme() {
        "https" | "http" if !is_origin => Err(SHAPE),
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err("must be https, since tokens cross the network under it"),
        _ => Err(SHAPE),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// A time such as `90s`, `15m`, `1h` or `30d`.
fn lifetime(text: &str) -> Result<Duration, &'static str> {
    const SHAPE: &str = "must be a time such as 90s, 15m, 1h or 30d";
    const UNITS: [(char, u64); 4] = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)];
    let unit = UNITS.iter().find_map(|(unit, seconds)| {
        let number = text.strip_suffix(*unit)?;
        Some((number, *seconds))
    });
    let (number, seconds) = unit.ok_or(SHAPE)?;
    let number: u64 = number.parse().map_err(|_| SHAPE)?;
    match number.checked_mul(seconds) {
        Some(seconds @ 1..=315_360_000) => Ok(Duration::from_secs(seconds)),
        _ => Err("must be from one second to ten years"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(flags: OAuthArgs) -> Result<Option<OAuthSettings>, String> {
        let read = Merge { path: None }.oauth(flags, OAuthFields::default());
        read.map_err(|error| error.to_string())
    }

    fn on() -> OAuthArgs {
        OAuthArgs {
            oauth: true,
            ..OAuthArgs::default()
        }
    }

    #[test]
    fn nothing_of_it_means_anything_without_it() {
        assert!(read(OAuthArgs::default()).unwrap().is_none());
        let some = |text: &str| Some(text.to_owned());
        for (flags, begins) in [
            (
                OAuthArgs {
                    public_url: some("https://h"),
                    ..OAuthArgs::default()
                },
                "--public-url: means nothing",
            ),
            (
                OAuthArgs {
                    oauth_scope: vec!["a".to_owned()],
                    ..OAuthArgs::default()
                },
                "--oauth-scope: means nothing",
            ),
            (
                OAuthArgs {
                    oauth_client_documents: vec!["*".to_owned()],
                    ..OAuthArgs::default()
                },
                "--oauth-client-documents: means nothing",
            ),
            (
                OAuthArgs {
                    oauth_client_documents: vec!["https://h".to_owned()],
                    ..on()
                },
                "--oauth-client-documents: \"https://h\" must be the name",
            ),
            (
                OAuthArgs {
                    oauth_registration: some("on"),
                    ..on()
                },
                "",
            ),
            (
                OAuthArgs {
                    oauth_registration: some("yes"),
                    ..on()
                },
                "--oauth-registration: \"yes\" must be on or off",
            ),
            (
                OAuthArgs {
                    oauth_scope: vec!["a:*".to_owned()],
                    ..on()
                },
                "--oauth-scope: ",
            ),
            (
                OAuthArgs {
                    oauth_access_lifetime: some("1"),
                    ..on()
                },
                "--oauth-access-lifetime: \"1\" must be a time",
            ),
        ] {
            match read(flags) {
                Ok(settings) => assert!(settings.is_some() && begins.is_empty(), "{begins}"),
                Err(fault) => assert!(!begins.is_empty() && fault.starts_with(begins), "{fault}"),
            }
        }
    }

    #[test]
    fn the_public_url_is_an_origin_with_tls() {
        for (text, origin) in [
            ("https://mcp.example.com", "https://mcp.example.com"),
            ("https://MCP.example.com:443/", "https://mcp.example.com"),
            (
                "https://mcp.example.com:8443",
                "https://mcp.example.com:8443",
            ),
            ("http://localhost:8080", "http://localhost:8080"),
            ("http://[::1]:8080/", "http://[::1]:8080"),
        ] {
            let url = public_url(text).unwrap();
            assert_eq!(url.origin().ascii_serialization(), origin);
        }
        for text in [
            "",
            "mcp.example.com",
            "http://mcp.example.com",
            "https://mcp.example.com/gateway",
            "https://mcp.example.com/?a",
            "https://ada@mcp.example.com",
            "http://localhost.example.com",
            "ftp://localhost",
        ] {
            assert!(public_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_lifetime_has_a_unit_and_an_end() {
        assert_eq!(lifetime("3s"), Ok(Duration::from_secs(3)));
        assert_eq!(lifetime("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(lifetime("30d"), Ok(Duration::from_secs(2_592_000)));
        for text in ["", "3", "s", "0s", "-1h", "1.5h", "3651d", "1w"] {
            assert!(lifetime(text).is_err(), "{text}");
        }
    }
}
