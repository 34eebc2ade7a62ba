//! Under which names the gateway may be asked for.
//!
//! A page in a browser can have its own name lead to the address of a gateway (DNS rebinding), and
//! then reads from it what it likes. The browser says in `Host` and `Origin` under which names it
//! came. The servers behind cannot see that: they are asked under their own.
//!
//! 1. Every name under which a request came must be one that is allowed: in `Host`, in the URL, and
//!    in `Origin`, if there is one.
//! 2. A name without a port is allowed at any port. One with a port is allowed at that port alone;
//!    who names no port means 80 or 443.
//! 3. Nothing else is looked at before: neither key nor path. Only `/healthz` answers to any name,
//!    since probes ask by address, and it has nothing to tell.

use std::net::SocketAddr;

use http::header::{HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use http::uri::{Authority, Uri};

use super::Error;
use super::setting::Setting;

/// The names that are allowed.
#[derive(Clone, Debug)]
pub(super) struct Hosts(Vec<Authority>);

/// Stands for every name.
const ANY: &str = "*";

impl Hosts {
    /// Those that were named. If none were, those of a gateway on a loopback address; elsewhere every
    /// name is allowed, and so it is where others have a say in the names (`named_elsewhere`): the
    /// certificate of a gateway with TLS, or a proxy in front.
    pub(super) fn read(
        named: Vec<Setting<String>>,
        listen: SocketAddr,
        named_elsewhere: bool,
    ) -> Result<Option<Self>, Error> {
        if named.iter().any(|name| name.value == ANY) {
            return Ok(None);
        }
        if !named.is_empty() {
            let names = named.into_iter().map(|name| Ok(name.read(host)?.value));
            return names.collect::<Result<_, Error>>().map(Self).map(Some);
        }
        if named_elsewhere || !listen.ip().to_canonical().is_loopback() {
            return Ok(None);
        }
        let own = match listen {
            SocketAddr::V4(address) => address.ip().to_string(),
            SocketAddr::V6(address) => format!("[{}]", address.ip()),
        };
        let names = ["localhost", "127.0.0.1", "[::1]", &own];
        let names = names.iter().filter_map(|name| name.parse().ok());
        Ok(Some(Self(names.collect())))
    }

    /// These names and another one.
    pub(super) fn and(mut self, name: Option<Authority>) -> Self {
        self.0.extend(name);
        self
    }

    /// Whether a request came under names that are allowed.
    pub(super) fn admit(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let written = |name: HeaderName| headers.get_all(name).into_iter();
        let in_url = uri.authority().is_none_or(|name| self.allow(name));
        let has_name = uri.authority().is_some() || headers.contains_key(HOST);
        in_url
            && has_name
            && written(HOST).all(|value| authority(value).is_some_and(|name| self.allow(&name)))
            && written(ORIGIN).all(|value| origin(value).is_some_and(|name| self.allow(&name)))
    }

    fn allow(&self, name: &Authority) -> bool {
        self.0.iter().any(|allowed| {
            let port = match (allowed.port_u16(), name.port_u16()) {
                (None, _) => true,
                (Some(port), None) => matches!(port, 80 | 443),
                (Some(port), Some(asked)) => port == asked,
            };
            port && allowed.host().eq_ignore_ascii_case(name.host())
        })
    }
}

fn host(text: &str) -> Result<Authority, &'static str> {
    const SHAPE: &str = "must be a host such as example.test, example.test:8080 or [::1], or *";
    let name: Authority = text.parse().map_err(|_| SHAPE)?;
    let has_port = name.as_str() != name.host();
    let is_plain = !name.host().is_empty() && !text.contains(['@', '*']);
    if is_plain && (!has_port || name.port_u16().is_some_and(|port| port != 0)) {
        Ok(name)
    } else {
        Err(SHAPE)
    }
}

fn authority(value: &HeaderValue) -> Option<Authority> {
    let name: Authority = value.to_str().ok()?.parse().ok()?;
    (!name.as_str().contains('@')).then_some(name)
}

