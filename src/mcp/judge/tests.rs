use super::super::message::Message;
use super::*;

fn no_tools() -> ReadOnlyTools {
    ReadOnlyTools::default()
}

fn judged(
    body: &str,
    access: Access,
    rules: &McpRules,
    tools: &ReadOnlyTools,
) -> Result<(), String> {
    let peeked = Message::peek(body.as_bytes()).unwrap();
    peeked
        .messages()
        .iter()
        .try_for_each(|message| judge(message, access, rules, tools, None))
        .map_err(|denied| denied.to_string())
}

fn request(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)
}

/// Tools `note_*` without `note_delete`, resources `note://public/*`, prompt `summary`.
fn rules() -> McpRules {
    McpRules::default()
        .allow_tool("note_*".parse().unwrap())
        .deny_tool("note_delete".parse().unwrap())
        .allow_resource("note://public/*".parse().unwrap())
        .allow_prompt("summary".parse().unwrap())
}

#[test]
fn the_rules_decide_on_what_is_named() {
    for (method, params, denied) in [
        ("tools/call", r#"{"name":"note_read"}"#, None),
        (
            "tools/call",
            r#"{"name":"note_delete"}"#,
            Some("Tool note_delete"),
        ),
        ("tools/call", r#"{"name":"shell"}"#, Some("Tool shell")),
        ("tools/call", r#"{"name":""}"#, Some("Tool ")),
        ("prompts/get", r#"{"name":"summary"}"#, None),
        (
            "prompts/get",
            r#"{"name":"note_read"}"#,
            Some("Prompt note_read"),
        ),
        ("resources/read", r#"{"uri":"note://public/a"}"#, None),
        (
            "resources/read",
            r#"{"uri":"note://a"}"#,
            Some("Resource note://a"),
        ),
        (
            "resources/read",
            r#"{"uri":"note://public/../a"}"#,
            Some("Resource note://public/../a"),
        ),
        (
            "resources/subscribe",
            r#"{"uri":"note://a"}"#,
            Some("Resource note://a"),
        ),
        (
            "resources/unsubscribe",
            r#"{"uri":"note://a"}"#,
            Some("Resource note://a"),
        ),
        (
            "resources/directory/read",
            r#"{"uri":"note://a"}"#,
            Some("Resource note://a"),
        ),
        (
            "skills/get",
            r#"{"uri":"note://a"}"#,
            Some("Resource note://a"),
        ),
        ("skills/get", r#"{"uri":"note://public/a"}"#, None),
        (
            "completion/complete",
            r#"{"ref":{"type":"ref/prompt","name":"summary"}}"#,
            None,
        ),
        (
            "completion/complete",
            r#"{"ref":{"type":"ref/prompt","name":"other"}}"#,
            Some("Prompt other"),
        ),
        (
            "completion/complete",
            r#"{"ref":{"type":"ref/resource","uri":"note://{id}"}}"#,
            Some("Resource note://{id}"),
        ),
        (
            "completion/complete",
            r#"{"ref":{"type":"ref/resource","uri":"note://public/{id}"}}"#,
            None,
        ),
        (
            "completion/complete",
            r#"{"ref":{"type":"ref/resource","uri":"note://public/{id}","name":"other"}}"#,
            Some("Prompt other"),
        ),
        (
            "subscriptions/listen",
            r#"{"notifications":{"resourceSubscriptions":["note://public/a","note://a"]}}"#,
            Some("Resource note://a"),
        ),
        (
            "subscriptions/listen",
            r#"{"notifications":{"resourceSubscriptions":["note://public/a"]}}"#,
            None,
        ),
        (
            "subscriptions/listen",
            r#"{"notifications":{"toolsListChanged":true}}"#,
            None,
        ),
        ("tasks/cancel", r#"{"taskId":"t"}"#, None),
        ("tasks/get", r#"{"taskId":"t"}"#, None),
        ("tasks/list", "{}", Some("Method tasks/list")),
        ("tools/list", "{}", None),
        ("resources/templates/list", "null", None),
        ("initialize", r#"{"name":"shell"}"#, None),
        ("ping", "{}", None),
        ("logging/setLevel", r#"{"level":"debug"}"#, None),
        ("shell/run", "{}", Some("Method shell/run")),
        (
            "Tools/Call",
            r#"{"name":"note_read"}"#,
            Some("Method Tools/Call"),
        ),
        ("", "{}", Some("Method ")),
    ] {
        let expected = denied.map_or(Ok(()), |what| {
            Err(format!("{what} is not permitted for this key"))
        });
        let body = request(method, params);
        assert_eq!(
            judged(&body, Access::Full, &rules(), &no_tools()),
            expected,
            "{body}"
        );
    }
}

#[test]
fn a_restricted_key_says_what_it_means() {
    for (method, params) in [
        ("tools/call", "{}"),
        ("tools/call", "null"),
        ("tools/call", r#"{"name":null}"#),
        ("tools/call", r#"{"uri":"note_read"}"#),
        ("prompts/get", "{}"),
        ("resources/read", r#"{"name":"note://public/a"}"#),
        ("skills/get", "{}"),
        ("tasks/get", "{}"),
        ("tasks/result", "{}"),
        ("tasks/cancel", "{}"),
        ("completion/complete", "{}"),
        ("completion/complete", r#"{"ref":{}}"#),
        ("completion/complete", r#"{"ref":{"name":"summary"}}"#),
        ("completion/complete", r#"{"ref":{"type":"ref/prompt"}}"#),
        (
            "completion/complete",
            r#"{"ref":{"type":"ref/prompt","uri":"note://public/a"}}"#,
        ),
        (
            "completion/complete",
            r#"{"ref":{"type":"ref/tool","name":"summary"}}"#,
        ),
    ] {
        let body = request(method, params);
        let expected = format!("Method {method} does not say what it is to be used on");
        assert_eq!(
            judged(&body, Access::Full, &rules(), &no_tools()),
            Err(expected),
            "{body}"
        );
        let unrestricted = McpRules::default();
        assert!(
            judged(&body, Access::Full, &unrestricted, &no_tools()).is_ok(),
            "{body}"
        );
    }
    assert!(
        judged(
            &request("shell/run", "{}"),
            Access::Full,
            &McpRules::default(),
            &no_tools()
        )
        .is_ok()
    );
}

#[test]
fn a_read_only_key_reads_and_calls_what_is_declared_to_read() {
    let tools: ReadOnlyTools = ["note_read", "note_search"].into_iter().collect();
    let read_only = |method: &str, params: &str, rules: &McpRules| {
        judged(&request(method, params), Access::ReadOnly, rules, &tools)
    };
    let open = McpRules::default();
    for (method, params) in [
        ("tools/list", "{}"),
        ("tools/call", r#"{"name":"note_read"}"#),
        ("prompts/get", r#"{"name":"any"}"#),
        ("resources/read", r#"{"uri":"any"}"#),
        ("tasks/result", r#"{"taskId":"t"}"#),
        ("initialize", "{}"),
    ] {
        assert_eq!(read_only(method, params, &open), Ok(()), "{method}");
    }
    for (method, params, message) in [
        (
            "tools/call",
            r#"{"name":"note_write"}"#,
            "This key may only read, and tool note_write may do more",
        ),
        (
            "tools/call",
            r#"{"name":"Note_read"}"#,
            "This key may only read, and tool Note_read may do more",
        ),
        (
            "tasks/cancel",
            r#"{"taskId":"t"}"#,
            "This key may only read, and tasks/cancel does more",
        ),
        (
            "tasks/update",
            "{}",
            "This key may only read, and tasks/update does more",
        ),
        (
            "shell/run",
            "{}",
            "Method shell/run is not permitted for this key",
        ),
    ] {
        assert_eq!(read_only(method, params, &open), Err(message.to_owned()));
    }
    // The rules come on top.
    let only_search = McpRules::default().allow_tool("note_search".parse().unwrap());
    assert!(read_only("tools/call", r#"{"name":"note_search"}"#, &only_search).is_ok());
    assert!(read_only("tools/call", r#"{"name":"note_read"}"#, &only_search).is_err());
    let all_allowed = McpRules::default().allow_tool("*".parse().unwrap());
    assert!(read_only("tools/call", r#"{"name":"note_write"}"#, &all_allowed).is_err());
}

#[test]
fn a_call_is_judged_with_and_without_an_id_alone_and_in_a_batch() {
    let call = r#""method":"tools/call","params":{"name":"shell"}"#;
    let fine = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    for body in [
        format!(r#"{{"jsonrpc":"2.0",{call}}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":null,{call}}}"#),
        format!(r#"[{{"jsonrpc":"2.0","id":2,{call}}}]"#),
        format!(r#"[{fine},{{"jsonrpc":"2.0",{call}}},{fine}]"#),
    ] {
        let denied = judged(&body, Access::Full, &rules(), &no_tools()).unwrap_err();
        assert_eq!(denied, "Tool shell is not permitted for this key", "{body}");
        assert!(judged(&body, Access::ReadOnly, &McpRules::default(), &no_tools()).is_err());
    }
    for body in [
        r#"{"jsonrpc":"2.0","method":"notifications/initialized","params":{"name":"shell"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"method":"tools/call","name":"shell"}}"#,
    ] {
        assert!(
            judged(body, Access::ReadOnly, &rules(), &no_tools()).is_ok(),
            "{body}"
        );
    }
}

#[test]
fn a_denial_shows_a_long_name_cut_and_clean() {
    let name = format!("a\\u0000\\n{}", "x".repeat(1 << 20));
    let body = request("tools/call", &format!(r#"{{"name":"{name}"}}"#));
    let denied = judged(&body, Access::Full, &rules(), &no_tools()).unwrap_err();
    assert!(denied.starts_with("Tool a\u{fffd}\u{fffd}xxx"), "{denied}");
    assert!(
        denied.ends_with("x… is not permitted for this key"),
        "{denied}"
    );
    assert_eq!(denied.matches('x').count(), 125);
    let exact = "y".repeat(128);
    assert_eq!(Excerpt::of(&exact).to_string(), exact);
}

#[test]
fn a_key_is_restricted_by_its_level_or_by_any_rule() {
    let glob = || "x".parse().unwrap();
    let none = McpRules::default();
    assert!(!is_restricted(Access::Full, &none));
    assert!(is_restricted(Access::ReadOnly, &none));
    for rules in [
        none.clone().deny_tool(glob()),
        none.clone().allow_prompt(glob()),
        none.clone().deny_resource(glob()),
    ] {
        assert!(is_restricted(Access::Full, &rules));
    }

    let prompts = none.clone().deny_prompt(glob());
    assert!(needs_filter(ListKind::Prompts, Access::Full, &prompts));
    assert!(!needs_filter(ListKind::Tools, Access::Full, &prompts));
    assert!(needs_filter(ListKind::Tools, Access::ReadOnly, &none));
    assert!(!needs_filter(ListKind::Resources, Access::ReadOnly, &none));
    let resources = none.deny_resource(glob());
    for kind in [
        ListKind::Resources,
        ListKind::ResourceTemplates,
        ListKind::Skills,
    ] {
        assert!(needs_filter(kind, Access::Full, &resources));
    }
}

#[test]
fn a_key_names_its_own_tasks_only_whether_restricted_or_not() {
    let tasks = Arc::new(super::super::task::Tasks::new());
    let [ada, bob] = [1, 2].map(|key| OwnTasks::new(&tasks, crate::key::KeyId::from_u128(key)));
    ada.note("t");
    let may = |own: &OwnTasks, rules: &McpRules, body: &str| {
        let peeked = Message::peek(body.as_bytes()).unwrap();
        let tools = ReadOnlyTools::default();
        let judged = judge(
            &peeked.messages()[0],
            Access::Full,
            rules,
            &tools,
            Some(own),
        );
        judged.map_err(|denied| denied.to_string())
    };
    let restricted = McpRules::default().allow_tool("*".parse().unwrap());
    for rules in [McpRules::default(), restricted] {
        for params in [
            r#"tasks/get","params":{"taskId":"t"}"#,
            r#"tasks/result","params":{"taskId":"t"}"#,
            r#"tasks/cancel","params":{"task\u0049d":"\u0074"}"#,
            r#"t\u0061sks/update","params":{"taskId":"t","inputResponses":{}}"#,
            r#"subscriptions/listen","params":{"notifications":{"taskIds":["t"]}}"#,
        ] {
            for body in [
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{params}}}"#),
                format!(r#"{{"jsonrpc":"2.0","method":"{params}}}"#),
            ] {
                assert_eq!(may(&ada, &rules, &body), Ok(()), "{body}");
                let denied = may(&bob, &rules, &body);
                assert_eq!(denied, Err("Task t is not found".to_owned()), "{body}");
            }
        }
        for (params, passes) in [
            (r#"tasks/list""#, true),
            (r#"tools/call","params":{"name":"a","taskId":"t"}"#, true),
            (r#"tasks/get","params":{"taskId":"T"}"#, false),
            (r#"tasks/get","params":{"taskId":""}"#, false),
            (
                r#"subscriptions/listen","params":{"notifications":{}}"#,
                true,
            ),
            (
                r#"subscriptions/listen","params":{"notifications":{"taskIds":["t","u"]}}"#,
                false,
            ),
        ] {
            let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{params}}}"#);
            assert_eq!(may(&ada, &rules, &body).is_ok(), passes, "{body}");
        }
    }
}
