//! A filtered answer shows nothing that the rules do not permit, and is JSON if the answer was.
//!
//! 1. Every entry of every list in it is permitted.
//! 2. Filtering it again changes nothing.
//! 3. Without rules, only a cache scope changes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp_api_keys::key::{Access, McpRules};
use mcp_api_keys::testing::mcp::Lists;
use serde_json::Value;

const REQUEST: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;

fuzz_target!(|body: &[u8]| {
    let rules = McpRules::default()
        .allow_tool("a*".parse().unwrap())
        .deny_prompt("b*".parse().unwrap())
        .allow_resource("a:*".parse().unwrap());
    let lists = Lists::asked_for_by(REQUEST, Access::Full, rules, &[]).unwrap();
    let open = Lists::asked_for_by(REQUEST, Access::Full, McpRules::default(), &[]).unwrap();
    if let Some(same) = open.filtered(body) {
        let scoped = body
            .windows(3)
            .any(|text| text == b"Sco" || text.contains(&b'\\'));
        assert!(scoped || same == body);
    }

    let Some(filtered) = lists.filtered(body) else {
        return;
    };
    assert_eq!(lists.filtered(&filtered).as_ref(), Some(&filtered));
    let Ok(value) = serde_json::from_slice::<Value>(&filtered) else {
        assert!(serde_json::from_slice::<Value>(body).is_err());
        return;
    };
    let entries = match value {
        Value::Array(entries) => entries,
        other => vec![other],
    };
    for message in entries {
        let result = &message["result"];
        let all = |kind: &str, named_by: &str, permitted: fn(&str) -> bool| {
            let entries = result[kind].as_array().map(Vec::as_slice);
            for entry in entries.unwrap_or_default() {
                assert!(permitted(entry[named_by].as_str().unwrap()), "{entry}");
                assert_eq!(result["cacheScope"], "private");
            }
        };
        all("tools", "name", |name| name.starts_with('a'));
        all("prompts", "name", |name| !name.starts_with('b'));
        all("resources", "uri", |uri| uri.starts_with("a:"));
        all("skills", "uri", |uri| uri.starts_with("a:"));
        all("resourceTemplates", "uriTemplate", |uri| {
            uri.starts_with("a:")
        });
    }
});
