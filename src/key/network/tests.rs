//! The rules of the module, one by one, then against `ipnet` and arbitrary text.

use proptest::prelude::*;

use super::*;

fn network(text: &str) -> Network {
    text.parse()
        .unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn rules(allow: &[&str], deny: &[&str]) -> NetworkRules {
    NetworkRules::new(
        allow.iter().copied().map(network).collect(),
        deny.iter().copied().map(network).collect(),
    )
}

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

#[test]
fn a_text_with_two_readings_is_refused() {
    let refused = [
        // no address at all
        "",
        " ",
        "/",
        "/8",
        "*",
        "localhost",
        "example.com",
        "any",
        "203.0.113.*",
        "203.0.113",
        // host bits, also those hidden in the last group
        "203.0.113.7/24",
        "203.0.113.1/0",
        "2001:db8::1/64",
        "::1/0",
        "::ffff:203.0.113.7/120",
        // prefixes
        "203.0.113.0/33",
        "2001:db8::/129",
        "203.0.113.0/-1",
        "203.0.113.0/",
        "203.0.113.0/+24",
        "203.0.113.0/024",
        "0.0.0.0/00",
        "203.0.113.0/24/24",
        "203.0.113.0/24.0",
        "203.0.113.0/0x18",
        "203.0.113.0/256",
        "203.0.113.0/99999999999999999999",
        "203.0.113.0/２４",
        "::ffff:203.0.113.0/129",
        // netmask, range, short form, list
        "203.0.113.0/255.255.255.0",
        "203.0.113.1-203.0.113.9",
        "10/8",
        "10.0/16",
        "203.0.113.7,203.0.113.8",
        // other spellings of an IPv4 address
        "010.0.0.1",
        "203.0.113.007",
        "10.0.0.00",
        "0x7f.0.0.1",
        "2130706433",
        "203.0.113.256",
        "1.2.3.4.5",
        // ports, brackets, zones, white space
        "203.0.113.7:80",
        "[2001:db8::1]",
        "[2001:db8::]/32",
        "fe80::1%eth0",
        "fe80::%1/64",
        " 203.0.113.7",
        "203.0.113.7 ",
        "203.0.113.0 /24",
        "203.0.113.0/ 24",
        "203.0.113.7\n",
        "\t::1",
        "203.0.113.7\0",
        // IPv6
        ":::",
        "2001:db8",
        "2001:db8::1::2",
        "12345::",
        "::g",
        "1:2:3:4:5:6:7:8:9",
        "::ffff:203.0.113.007",
        // IPv4-mapped and wider than IPv4
        "::ffff:203.0.113.0/95",
        "::ffff:203.0.113.0/24",
        "::ffff:0:0/80",
        "::ffff:0.0.0.0/0",
    ];
    for text in refused {
        assert!(text.parse::<Network>().is_err(), "{text:?} was accepted");
    }
}

#[test]
fn an_error_says_what_to_change() {
    let message = |text: &str| text.parse::<Network>().unwrap_err().to_string();
    assert!(message("localhost").starts_with("not an IPv4 or IPv6 address"));
    assert!(message("10.0.0.0/255.0.0.0").contains("plain number of bits"));
    assert!(message("10.0.0.0/33").contains("at most 32"));
    assert!(message("::ffff:10.0.0.0/8").contains("IPv4-mapped"));
    assert!(message("2001:db8::7/32").ends_with("2001:db8::/32"));
}

#[test]
fn a_single_address_prints_without_its_prefix() {
    for (text, printed) in [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7/32", "203.0.113.7"),
        ("2001:DB8:0::7/128", "2001:db8::7"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("::/0", "::/0"),
        ("203.0.113.64/27", "203.0.113.64/27"),
        ("::ffff:cb00:7107", "203.0.113.7"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::203.0.113.7", "::cb00:7107"),
    ] {
        assert_eq!(network(text).to_string(), printed, "{text}");
    }
}

#[test]
fn mapped_clients_and_rules_are_ipv4() {
    assert!(network("::ffff:203.0.113.0/120").contains(ip("203.0.113.7").unwrap()));
    assert!(network("203.0.113.0/24").contains(ip("::ffff:203.0.113.7").unwrap()));
    assert_eq!(
        Network::from(ip("::ffff:203.0.113.7").unwrap()),
        network("203.0.113.7")
    );
    assert!(!rules(&["::/0"], &[]).permits(ip("::ffff:203.0.113.7")));
    assert!(!rules(&[], &["203.0.113.0/24"]).permits(ip("::ffff:203.0.113.7")));
    assert!(
        rules(&[], &["::/0"]).permits(ip("::ffff:203.0.113.7")),
        "the client is IPv4"
    );
}

#[test]
fn addresses_that_only_embed_ipv4_stay_ipv6() {
    let rules = rules(&["203.0.113.0/24"], &[]);
    for client in [
        "64:ff9b::203.0.113.7",
        "2002:cb00:7107::1",
        "::203.0.113.7",
        "::ffff:0:203.0.113.7",
    ] {
        assert!(!rules.permits(ip(client)), "{client}");
    }
}

#[test]
fn families_do_not_mix() {
    assert!(!rules(&["0.0.0.0/0"], &[]).permits(ip("2001:db8::1")));
    assert!(!rules(&["::/0"], &[]).permits(ip("203.0.113.7")));
    assert!(!rules(&["127.0.0.0/8"], &[]).permits(ip("::1")));
    assert!(rules(&["0.0.0.0/0", "::/0"], &[]).permits(ip("::1")));
    assert!(!network("::/0").covers(&network("10.0.0.0/8")));
}

#[test]
fn an_unknown_client_passes_only_without_rules() {
    assert!(NetworkRules::default().permits(None));
    assert!(!rules(&["0.0.0.0/0", "::/0"], &[]).permits(None));
    assert!(!rules(&[], &["203.0.113.0/24"]).permits(None));
}

#[test]
fn deny_beats_allow_in_whatever_width() {
    let rules = rules(&["203.0.113.7"], &["203.0.113.0/24"]);
    assert!(!rules.permits(ip("203.0.113.7")));
    assert!(!rules.permits(ip("198.51.100.1")), "not allowed either");
}

#[test]
fn rules_are_written_as_two_lists_and_read_strictly() {
    let read = serde_json::from_str::<NetworkRules>;
    let rules = read(r#"{"allow":["::ffff:10.0.0.0/104","2001:db8::/32"]}"#).unwrap();
    assert_eq!(
        serde_json::to_string(&rules).unwrap(),
        r#"{"allow":["10.0.0.0/8","2001:db8::/32"],"deny":[]}"#
    );
    assert_eq!(read("{}").unwrap(), NetworkRules::default());
    for refused in [
        r#"{"deny":["10.0.0.1/8"]}"#,
        r#"{"alow":["10.0.0.0/8"]}"#,
        r#"{"allow":[7]}"#,
        "[\"\"]",
    ] {
        assert!(read(refused).is_err(), "{refused}");
    }
}

#[test]
fn a_child_keeps_within_the_rules_of_its_parent() {
    let parent = rules(&["10.0.0.0/8"], &["10.6.6.0/24"]);
    assert!(parent.covers(&parent));
    assert!(parent.covers(&rules(&["10.1.0.0/16", "10.2.0.0/16"], &["10.6.0.0/16"])));
    assert!(
        !parent.covers(&rules(&["10.1.0.0/16"], &[])),
        "the denied block is not inherited"
    );
    assert!(
        !parent.covers(&rules(&["10.0.0.0/7"], &["10.6.6.0/24"])),
        "wider than the parent"
    );
    assert!(
        !parent.covers(&rules(&[], &["10.6.6.0/24"])),
        "an empty list allows all"
    );
    assert!(NetworkRules::default().covers(&parent));
    assert!(!parent.covers(&NetworkRules::default()));
}

fn any_ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(IpAddr::from),
        any::<u32>().prop_map(|v4| IpAddr::V6(std::net::Ipv4Addr::from(v4).to_ipv6_mapped())),
    ]
}

fn any_network() -> impl Strategy<Value = Network> {
    (any_ip(), 0..=128_u8).prop_map(|(address, prefix)| {
        let address = address.to_canonical();
        let longest = if address.is_ipv4() { 32 } else { 128 };
        Network(IpNet::new(address, prefix.min(longest)).unwrap().trunc())
    })
}

// Few distinct bits, so that blocks and clients meet often.
fn near_ip() -> impl Strategy<Value = IpAddr> {
    (any::<bool>(), 0..4_u8, 0..4_u8).prop_map(|(v6, first, last)| {
        let v4 = std::net::Ipv4Addr::new(first << 6, 0, 0, last);
        if v6 {
            IpAddr::V6(v4.to_ipv6_compatible())
        } else {
            IpAddr::V4(v4)
        }
    })
}

fn near_rules() -> impl Strategy<Value = NetworkRules> {
    let near = || {
        (near_ip(), prop_oneof![0..4_u8, 28..=32_u8]).prop_map(|(address, prefix)| {
            let prefix = if address.is_ipv6() && prefix > 0 {
                prefix.saturating_add(96)
            } else {
                prefix
            };
            Network(IpNet::new(address, prefix).unwrap().trunc())
        })
    };
    let list = || proptest::collection::vec(near(), 0..4);
    (list(), list()).prop_map(|(allow, deny)| NetworkRules::new(allow, deny))
}

proptest! {
    #[test]
    fn printing_and_parsing_a_network_is_the_identity(network in any_network()) {
        prop_assert_eq!(network.to_string().parse(), Ok(network));
        let json = serde_json::to_string(&network).unwrap();
        prop_assert_eq!(serde_json::from_str::<Network>(&json).unwrap(), network);
    }

    #[test]
    fn parsing_agrees_with_ipnet_where_there_are_no_host_bits(
        address in any_ip(), prefix in 0..=140_u8,
    ) {
        let text = format!("{}/{prefix}", address.to_canonical());
        let theirs = text.parse::<IpNet>().ok().filter(|net| net.addr() == net.network());
        prop_assert_eq!(text.parse::<Network>().ok().map(|ours| ours.0), theirs);
    }

    #[test]
    fn checking_agrees_with_ipnet(
        allow in proptest::collection::vec(any_network(), 1..5), client in any_ip(),
    ) {
        let theirs = allow.iter().any(|network| network.0.contains(&client.to_canonical()));
        prop_assert_eq!(NetworkRules::new(allow.clone(), vec![]).permits(Some(client)), theirs);
        prop_assert_eq!(NetworkRules::new(vec![], allow).permits(Some(client)), !theirs);
    }

    #[test]
    fn any_text_is_parsed_or_refused_without_panic(text in "[0-9a-f:./%+ -]{0,48}|.{0,16}") {
        if let Ok(network) = text.parse::<Network>() {
            prop_assert_eq!(network.to_string().parse(), Ok(network));
        }
    }

    #[test]
    fn whom_a_covered_child_permits_its_parent_permits(
        parent in near_rules(), child in near_rules(), client in proptest::option::of(near_ip()),
    ) {
        let exceeds = child.permits(client) && !parent.permits(client);
        prop_assert!(!exceeds || !parent.covers(&child));
    }
}
