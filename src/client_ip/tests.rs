//! The rules of the module, one by one, and the attacks they are for.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::key::network::Network;

const CLIENT: &str = "203.0.113.7";
const PROXY: &str = "10.0.0.1";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn networks(texts: &[&str]) -> Vec<Network> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn behind(source: ClientIpSource) -> ClientIp {
    ClientIp::behind(networks(&["10.0.0.0/8", "2001:db8:ffff::/48"]), source)
}

fn headers(lines: &[(&str, &[u8])]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(value).unwrap());
    }
    headers
}

fn forwarded_for(lines: &[&str]) -> HeaderMap {
    headers(
        &lines
            .iter()
            .map(|line| ("x-forwarded-for", line.as_bytes()))
            .collect::<Vec<_>>(),
    )
}

fn through_proxy(lines: &[&str]) -> Option<IpAddr> {
    behind(ClientIpSource::XForwardedFor).resolve(Some(ip(PROXY)), &forwarded_for(lines))
}

fn through_forwarding_proxy(lines: &[&str]) -> Option<IpAddr> {
    let lines: Vec<_> = lines
        .iter()
        .map(|line| ("forwarded", line.as_bytes()))
        .collect();
    behind(ClientIpSource::Forwarded).resolve(Some(ip(PROXY)), &headers(&lines))
}

#[test]
fn the_peer_is_the_client_by_default_and_canonical() {
    let headers = forwarded_for(&["1.2.3.4"]);
    assert_eq!(
        ClientIp::peer().resolve(Some(ip("::ffff:203.0.113.7")), &headers),
        Some(ip(CLIENT))
    );
    assert_eq!(
        behind(ClientIpSource::Peer).resolve(Some(ip(PROXY)), &headers),
        Some(ip(PROXY))
    );
    assert_eq!(ClientIp::peer().resolve(None, &headers), None);
    assert_eq!(
        ClientIp::peer()
            .trust_local_peer(true)
            .resolve(None, &headers),
        None
    );
    assert_eq!(
        ClientIp::behind([], ClientIpSource::XForwardedFor).resolve(Some(ip(PROXY)), &headers),
        Some(ip(PROXY))
    );
}

#[test]
fn a_header_is_read_only_from_a_trusted_peer() {
    let headers = forwarded_for(&["1.2.3.4"]);
    let client_ip = behind(ClientIpSource::XForwardedFor);
    for (peer, client) in [
        (PROXY, "1.2.3.4"),
        ("::ffff:10.0.0.1", "1.2.3.4"),
        ("2001:db8:ffff::1", "1.2.3.4"),
        (CLIENT, CLIENT),
        ("11.0.0.1", "11.0.0.1"),
        ("::10.0.0.1", "::10.0.0.1"),
    ] {
        assert_eq!(
            client_ip.resolve(Some(ip(peer)), &headers),
            Some(ip(client)),
            "{peer}"
        );
    }
}

#[test]
fn the_walk_goes_from_the_right_past_trusted_entries() {
    for (lines, client) in [
        (&["203.0.113.7"][..], CLIENT),
        (&["1.2.3.4, 203.0.113.7"], CLIENT),
        (&["10.9.9.9, 203.0.113.7"], CLIENT),
        (&["1.2.3.4, 203.0.113.7, 10.0.0.3,10.0.0.2"], CLIENT),
        (&["203.0.113.7, 198.51.100.9"], "198.51.100.9"),
        (&["203.0.113.7, ::ffff:10.0.0.2, 2001:db8:ffff::5"], CLIENT),
        (&["203.0.113.7:443, [::ffff:10.0.0.2]:80"], CLIENT),
        (&["\t 203.0.113.7\t "], CLIENT),
        (&["1.2.3.4", "203.0.113.7"], CLIENT),
        (&["1.2.3.4", "203.0.113.7, 10.0.0.3", "10.0.0.2"], CLIENT),
        (&["203.0.113.7", "", " , ,\t", "10.0.0.2,,"], CLIENT),
    ] {
        assert_eq!(through_proxy(lines), Some(ip(client)), "{lines:?}");
    }
}

#[test]
fn all_trusted_is_the_leftmost_and_none_is_the_peer() {
    assert_eq!(through_proxy(&["10.0.0.3, 10.0.0.2"]), Some(ip("10.0.0.3")));
    assert_eq!(
        through_proxy(&["10.0.0.4", "10.0.0.3, 10.0.0.2"]),
        Some(ip("10.0.0.4"))
    );
    assert_eq!(through_proxy(&[",,::ffff:10.0.0.3"]), Some(ip("10.0.0.3")));
    for none in [&[][..], &[""], &[" , ,"], &["", ""]] {
        assert_eq!(through_proxy(none), Some(ip(PROXY)), "{none:?}");
    }
}

