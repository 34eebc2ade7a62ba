use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::message::{Message, Peeked};
use super::*;

fn rules() -> McpRules {
    McpRules::default()
        .allow_tool("note_*".parse().unwrap())
        .deny_tool("note_delete".parse().unwrap())
        .allow_resource("note://public/*".parse().unwrap())
        .deny_prompt("secret".parse().unwrap())
}

/// The filter for the answer to a request with this id.
fn filter_of(id: &str, access: Access, rules: McpRules) -> ListFilter {
    let request = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list"}}"#);
    let Ok(Peeked::One(message)) = Message::peek(request.as_bytes()) else {
        panic!("{request}");
    };
    let tools = ["note_read"].into_iter().collect();
    ListFilter::new(message.id(), access, rules, tools)
}

fn filtered(filter: &ListFilter, body: &str) -> Result<String, Unfilterable> {
    let filtered = filter.apply(body.as_bytes())?;
    Ok(String::from_utf8(filtered.into_owned()).unwrap())
}

/// Filters with the rules above, as the answer to request 1.
fn by_rules(body: &str) -> Result<String, Unfilterable> {
    filtered(&filter_of("1", Access::Full, rules()), body)
}

#[test]
fn entries_that_are_not_permitted_go_and_the_rest_keeps_its_text() {
    let body = concat!(
        "{ \"result\" : {\"_meta\": {\"x\":1.00}, \"tools\": [ {\"name\":\"shell\"} ,\n",
        "  {\"title\":\"\\u0041\", \"name\":\"note_r\\u0065ad\", \"big\":123456789012345678901234567890}\t,",
        "{\"name\":\"note_delete\"}, {\"name\":\"note_write\"}],\"nextCursor\":\"a\\/b\", \"new\":[1 , 2]},\r\n",
        " \"jsonrpc\":\"2.0\" , \"id\" : 1 , \"more\": 1e400}\n",
    );
    let expected = concat!(
        "{ \"result\" : {\"_meta\": {\"x\":1.00}, \"tools\": [",
        "{\"title\":\"\\u0041\", \"name\":\"note_r\\u0065ad\", \"big\":123456789012345678901234567890},",
        "{\"name\":\"note_write\"}],\"nextCursor\":\"a\\/b\", \"new\":[1 , 2],\"cacheScope\":\"private\"},\r\n",
        " \"jsonrpc\":\"2.0\" , \"id\" : 1 , \"more\": 1e400}\n",
    );
    assert_eq!(by_rules(body).unwrap(), expected);
}

#[test]
fn each_list_is_filtered_by_what_names_its_entries() {
    for (list, kept) in [
        (
            r#""prompts":[{"name":"secret"},{"name":"summary"}]"#,
            r#""prompts":[{"name":"summary"}]"#,
        ),
        (
            r#""resources":[{"name":"a","uri":"note://a"},{"uri":"note://public/a","name":"secret"}]"#,
            r#""resources":[{"uri":"note://public/a","name":"secret"}]"#,
        ),
        (
            r#""resources":[{"uri":"note://public/../a"}]"#,
            r#""resources":[]"#,
        ),
        (
            r#""resourceTemplates":[{"uriTemplate":"note://{id}"},{"uriTemplate":"note://public/{id}"}]"#,
            r#""resourceTemplates":[{"uriTemplate":"note://public/{id}"}]"#,
        ),
        (
            r#""skills":[{"uri":"note://public/SKILL.md"},{"uri":"skill://a/SKILL.md"}]"#,
            r#""skills":[{"uri":"note://public/SKILL.md"}]"#,
        ),
        (
            r#""tools":[{"name":"shell"}],"prompts":[{"name":"secret"}]"#,
            r#""tools":[],"prompts":[]"#,
        ),
    ] {
        let body = |list: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{{list}}}}}"#);
        let scoped = format!("{kept},\"cacheScope\":\"private\"");
        assert_eq!(by_rules(&body(list)).unwrap(), body(&scoped), "{list}");
    }
}

