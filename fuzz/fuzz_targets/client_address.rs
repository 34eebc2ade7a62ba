//! Headers in which proxies say for whom they ask, line by line.
//!
//! 1. From a peer that is no trusted proxy nothing is believed.
//! 2. Whatever a caller wrote before, the address that a trusted proxy adds behind it is the caller's,
//!    or, if what was written cannot be read, nobody's. It is never one of those written before.
//! 3. What a trusted proxy adds and nobody can read makes the caller unknown.

#![no_main]

use std::net::IpAddr;
use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use mcp_api_keys::client_ip::{ClientIp, ClientIpSource};
use mcp_api_keys::key::Network;

const STRANGER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 7));
const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
const CALLER: &str = "198.51.100.9";

static FORWARDED_FOR: LazyLock<ClientIp> =
    LazyLock::new(|| ClientIp::behind(trusted(), ClientIpSource::XForwardedFor));
static FORWARDED: LazyLock<ClientIp> =
    LazyLock::new(|| ClientIp::behind(trusted(), ClientIpSource::Forwarded));

fn trusted() -> [Network; 2] {
    ["10.0.0.0/8", "2001:db8::/32"].map(|network| network.parse().unwrap())
}

fuzz_target!(|lines: &[u8]| {
    let name = HeaderName::from_static("x-forwarded-for");
    for (resolver, name, added, nonsense) in [
        (&*FORWARDED_FOR, name, CALLER.to_owned(), "unknown"),
        (
            &*FORWARDED,
            http::header::FORWARDED,
            format!("for={CALLER};proto=https"),
            "for=unknown",
        ),
    ] {
        let mut headers = HeaderMap::new();
        for line in lines.split(|byte| *byte == b'\n') {
            if let Ok(value) = HeaderValue::from_bytes(line) {
                headers.append(&name, value);
            }
        }
        assert_eq!(resolver.resolve(Some(STRANGER), &headers), Some(STRANGER));
        assert_eq!(resolver.resolve(None, &headers), None);
        let _ = resolver.resolve(Some(PROXY), &headers);

        let caller: IpAddr = CALLER.parse().unwrap();
        let mut more = headers.clone();
        more.append(&name, HeaderValue::try_from(added).unwrap());
        let resolved = resolver.resolve(Some(PROXY), &more);
        assert!(
            resolved.is_none_or(|address| address == caller),
            "{resolved:?}"
        );

        headers.append(&name, HeaderValue::from_static(nonsense));
        assert_eq!(resolver.resolve(Some(PROXY), &headers), None);
    }
});