#[test]
fn an_entry_without_address_counts_only_where_the_walk_meets_it() {
    for unknown in [
        "1.2.3.4, unknown",
        "unknown",
        "203.0.113.7, _x, 10.0.0.2",
        "x, 10.0.0.2",
        "1.2.3.4, \"203.0.113.7\"",
    ] {
        assert_eq!(through_proxy(&[unknown]), None, "{unknown}");
    }
    assert_eq!(
        through_proxy(&["unknown, 203.0.113.7, 10.0.0.2"]),
        Some(ip(CLIENT))
    );
    assert_eq!(through_proxy(&["203.0.113.7", "unknown"]), None);

    let client_ip = behind(ClientIpSource::XForwardedFor);
    let resolve =
        |value: &[u8]| client_ip.resolve(Some(ip(PROXY)), &headers(&[("x-forwarded-for", value)]));
    assert_eq!(resolve(b"\xff, 203.0.113.7"), Some(ip(CLIENT)));
    assert_eq!(resolve(b"203.0.113.7, \xff"), None);
    assert_eq!(
        resolve("203.0.113.7\u{a0}".as_bytes()),
        None,
        "a no-break space is not white space"
    );
}

#[test]
fn no_other_header_is_a_fall_back() {
    let headers = headers(&[
        ("x-real-ip", b"1.2.3.4"),
        ("forwarded", b"for=1.2.3.5"),
        ("x-forwarded-for", b"1.2.3.6"),
        ("cf-connecting-ip", b"1.2.3.7"),
    ]);
    let resolve = |source| behind(source).resolve(Some(ip(PROXY)), &headers);
    assert_eq!(resolve(ClientIpSource::XForwardedFor), Some(ip("1.2.3.6")));
    assert_eq!(resolve(ClientIpSource::Forwarded), Some(ip("1.2.3.5")));
    assert_eq!(
        resolve(ClientIpSource::Header(HeaderName::from_static(
            "cf-connecting-ip"
        ))),
        Some(ip("1.2.3.7"))
    );
    assert_eq!(
        resolve(ClientIpSource::Header(HeaderName::from_static(
            "true-client-ip"
        ))),
        Some(ip(PROXY))
    );
}

#[test]
fn a_single_address_header_with_several_is_read_from_the_right() {
    let client_ip = behind(ClientIpSource::Header(HeaderName::from_static("x-real-ip")));
    for lines in [
        &["1.2.3.4", "203.0.113.7"][..],
        &["1.2.3.4, 203.0.113.7"],
        &["203.0.113.7:50000"],
    ] {
        let lines: Vec<_> = lines
            .iter()
            .map(|line| ("x-real-ip", line.as_bytes()))
            .collect();
        assert_eq!(
            client_ip.resolve(Some(ip(PROXY)), &headers(&lines)),
            Some(ip(CLIENT)),
            "{lines:?}"
        );
    }
    let both = headers(&[("x-real-ip", b"203.0.113.7"), ("x-real-ip", b"unknown")]);
    assert_eq!(client_ip.resolve(Some(ip(PROXY)), &both), None);
}

#[test]
fn a_connection_without_peer_is_believed_only_if_it_is_declared_local() {
    let headers = forwarded_for(&["1.2.3.4, 203.0.113.7, 10.0.0.2"]);
    let client_ip = behind(ClientIpSource::XForwardedFor);
    assert_eq!(client_ip.resolve(None, &headers), None);
    let local = client_ip.trust_local_peer(true);
    assert_eq!(local.resolve(None, &headers), Some(ip(CLIENT)));
    assert_eq!(local.resolve(None, &HeaderMap::new()), None);
    assert_eq!(
        local.resolve(Some(ip("127.0.0.1")), &headers),
        Some(ip("127.0.0.1"))
    );
    assert_eq!(local.trust_local_peer(false).resolve(None, &headers), None);
}

#[test]
fn forwarded_is_walked_like_the_list() {
    for (lines, client) in [
        (&["for=203.0.113.7"][..], Some(CLIENT)),
        (
            &["for=1.2.3.4, for=203.0.113.7;proto=http, for=10.0.0.2"],
            Some(CLIENT),
        ),
        (
            &[
                "for=1.2.3.4",
                "for=203.0.113.7",
                "for=\"[2001:db8:ffff::1]:80\"",
            ],
            Some(CLIENT),
        ),
        (&["for=_hidden, for=203.0.113.7"], Some(CLIENT)),
        (&["for=203.0.113.7, for=_hidden"], None),
        (&["for=203.0.113.7, for=unknown, for=10.0.0.2"], None),
        (&["for=10.0.0.3, for=10.0.0.2"], Some("10.0.0.3")),
        (&[], Some(PROXY)),
        (&[" , "], Some(PROXY)),
        (&["for=\"1.2.3.4, for=203.0.113.7"], None),
    ] {
        assert_eq!(through_forwarding_proxy(lines), client.map(ip), "{lines:?}");
    }
}

#[test]
fn an_element_that_hides_its_client_does_not_uncover_what_the_client_wrote() {
    for added_by_proxy in ["proto=https", "by=10.0.0.1", ";", "for=unknown", "for=\"\""] {
        assert_eq!(
            through_forwarding_proxy(&["for=6.6.6.6", added_by_proxy]),
            None,
            "{added_by_proxy}"
        );
    }
}

