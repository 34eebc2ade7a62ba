//! What is read of a body is what a server may read of it.
//!
//! 1. Of an accepted body `serde_json` reads the same methods and names.
//! 2. A body in which `serde_json` sees a call of a tool is refused, or shows that call. If members
//!    could stand there twice without a refusal, the last would count here and the first elsewhere;
//!    so the members of accepted messages are counted.
//! 3. A key that may use one tool only is denied every call of another.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp_api_keys::key::{Access, McpRules};
use mcp_api_keys::testing::mcp::{judged, peek};
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    let Some(messages) = peek(body) else {
        return;
    };
    let rules = McpRules::default().allow_tool("read".parse().unwrap());
    let verdicts = judged(body, Access::Full, &rules, &[]).unwrap();
    assert_eq!(messages.len(), verdicts.len());

    // It refuses more than is refused here: depth, numbers out of range, halves of characters.
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    let entries = match value {
        Value::Array(entries) => entries,
        other => vec![other],
    };
    assert_eq!(messages.len(), entries.len());
    for ((message, entry), verdict) in messages.iter().zip(&entries).zip(&verdicts) {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        assert_eq!(message.method, text(&entry["method"]));
        assert_eq!(message.name, text(&entry["params"]["name"]));
        assert_eq!(message.uri, text(&entry["params"]["uri"]));
        assert_eq!(message.task_id, text(&entry["params"]["taskId"]));
        assert_eq!(message.id.is_some(), entry.get("id").is_some());
        if entry["method"] == "tools/call" {
            assert_eq!(verdict.is_ok(), entry["params"]["name"] == "read");
        }
    }

    let raw: Vec<&serde_json::value::RawValue> = match serde_json::from_slice(body) {
        Ok(entries) => entries,
        Err(_) => vec![serde_json::from_slice(body).unwrap()],
    };
    for (raw, entry) in raw.iter().zip(&entries) {
        let members = names(raw.get());
        assert_eq!(members, entry.as_object().unwrap().len());
    }
});

/// How many members an object has, with repetitions.
fn names(object: &str) -> usize {
    struct Count;
    impl<'de> serde::de::Visitor<'de> for Count {
        type Value = usize;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<usize, A::Error> {
            let mut count = 0;
            while map.next_entry::<String, serde::de::IgnoredAny>()?.is_some() {
                count += 1;
            }
            Ok(count)
        }
    }
    use serde::Deserializer as _;
    serde_json::Deserializer::from_str(object)
        .deserialize_map(Count)
        .unwrap()
}
