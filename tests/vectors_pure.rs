//! The vectors for address rules, scopes, client addresses and signatures, run through the
//! functions that decide.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing
)]

use std::net::IpAddr;
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use mcp_api_keys::client_ip::{AddressBucket, ClientIp, ClientIpSource};
use mcp_api_keys::key::{KeyId, Network, NetworkRules, Scope, ScopeSet};
use mcp_api_keys::signing::{
    MemoryReplayGuard, ReplayGuard, SIGNATURE_HEADER, Seen, SignatureFault, SignatureId,
    SigningMode, TIMESTAMP_HEADER,
};
use mcp_api_keys::{Moment, Timestamp};
use serde_json::{Value, json};

const CIDR: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/vectors/cidr.json"
));
const SCOPES: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/vectors/scopes.json"
));
const SIGNING: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/vectors/signing.json"
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

#[test]
fn every_vector_of_the_signatures_holds() {
    let file: Value = serde_json::from_str(SIGNING).unwrap();
    run(SIGNING, |vector| {
        let guard = MemoryReplayGuard::new();
        if let Some(earlier) = vector["replay_of"].as_str() {
            let vectors = file["vectors"].as_array().unwrap();
            let earlier = vectors.iter().find(|vector| vector["id"] == earlier);
            assert_eq!(verify(earlier.unwrap(), &guard), Ok(()));
        }
        json!(match verify(vector, &guard) {
            Ok(()) => "ok",
            Err(SignatureFault::Duplicate) => "duplicate",
            Err(SignatureFault::Missing) => "missing",
            Err(SignatureFault::MalformedTimestamp) => "malformed_timestamp",
            Err(SignatureFault::MalformedSignature) => "malformed_signature",
            Err(SignatureFault::Stale) => "stale",
            Err(SignatureFault::Future) => "future",
            Err(SignatureFault::Mismatch) => "mismatch",
            Err(SignatureFault::Replayed) => "replay",
            Err(fault) => panic!("a fault that is new: {fault}"),
        })
    });
}

fn verify(vector: &Value, guard: &MemoryReplayGuard) -> Result<(), SignatureFault> {
    let mode = match vector["signing_required"].as_bool().unwrap() {
        true => SigningMode::Required,
        false => SigningMode::Optional,
    };
    let now = Timestamp::from_millis(vector["now"].as_i64().unwrap() * 1_000);
    let tolerance = Duration::from_secs(vector["tolerance_s"].as_u64().unwrap());
    let headers = headers(&vector["headers"]);
    let Some(claim) = mode.claim(&headers, now, tolerance)? else {
        return Ok(());
    };
    let body = bytes(vector["body"]["hex"].as_str().unwrap());
    if let Some(text) = vector["body"]["utf8"].as_str() {
        assert_eq!(body, text.as_bytes());
    }
    claim.verify(vector["api_key"].as_str().unwrap(), &body)?;
    assert_eq!(
        headers[TIMESTAMP_HEADER].to_str().unwrap().trim(),
        claim.timestamp().to_string()
    );
    let code = bytes(headers[SIGNATURE_HEADER].to_str().unwrap().trim());
    let signature = SignatureId::new(KeyId::from_u128(1), code.try_into().unwrap());
    let now = Moment::new(now, vector["now"].as_u64().unwrap() * 1_000_000_000);
    match at_once(guard.remember(&signature, now, 2 * tolerance)).unwrap() {
        Seen::First => Ok(()),
        Seen::Again => Err(SignatureFault::Replayed),
    }
}

/// What a future answers that never waits.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(answer) => answer,
        std::task::Poll::Pending => panic!("it waits"),
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = (0..hex.len()).step_by(2);
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    pairs.map(byte).collect()
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