#[test]
fn an_open_quote_swallows_nothing() {
    let ahead = "for=6.6.6.6;by=\"a";
    for added_by_proxy in [
        "for=203.0.113.7;by=\"b\"",
        "for=203.0.113.7",
        "for=\"[2001:db8::7]:80\";by=\"\"",
    ] {
        assert_eq!(
            through_forwarding_proxy(&[ahead, added_by_proxy]),
            None,
            "{added_by_proxy}"
        );
        assert_eq!(
            through_forwarding_proxy(&[&format!("{ahead}, {added_by_proxy}")]),
            None,
            "{added_by_proxy}"
        );
    }
}

#[test]
fn a_whole_address_family_as_proxy_is_worth_a_warning() {
    let trusting = |text, source| ClientIp::behind(networks(&[text]), source).trusts_everyone();
    assert!(trusting("0.0.0.0/0", ClientIpSource::XForwardedFor));
    assert!(trusting("::/0", ClientIpSource::Forwarded));
    assert!(!trusting("0.0.0.0/1", ClientIpSource::XForwardedFor));
    assert!(!trusting("0.0.0.0/0", ClientIpSource::Peer));
}

#[test]
fn a_bucket_is_one_ipv4_address_or_one_ipv6_network() {
    for (address, bucket) in [
        (CLIENT, "203.0.113.7/32"),
        ("::ffff:203.0.113.7", "203.0.113.7/32"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("fe80::ffff:ffff:ffff:ffff", "fe80::/64"),
    ] {
        assert_eq!(AddressBucket::of(ip(address)).to_string(), bucket);
    }
    assert_ne!(
        AddressBucket::of(ip("0.0.0.0")),
        AddressBucket::of(ip("::"))
    );
}

/// An address outside of the trusted networks.
fn stranger() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(IpAddr::from)
    ]
    .prop_map(|address| address.to_canonical())
    .prop_filter("trusted", |address| {
        !networks(&["10.0.0.0/8", "2001:db8:ffff::/48"])
            .iter()
            .any(|network| network.contains(*address))
    })
}

fn any_source() -> impl Strategy<Value = ClientIpSource> {
    prop_oneof![
        Just(ClientIpSource::XForwardedFor),
        Just(ClientIpSource::Forwarded),
        Just(ClientIpSource::Header(HeaderName::from_static("x-real-ip"))),
    ]
}

const NAMES: [&str; 3] = ["x-forwarded-for", "forwarded", "x-real-ip"];

/// What an attacker may write into a header: addresses, trusted ones, forwarded elements, noise.
const WRITTEN: &str = concat!(
    r"(203\.0\.113\.[0-9]|10\.0\.0\.[0-9]|6\.6\.6\.6|\[?::1\]?",
    r#"|unknown|for=|by="|[,;:"\\ \t=]){0,10}"#,
);

proptest! {
    #[test]
    fn an_untrusted_peer_never_chooses_its_address(
        peer in stranger(),
        source in any_source(),
        lines in proptest::collection::vec((proptest::sample::select(&NAMES), WRITTEN), 0..4),
    ) {
        let lines: Vec<_> = lines.iter().map(|(name, line)| (*name, line.as_bytes())).collect();
        prop_assert_eq!(behind(source).resolve(Some(peer), &headers(&lines)), Some(peer));
    }

    #[test]
    fn what_stands_left_of_the_address_a_proxy_appended_is_never_the_client(
        client in stranger(),
        written in WRITTEN,
        hops in 0..3_usize,
        own_line in any::<bool>(),
    ) {
        let mut appended = client.to_string();
        appended.push_str(&", 10.0.0.2".repeat(hops));
        let resolved = if own_line {
            through_proxy(&[&written, &appended])
        } else {
            through_proxy(&[&format!("{written}, {appended}")])
        };
        prop_assert_eq!(resolved, Some(client));
    }

    #[test]
    fn what_stands_left_in_forwarded_is_never_the_client(
        client in stranger(),
        written in WRITTEN,
        own_line in any::<bool>(),
    ) {
        let node = if client.is_ipv4() { client.to_string() } else { format!("\"[{client}]\"") };
        let appended = format!("for={node};proto=https");
        let resolved = if own_line {
            through_forwarding_proxy(&[&written, &appended])
        } else {
            through_forwarding_proxy(&[&format!("{written}, {appended}")])
        };
        prop_assert!(resolved.is_none() || resolved == Some(client), "{resolved:?}");
    }

    #[test]
    fn arbitrary_bytes_give_a_canonical_address_or_none(
        source in any_source(),
        value in proptest::collection::vec(any::<u8>(), 0..48),
    ) {
        let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
        let mut headers = HeaderMap::new();
        for name in NAMES {
            headers.append(HeaderName::from_static(name), value.clone());
        }
        let client = behind(source).resolve(Some(ip(PROXY)), &headers);
        prop_assert_eq!(client, client.map(|address| address.to_canonical()));
    }
}
