//! Networks and the rules made of them: two networks and an address, line by line.
//!
//! 1. A network written out and read again is the same.
//! 2. A network that covers another contains every address of it.
//! 3. An address in a denied network is denied, and so is an unknown one where there is a rule.

#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use mcp_api_keys::key::{Network, NetworkRules};

fuzz_target!(|text: &str| {
    let mut lines = text.lines();
    let networks: Vec<Network> = lines
        .by_ref()
        .take(2)
        .filter_map(|line| line.parse().ok())
        .collect();
    for network in &networks {
        assert_eq!(network.to_string().parse(), Ok(*network));
        assert!(network.covers(network));
    }
    let [wide, narrow] = networks[..] else {
        return;
    };
    let Some(address) = lines.next().and_then(|line| line.parse::<IpAddr>().ok()) else {
        return;
    };
    if wide.covers(&narrow) && narrow.contains(address) {
        assert!(wide.contains(address));
    }
    let rules = NetworkRules::new(vec![wide], vec![narrow]);
    assert!(!rules.permits(None));
    let expected = wide.contains(address) && !narrow.contains(address);
    assert_eq!(rules.permits(Some(address)), expected);
    assert!(!NetworkRules::new(vec![narrow], vec![narrow]).permits(Some(address)));
});
