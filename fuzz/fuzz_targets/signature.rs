//! Signed requests: header lines, an empty line, a body.
//!
//! 1. A signature that holds is the one that a signer makes of the same time and body.
//! 2. It holds for no other body and no other key.

#![no_main]

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use mcp_api_keys::Timestamp;
use mcp_api_keys::signing::{SIGNATURE_HEADER, Signer, SigningMode, TIMESTAMP_HEADER};

const KEY: &str = "mcp_sk_TheKeyOfTheSeeds";
const NOW: Timestamp = Timestamp::from_millis(1_785_232_800_000);
const TOLERANCE: Duration = Duration::from_secs(300);

fuzz_target!(|text: &[u8]| {
    let end = text.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = end.map_or((text, &b""[..]), |at| (&text[..at], &text[at + 2..]));
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = line.split_at(colon);
        let Ok(name) = HeaderName::from_bytes(name) else {
            continue;
        };
        if let Ok(mut value) = HeaderValue::from_bytes(&value[1..]) {
            // So that the fuzzer finds a signature that holds.
            if value.as_bytes() == b"right" {
                let right = Signer::new(KEY).sign(NOW, body);
                value = HeaderValue::from_str(right.signature()).unwrap();
            }
            headers.append(name, value);
        }
    }
    let _ = SigningMode::Optional.claim(&headers, NOW, TOLERANCE);
    let Ok(Some(claim)) = SigningMode::Required.claim(&headers, NOW, TOLERANCE) else {
        return;
    };
    assert!(claim.verify("mcp_sk_AnotherKey", body).is_err());
    if claim.verify(KEY, body).is_ok() {
        assert!(headers.get_all(TIMESTAMP_HEADER).iter().count() == 1);
        let time = Timestamp::from_millis(i64::try_from(claim.timestamp()).unwrap() * 1_000);
        let right = Signer::new(KEY).sign(time, body);
        let sent = headers[SIGNATURE_HEADER].to_str().unwrap().trim();
        assert!(sent.eq_ignore_ascii_case(right.signature()));
        assert!(claim.verify(KEY, &[body, b"!"].concat()).is_err());
    }
});
