//! From the text of one entry to its address.
//!
//! 1. Both syntaxes know `203.0.113.7`, `203.0.113.7:443`, `[2001:db8::7]` and `[2001:db8::7]:443`.
//! 2. `X-Forwarded-For` also has bare IPv6, as most proxies write it; `2001:db8::7:443` is one
//!    address then, since no port can be told apart.
//! 3. `Forwarded` also has hidden ports (`:_abc`), and wants IPv6 in brackets.
//! 4. Everything else is no address: zone identifiers, leading zeros, short forms, quotes,
//!    `unknown`, `_hidden`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address of an element of `X-Forwarded-For`, or of a header with a single address.
pub(super) fn list_address(element: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(element).ok()?;
    let address = match text.parse::<Ipv6Addr>() {
        Ok(bare) => IpAddr::V6(bare),
        Err(_) => address_and_port(text, is_port)?,
    };
    Some(address.to_canonical())
}

/// The address of a node of RFC 7239, its quotes already removed.
pub(super) fn node_address(node: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(node).ok()?;
    let address = address_and_port(text, |port| is_port(port) || is_hidden_port(port))?;
    Some(address.to_canonical())
}

fn address_and_port(text: &str, accept_port: impl Fn(&str) -> bool) -> Option<IpAddr> {
    let (address, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) = rest.split_once(']')?;
            let port = if rest.is_empty() {
                None
            } else {
                Some(rest.strip_prefix(':')?)
            };
            (IpAddr::V6(address.parse::<Ipv6Addr>().ok()?), port)
        }
        None => {
            let (address, port) = text
                .split_once(':')
                .map_or((text, None), |(address, port)| (address, Some(port)));
            (IpAddr::V4(address.parse::<Ipv4Addr>().ok()?), port)
        }
    };
    port.is_none_or(accept_port).then_some(address)
}

// `u16` alone would take `+443`, and zeros without end.
fn is_port(text: &str) -> bool {
    text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

fn is_hidden_port(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    text.strip_prefix('_')
        .is_some_and(|name| !name.is_empty() && name.bytes().all(allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_port_is_cut_off_where_it_can_be_told_apart() {
        for (text, address) in [
            ("203.0.113.7", "203.0.113.7"),
            ("203.0.113.7:443", "203.0.113.7"),
            ("203.0.113.7:00080", "203.0.113.7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:65535", "2001:db8::7"),
            ("[::ffff:203.0.113.7]:443", "203.0.113.7"),
        ] {
            assert_eq!(list_address(text.as_bytes()), ip(address), "{text}");
            assert_eq!(node_address(text.as_bytes()), ip(address), "{text}");
        }
    }

    #[test]
    fn only_lists_have_bare_ipv6_and_only_forwarded_has_hidden_ports() {
        for (text, address) in [
            ("2001:db8::7", "2001:db8::7"),
            ("2001:db8::7:443", "2001:db8::7:443"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
        ] {
            assert_eq!(list_address(text.as_bytes()), ip(address), "{text}");
            assert_eq!(node_address(text.as_bytes()), None, "{text}");
        }
        for text in ["203.0.113.7:_a.b-C", "[::ffff:203.0.113.7]:_1"] {
            assert_eq!(list_address(text.as_bytes()), None, "{text}");
            assert_eq!(node_address(text.as_bytes()), ip("203.0.113.7"), "{text}");
        }
    }

    #[test]
    fn everything_else_is_no_address() {
        for text in [
            "",
            " ",
            "unknown",
            "_hidden",
            "localhost",
            "example.com:80",
            "\"203.0.113.7\"",
            "for=203.0.113.7",
            "203.0.113.007",
            "203.0.113",
            "0xcb.0.113.7",
            "3405803783",
            "203.0.113.256",
            "203.0.113.0/24",
            "203.0.113.7 ",
            "203.0.113.7 :80",
            "203.0.113.7: 80",
            "203.0.113.7:",
            "203.0.113.7:+80",
            "203.0.113.7:-1",
            "203.0.113.7:65536",
            "203.0.113.7:000080",
            "203.0.113.7:8o",
            "203.0.113.7:80:80",
            "203.0.113.7:８０",
            "203.0.113.7:_",
            "203.0.113.7:_a b",
            "[203.0.113.7]",
            "[203.0.113.7]:80",
            "[",
            "[]",
            "[2001:db8::7",
            "[2001:db8::7]x",
            "[2001:db8::7]:",
            "[2001:db8::7]:x",
            "[[2001:db8::7]]",
            "[2001:db8::7]]",
            "2001:db8::7]",
            "fe80::1%eth0",
            "[fe80::1%eth0]",
            "[fe80::1%25eth0]:80",
            "[ 2001:db8::7]",
            "2001:db8",
            "12345::",
            ":::",
            "::ffff:203.0.113.007",
            "203.0.113.7\u{a0}",
            "１.1.1.1",
        ] {
            assert_eq!(list_address(text.as_bytes()), None, "{text:?}");
            assert_eq!(node_address(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(list_address(b"203.0.113.7\xff"), None);
        assert_eq!(node_address(b"\xff"), None);
    }
}
