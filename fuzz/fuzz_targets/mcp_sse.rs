//! A filtered stream does not depend on how it comes, and its events are filtered.
//!
//! The first byte is the length of the pieces.
//!
//! 1. Whatever the pieces, what is sent is the same, or has the same fault.
//! 2. The data of each event that was sent is what the filter of lists makes of the data of the
//!    event that came.
//! 3. Without rules and cache scopes the stream is sent as it came.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp_api_keys::key::{Access, McpRules};
use mcp_api_keys::testing::mcp::Lists;

const REQUEST: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
const MAX_EVENT: usize = 1 << 20;

fuzz_target!(|input: &[u8]| {
    let Some((&length, stream)) = input.split_first() else {
        return;
    };
    let length = usize::from(length).max(1);
    let rules = McpRules::default().allow_tool("a*".parse().unwrap());
    let lists = Lists::asked_for_by(REQUEST, Access::Full, rules, &[]).unwrap();

    let (whole, complete) = lists.streamed([stream], MAX_EVENT);
    let pieces = lists.streamed(stream.chunks(length), MAX_EVENT);
    assert_eq!(pieces, (whole.clone(), complete));

    let (came, sent) = (events(stream), events(&whole));
    assert!(!complete || sent.len() >= came.len());
    for (came, sent) in came.iter().zip(&sent) {
        match lists.filtered(came) {
            Some(filtered) => assert_eq!(&filtered, sent),
            None => assert_eq!(came, sent),
        }
    }

    let open = Lists::asked_for_by(REQUEST, Access::Full, McpRules::default(), &[]).unwrap();
    let (same, complete) = open.streamed([stream], MAX_EVENT);
    if complete && !stream.contains(&b'S') && !stream.contains(&b'\\') {
        // What is dropped is the end of an event that nothing ended.
        assert!(stream.starts_with(&same));
    }
});

/// The data of the events, by the standard.
fn events(stream: &[u8]) -> Vec<Vec<u8>> {
    let stream = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
    let mut lines = vec![Vec::new()];
    let mut last = b' ';
    for &byte in stream {
        match byte {
            b'\n' if last == b'\r' => {}
            b'\n' | b'\r' => lines.push(Vec::new()),
            other => lines.last_mut().unwrap().push(other),
        }
        last = byte;
    }
    // What nothing has ended.
    lines.pop();

    let mut events = Vec::new();
    let mut data: Option<Vec<u8>> = None;
    for line in lines {
        if line.is_empty() {
            events.extend(data.take());
        } else if let Some(rest) = line.strip_prefix(b"data") {
            let value = match rest {
                [] => rest,
                [b':', b' ', value @ ..] | [b':', value @ ..] => value,
                _ => continue,
            };
            let mut joined = match data.take() {
                Some(before) => [before, b"\n".to_vec()].concat(),
                None => Vec::new(),
            };
            joined.extend_from_slice(value);
            data = Some(joined);
        }
    }
    events
}
