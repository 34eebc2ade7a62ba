//! The vectors for address rules, scopes and client addresses, run through the functions that
//! decide.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing
)]

use std::net::IpAddr;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use mcp_api_keys::client_ip::{AddressBucket, ClientIp, ClientIpSource};
use mcp_api_keys::key::{Network, NetworkRules, Scope, ScopeSet};
use serde_json::{Value, json};

const CIDR: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/vectors/cidr.json"
));
const SCOPES: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/vectors/scopes.json"
));
const XFF: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/vectors/xff.json"
));

#[test]
fn every_vector_of_the_address_rules_holds() {
    run(CIDR, |vector| {
        let (Some(allow), Some(deny)) = (networks(&vector["allow"]), networks(&vector["deny"]))
        else {
            return json!("invalid_rule");
        };
        let client = vector["client"].as_str().and_then(|text| text.parse().ok());
        decision(NetworkRules::new(allow, deny).permits(client))
    });
}

#[test]
fn every_vector_of_the_scopes_holds() {
    run(SCOPES, |vector| match vector["kind"].as_str().unwrap() {
        "require" => require(vector),
        "mint" => mint(vector),
        kind => panic!("unknown kind {kind}"),
    });
}

#[test]
fn every_vector_of_the_client_address_holds() {
    run(XFF, |vector| {
        let source = match vector["source"].as_str().unwrap() {
            "peer" => ClientIpSource::Peer,
            "x-forwarded-for" => ClientIpSource::XForwardedFor,
            "forwarded" => ClientIpSource::Forwarded,
            name => ClientIpSource::Header(name.parse().unwrap()),
        };
        let peer = vector["peer"]
            .as_str()
            .map(|text| text.parse::<IpAddr>().unwrap());
        let client = ClientIp::behind(networks(&vector["trusted_proxies"]).unwrap(), source)
            .trust_local_peer(vector["trust_local_peer"].as_bool().unwrap())
            .resolve(peer, &headers(&vector["headers"]));
        json!({
            "client": client.map(|address| address.to_string()),
            "rate_bucket": client.map(|address| AddressBucket::of(address).to_string()),
        })
    });
}

/// Compares the answer to each vector of a file with what the vector expects.
fn run(file: &str, answer: impl Fn(&Value) -> Value) {
    let file: Value = serde_json::from_str(file).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    assert!(!vectors.is_empty());
    let failures: Vec<_> = vectors
        .iter()
        .map(|vector| (vector, answer(vector)))
        .filter(|(vector, answer)| vector["expect"] != *answer)
        .map(|(vector, answer)| {
            format!(
                "{} ({}): {answer}, not {}",
                vector["id"], vector["note"], vector["expect"]
            )
        })
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} fail:\n{}",
        failures.len(),
        vectors.len(),
        failures.join("\n")
    );
}

fn require(vector: &Value) -> Value {
    let Ok(held) = ScopeSet::parse(texts(&vector["grants"])) else {
        return json!("invalid_grant");
    };
    let Ok(required) = texts(&vector["required"])
        .map(str::parse)
        .collect::<Result<Vec<Scope>, _>>()
    else {
        return json!("invalid_requirement");
    };
    decision(match vector["mode"].as_str().unwrap() {
        "all" => held.grants_all(&required),
        "any" => held.grants_any(&required),
        mode => panic!("unknown mode {mode}"),
    })
}

fn mint(vector: &Value) -> Value {
    let (Ok(parent), Ok(child)) = (
        ScopeSet::parse(texts(&vector["parent"])),
        ScopeSet::parse(texts(&vector["child"])),
    ) else {
        return json!("invalid_grant");
    };
    decision(parent.covers(&child))
}

fn decision(allowed: bool) -> Value {
    json!(if allowed { "allow" } else { "deny" })
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap())
}

fn networks(list: &Value) -> Option<Vec<Network>> {
    texts(list).map(|text| text.parse().ok()).collect()
}

fn headers(lines: &Value) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.as_array().unwrap() {
        let name: HeaderName = line[0].as_str().unwrap().parse().unwrap();
        headers.append(
            name,
            HeaderValue::from_bytes(line[1].as_str().unwrap().as_bytes()).unwrap(),
        );
    }
    headers
}
