//! What reading an MCP message costs beside parsing its body into a `serde_json::Value`.
//!
//! Run with `cargo bench --bench mcp_peek --features testing`. The two take turns in short rounds, so
//! that whatever else the machine does meets both, and the medians of the rounds are compared.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a measurement reads the time and prints"
)]

use std::hint::black_box;
use std::time::Instant;

use mcp_api_keys::testing::mcp::is_readable;
use serde_json::{Value, json};

const ROUNDS: usize = 401;
const CALLS: usize = 500;

fn main() {
    println!(
        "{:44} {:>6} {:>9} {:>9} {:>6}",
        "body", "bytes", "peek", "Value", "ratio"
    );
    for (name, body) in bodies() {
        assert!(is_readable(body.as_bytes()), "{name} is refused");
        let (peek, value) = medians(body.as_bytes());
        let bytes = body.len();
        println!(
            "{name:44} {bytes:6} {peek:6.0} ns {value:6.0} ns {:6.3}",
            peek / value
        );
    }
}

/// The medians of one call each, in nanoseconds.
fn medians(body: &[u8]) -> (f64, f64) {
    let (mut peeks, mut values) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        peeks.push(round(|| {
            black_box(is_readable(black_box(body)));
        }));
        values.push(round(|| {
            let value: Value = serde_json::from_slice(black_box(body)).expect("valid JSON");
            black_box(value);
        }));
    }
    (median(peeks), median(values))
}

fn round(call: impl Fn()) -> f64 {
    let start = Instant::now();
    for _ in 0..CALLS {
        call();
    }
    start.elapsed().as_secs_f64() * 1e9 / CALLS as f64
}

fn median(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds.get(rounds.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Calls of about 1 KiB with arguments of different shapes, and others for comparison.
fn bodies() -> Vec<(&'static str, String)> {
    let call = |arguments: Value| {
        json!({
            "jsonrpc": "2.0",
            "id": 17,
            "method": "tools/call",
            "params": {
                "_meta": {
                    "progressToken": 17,
                    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                    "io.modelcontextprotocol/clientCapabilities": {},
                },
                "arguments": arguments,
                "name": "search_notes",
            },
        })
        .to_string()
    };
    let words = "the quick brown fox jumps over the lazy dog ";
    vec![
        (
            "1 KiB call, mixed arguments",
            call(json!({
                "query": words.repeat(4),
                "limit": 25,
                "offset": 0,
                "fuzzy": true,
                "score": 0.75,
                "tags": ["work", "urgent", "2026", "customers", "north", "south"],
                "filter": {
                    "author": {"id": 4711, "name": "Ada Lovelace", "active": true},
                    "created": {"after": "2026-01-01T00:00:00Z", "before": "2026-06-30T23:59:59Z"},
                    "folders": [{"id": 1, "deep": true}, {"id": 2, "deep": false}, {"id": 3}],
                    "language": "en",
                },
                "fields": ["title", "body", "author", "created", "updated", "links"],
                "note": words.repeat(3),
            })),
        ),
        (
            "1 KiB call, one text",
            call(json!({"text": words.repeat(18)})),
        ),
        (
            "1 KiB call, one text with line breaks",
            call(json!({"text": "a line of text, as files have\n".repeat(25)})),
        ),
        (
            "1 KiB call, one text beyond ASCII",
            call(json!({"text": "größere Änderungen für Zürich ".repeat(24)})),
        ),
        (
            "1 KiB call, numbers",
            call(json!({"points": (0..160).map(|n| n * 37).collect::<Vec<_>>()})),
        ),
        ("small call", call(json!({"id": 4711}))),
        (
            "64 KiB call, one text",
            call(json!({"text": words.repeat(1480)})),
        ),
    ]
}