/// The host of an origin; `null` has none.
fn origin(value: &HeaderValue) -> Option<Authority> {
    let (_, name) = value.to_str().ok()?.split_once("://")?;
    let name: Authority = name.parse().ok()?;
    (!name.as_str().contains('@')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(names: &[&str]) -> Vec<Setting<String>> {
        let named = |name: &&str| Setting {
            value: (*name).to_owned(),
            name: "--allowed-host".to_owned(),
        };
        names.iter().map(named).collect()
    }

    fn hosts(names: &[&str], listen: &str) -> Option<Hosts> {
        Hosts::read(settings(names), listen.parse().unwrap(), false).unwrap()
    }

    fn asked(hosts: &Hosts, uri: &str, lines: &[(HeaderName, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value.parse().unwrap());
        }
        hosts.admit(&uri.parse().unwrap(), &headers)
    }

    #[test]
    fn on_a_loopback_address_the_names_of_this_machine_are_allowed() {
        let hosts = hosts(&[], "127.0.0.5:8080").unwrap();
        for name in [
            "localhost",
            "LocalHost:1",
            "127.0.0.1:8080",
            "[::1]:9",
            "[::1]",
            "127.0.0.5",
        ] {
            assert!(asked(&hosts, "/", &[(HOST, name)]), "{name}");
        }
        for name in [
            "evil.test",
            "localhost.evil.test",
            "127.0.0.1.evil.test:8080",
            "127.0.0.2",
            "evil@localhost",
            "localhost@evil.test",
            "localhost.",
            "localhost localhost",
            "localhost, evil.test",
            "",
        ] {
            assert!(!asked(&hosts, "/", &[(HOST, name)]), "{name}");
        }
    }

    #[test]
    fn every_name_counts() {
        let hosts = hosts(&[], "[::1]:0").unwrap();
        let ours = (HOST, "localhost");
        let theirs = (HOST, "evil.test");
        assert!(!asked(&hosts, "/", &[]), "none is none of ours");
        assert!(!asked(&hosts, "/", &[ours.clone(), theirs.clone()]));
        assert!(!asked(
            &hosts,
            "http://evil.test/",
            std::slice::from_ref(&ours)
        ));
        assert!(!asked(&hosts, "http://localhost/", &[theirs]));
        assert!(asked(
            &hosts,
            "http://localhost/",
            std::slice::from_ref(&ours)
        ));
        assert!(
            asked(&hosts, "http://localhost/", &[]),
            "HTTP/2 has no Host"
        );
        for (origin, admitted) in [
            ("http://localhost:6274", true),
            ("https://127.0.0.1", true),
            ("http://evil.test", false),
            ("http://localhost.evil.test", false),
            ("http://localhost@evil.test", false),
            ("null", false),
            ("", false),
            ("localhost", false),
        ] {
            let lines = [ours.clone(), (ORIGIN, origin)];
            assert_eq!(asked(&hosts, "/", &lines), admitted, "{origin}");
        }
    }

    #[test]
    fn a_port_is_held_to_if_it_is_named() {
        let hosts = hosts(&["a.test", "b.test:8443", "c.test:443"], "127.0.0.1:1").unwrap();
        for (name, admitted) in [
            ("a.test", true),
            ("A.test:99", true),
            ("b.test:8443", true),
            ("b.test:8444", false),
            ("b.test", false),
            ("c.test", true),
            ("c.test:443", true),
            ("localhost", false),
        ] {
            assert_eq!(asked(&hosts, "/", &[(HOST, name)]), admitted, "{name}");
        }
    }

    #[test]
    fn where_others_have_a_say_every_name_is_allowed_unless_some_are_named() {
        for listen in ["0.0.0.0:1", "192.0.2.1:1", "[::]:1"] {
            assert!(hosts(&[], listen).is_none(), "{listen}");
            assert!(hosts(&["a.test"], listen).is_some(), "{listen}");
        }
        for listen in ["127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(hosts(&[], listen).is_some(), "{listen}");
            assert!(hosts(&["*"], listen).is_none(), "{listen}");
            let listen = listen.parse().unwrap();
            assert!(Hosts::read(Vec::new(), listen, true).unwrap().is_none());
            let named = Hosts::read(settings(&["a.test"]), listen, true);
            assert!(named.unwrap().is_some());
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            "http://a.test",
            "a.test/x",
            "a@b.test",
            "a.test:0",
            "a.test:x",
            "*.test",
            ":80",
        ] {
            let named = settings(&[text]);
            let error = Hosts::read(named, "[::]:1".parse().unwrap(), false).unwrap_err();
            let text = error.to_string();
            assert!(text.starts_with("--allowed-host: "), "{text}");
        }
    }
}