#[test]
fn an_entry_without_a_readable_name_goes() {
    for entry in [
        "null",
        "1",
        r#""note_read""#,
        "[]",
        r#"["note_read"]"#,
        "{}",
        r#"{"name":null}"#,
        r#"{"name":1}"#,
        r#"{"name":"\ud800"}"#,
        r#"{"Name":"note_read"}"#,
        r#"{"uri":"note_read"}"#,
        r#"{"name":"note_read","name":"shell"}"#,
        r#"{"name":"note_read","n\u0061me":"note_read"}"#,
    ] {
        let body = format!(r#"{{"id":1,"result":{{"tools":[{entry}],"cacheScope":"private"}}}}"#);
        let expected = r#"{"id":1,"result":{"tools":[],"cacheScope":"private"}}"#;
        assert_eq!(by_rules(&body).unwrap(), expected, "{entry}");
    }
    // Only the member that names it counts.
    let odd =
        r#"{"id":1,"result":{"tools":[{"name":"note_read","uri":5}],"cacheScope":"private"}}"#;
    assert_eq!(by_rules(odd).unwrap(), odd);
}

#[test]
fn a_read_only_key_sees_the_tools_it_may_call() {
    let body = r#"{"id":1,"result":{"tools":[{"name":"note_read","annotations":{"readOnlyHint":false}},{"name":"note_write","annotations":{"readOnlyHint":true}}]}}"#;
    let expected = r#"{"id":1,"result":{"tools":[{"name":"note_read","annotations":{"readOnlyHint":false}}],"cacheScope":"private"}}"#;
    let read_only = filter_of("1", Access::ReadOnly, McpRules::default());
    assert_eq!(filtered(&read_only, body).unwrap(), expected);
    let prompts = r#"{"id":1,"result":{"prompts":[{"name":"a"}],"ttlMs":1}}"#;
    assert_eq!(filtered(&read_only, prompts).unwrap(), prompts);
    let nothing_allowed = filter_of(
        "1",
        Access::ReadOnly,
        McpRules::default().allow_tool("shell".parse().unwrap()),
    );
    let empty = r#"{"id":1,"result":{"tools":[],"cacheScope":"private"}}"#;
    assert_eq!(filtered(&nothing_allowed, body).unwrap(), empty);
}

#[test]
fn the_cache_scope_is_private_whatever_it_was() {
    let open = filter_of("1", Access::Full, McpRules::default());
    let body =
        |scope: &str| format!(r#"{{"id":1,"result":{{{scope}"tools":[{{"name":"note_a"}}]}}}}"#);
    let private = body(r#""cacheScope":"private","#);
    for scope in [r#""public""#, "null", "1", r#""Private""#, r#"{"a":1}"#] {
        let before = body(&format!(r#""cacheScope":{scope},"#));
        assert_eq!(by_rules(&before).unwrap(), private, "{scope}");
        assert_eq!(filtered(&open, &before).unwrap(), private, "{scope}");
    }
    assert_eq!(by_rules(&private).unwrap(), private);
    let added = r#"{"id":1,"result":{"tools":[{"name":"note_a"}],"cacheScope":"private"}}"#;
    assert_eq!(by_rules(&body("")).unwrap(), added);
    assert_eq!(filtered(&open, &body("")).unwrap(), body(""));
    // Page by page the same, also where there is nothing to show.
    let last = r#"{"id":1,"result":{"tools":[]}}"#;
    let expected = r#"{"id":1,"result":{"tools":[],"cacheScope":"private"}}"#;
    assert_eq!(by_rules(last).unwrap(), expected);
}

#[test]
fn what_is_no_answer_with_a_list_passes_byte_for_byte() {
    for body in [
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"tools"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":null}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"tools":null}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"tools":[{"name":"shell"}]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{}}"#,
        r#"{"jsonrpc":"2.0","id":2,"result":{"content":[],"cacheScope":"public"}}"#,
        r#"{"jsonrpc":"2.0","id":2,"result":[{"tools":[{"name":"shell"}]}]}"#,
        r#"{"jsonrpc":"2.0","id":2,"result":"text"}"#,
        r#" {"id":2,"result":{"capabilities":{"tools":{"listChanged":true}}}} "#,
        "",
        "\r\n",
        "[]",
        "{}",
    ] {
        assert_eq!(by_rules(body).unwrap(), body);
    }
}

#[test]
fn an_answer_is_known_by_its_id_and_by_what_it_holds() {
    let body = |id: &str| format!(r#"{{"id":{id},"result":{{"tools":[{{"name":"shell"}}]}}}}"#);
    let empty =
        |id: &str| format!(r#"{{"id":{id},"result":{{"tools":[],"cacheScope":"private"}}}}"#);
    for id in ["1", r#""1""#, "1.0", "2", "null", r#"{"a":1}"#] {
        assert_eq!(by_rules(&body(id)).unwrap(), empty(id));
    }
    let absent = r#"{"result":{"tools":[{"name":"shell"}]}}"#;
    assert!(!by_rules(absent).unwrap().contains("shell"));

    // By its id alone, an answer is held to have the shape of one.
    for (asked, answered, same) in [
        ("1", "1", true),
        ("1", "1.0", true),
        ("1", "1e0", true),
        ("-0", "0", true),
        ("12345678901234567890123", "1.2345678901234568e+22", true),
        (r#""a""#, r#""\u0061""#, true),
        ("null", "null", true),
        ("1", "2", false),
        ("1", r#""1""#, false),
        (r#""a""#, r#""b""#, false),
    ] {
        let filter = filter_of(asked, Access::Full, rules());
        let strange = format!(r#"{{"id":{answered},"result":["shell"]}}"#);
        let expected = if same {
            Err(Unfilterable::Malformed)
        } else {
            Ok(strange.clone())
        };
        assert_eq!(filtered(&filter, &strange), expected, "{asked} {answered}");
    }
}

#[test]
fn what_cannot_be_read_is_not_sent() {
    let deep = "[".repeat(1 << 20);
    for body in [
        "null",
        "1",
        "x",
        r#""shell""#,
        r#"{"id":1,"result":{"tools":[{"name":"shell"}]}"#,
        r#"{"id":1,"result":{"tools":[{"name":"shell"}]}}}"#,
        r#"{"id":1,"result":{"tools":[{"name":"shell"}]}},"#,
        "\u{feff}{\"id\":1,\"result\":{\"tools\":[{\"name\":\"shell\"}]}}",
        r#"{"id":1,"result":{"tools":[{"name":"shell"},]}}"#,
        r#"{"id":1,"result":{"tools":[],"tools":[{"name":"shell"}]}}"#,
        r#"{"id":1,"result":{"tools":[],"t\u006fols":[{"name":"shell"}]}}"#,
        r#"{"id":1,"result":{},"result":{"tools":[{"name":"shell"}]}}"#,
        r#"{"id":1,"id":2,"result":{"tools":[{"name":"shell"}]}}"#,
        r#"{"id":1,"method":"x","result":{"tools":[{"name":"shell"}]}}"#,
        r#"{"id":1,"result":{"tools":{"0":{"name":"shell"}}}}"#,
        r#"{"id":1,"result":{"tools":"shell"}}"#,
        r#"{"id":1,"result":[{"name":"shell"}]}"#,
        r#"{"id":1,"result":"shell"}"#,
        r#"{"id":1,"result":{"tools":[],"cacheScope":"a","cacheScope":"b"}}"#,
        r#"[{"id":1,"result":{"tools":[]}},["shell"]]"#,
        r#"[[{"id":1,"result":{"tools":[{"name":"shell"}]}}]]"#,
        r#"["shell"]"#,
        &deep,
    ] {
        assert_eq!(by_rules(body), Err(Unfilterable::Malformed), "{body:.100}");
    }
    let filter = filter_of("1", Access::Full, rules());
    assert!(
        filter
            .apply(b"{\"id\":1,\"result\":{\"tools\":[\"\xff\"]}}")
            .is_err()
    );
}

#[test]
fn every_answer_of_a_batch_is_filtered() {
    let body = r#"[{"id":2,"result":{"content":[]}}, {"result":{"tools":[{"name":"shell"},{"name":"note_a"}]},"id":1} ,{"method":"notifications/x"}]"#;
    let expected = r#"[{"id":2,"result":{"content":[]}}, {"result":{"tools":[{"name":"note_a"}],"cacheScope":"private"},"id":1} ,{"method":"notifications/x"}]"#;
    assert_eq!(by_rules(body).unwrap(), expected);
}

#[test]
fn depth_does_not_overflow_the_stack() {
    let depth = 1 << 20;
    let schema = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    let body = format!(r#"{{"id":1,"result":{{"tools":[{{"schema":{schema},"name":"shell"}}]}}}}"#);
    assert!(!by_rules(&body).unwrap().contains("shell"));
}

/// Members of results, with lists of entries that may be permitted or not.
fn members() -> impl Strategy<Value = (String, Value)> {
    let name = prop_oneof![
        Just("note_a"),
        Just("note_delete"),
        Just("shell"),
        Just("secret"),
        Just("note://public/a"),
        Just("note://a"),
    ];
    let entry = (name.clone(), name.clone(), name).prop_map(|(name, uri, template)| {
        json!({"name": name, "uri": uri, "uriTemplate": template, "size": 1.5, "x": "\n\"é"})
    });
    let list = prop::collection::vec(entry, 0..5).prop_map(Value::Array);
    let member = prop_oneof![
        Just("tools"),
        Just("prompts"),
        Just("resources"),
        Just("resourceTemplates"),
        Just("skills"),
        Just("other"),
    ];
    prop_oneof![
        4 => (member.prop_map(str::to_owned), list),
        1 => (Just("nextCursor".to_owned()), Just(json!("c"))),
        1 => (Just("cacheScope".to_owned()), Just(json!("public"))),
    ]
}

proptest! {
    #[test]
    fn what_is_left_is_what_the_rules_permit(
        members in prop::collection::vec(members(), 0..6),
        pretty in any::<bool>(),
    ) {
        let result: serde_json::Map<String, Value> = members.into_iter().collect();
        let listed = ["tools", "prompts", "resources", "resourceTemplates", "skills"]
            .iter()
            .any(|kind| result.contains_key(*kind));
        let mut expected = json!({"jsonrpc": "2.0", "id": 1, "result": result});
        let body = if pretty {
            serde_json::to_string_pretty(&expected).unwrap()
        } else {
            expected.to_string()
        };
        let result = expected["result"].as_object_mut().unwrap();
        for (kind, named_by, permitted) in [
            ("tools", "name", &["note_a"][..]),
            ("prompts", "name", &["note_a", "note_delete", "shell", "note://public/a", "note://a"]),
            ("resources", "uri", &["note://public/a"]),
            ("skills", "uri", &["note://public/a"]),
            ("resourceTemplates", "uriTemplate", &["note://public/a"]),
        ] {
            if let Some(Value::Array(entries)) = result.get_mut(kind) {
                entries.retain(|entry| permitted.contains(&entry[named_by].as_str().unwrap()));
            }
        }
        if listed || result.contains_key("cacheScope") {
            result.insert("cacheScope".to_owned(), json!("private"));
        }
        let filtered: Value = serde_json::from_str(&by_rules(&body).unwrap()).unwrap();
        prop_assert_eq!(filtered, expected);
    }

    #[test]
    fn a_key_without_rules_gets_what_the_server_sent(
        members in prop::collection::vec(members(), 0..6),
    ) {
        let mut result: serde_json::Map<String, Value> = members.into_iter().collect();
        result.remove("cacheScope");
        let body = json!({"id": 1, "result": result}).to_string();
        let open = filter_of("1", Access::Full, McpRules::default());
        prop_assert_eq!(filtered(&open, &body).unwrap(), body);
    }
}

#[test]
fn a_list_of_tasks_shows_the_keys_own_and_keeps_its_cursor() {
    let tasks = std::sync::Arc::new(super::super::task::Tasks::new());
    let own = OwnTasks::new(&tasks, crate::key::KeyId::from_u128(1));
    own.note("mine");
    let filter = filter_of("1", Access::Full, McpRules::default()).of_tasks(Some(own));
    let body = concat!(
        r#"{"id":1,"result":{"tasks":[{"taskId":"other","status":"working"},{"task\u0049d":"mine"},"#,
        r#"{"taskId":["mine"]},{"status":"working"},"mine",{"taskId":"other","taskId":"mine"}],"#,
        r#""nextCursor":"other"}}"#,
    );
    assert_eq!(
        filtered(&filter, body).unwrap(),
        r#"{"id":1,"result":{"tasks":[{"task\u0049d":"mine"}],"nextCursor":"other"}}"#
    );
    let twice = r#"{"id":1,"result":{"tasks":[],"tasks":[{"taskId":"other"}]}}"#;
    assert!(filtered(&filter, twice).is_err());
    // Where tasks are bound to nobody, the list is the server's.
    let unbound = filter_of("1", Access::Full, McpRules::default());
    assert_eq!(filtered(&unbound, body).unwrap(), body);
}
