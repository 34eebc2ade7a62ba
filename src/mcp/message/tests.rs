use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn one(body: &[u8]) -> Message<'_> {
    match Message::peek(body) {
        Ok(Peeked::One(message)) => message,
        other => panic!("{} gives {other:?}", String::from_utf8_lossy(body)),
    }
}

fn refusal(body: impl AsRef<[u8]>) -> Option<Unreadable> {
    Message::peek(body.as_ref()).err()
}

/// A request that calls `name`, with `more` members.
fn call(more: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call"{more}}}"#)
}

#[test]
fn what_a_message_names_is_read() {
    let message = one(br#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"_meta":{"name":"m"},"arguments":{"name":"a","uri":"b"},"name":"read_note"}}"#);
    assert_eq!(message.kind(), Kind::Request);
    assert_eq!(message.id().unwrap().as_json(), "7");
    assert_eq!(message.method(), Some("tools/call"));
    assert_eq!(message.class(), Class::Call);
    assert_eq!(message.name(), Some("read_note"));
    assert_eq!(message.uri(), None);

    let message =
        one(br#"{"params":{"uri":"note://a","taskId":"t"},"method":"x","id":"a","jsonrpc":"2.0"}"#);
    assert_eq!(message.uri(), Some("note://a"));
    assert_eq!(message.task_id(), Some("t"));

    let message = one(br#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/resource","uri":"note://{id}"},"argument":{"name":"id","value":"1"}}}"#);
    let reference = message.reference().unwrap();
    assert_eq!(reference.sort.as_deref(), Some("ref/resource"));
    assert_eq!(reference.uri.as_deref(), Some("note://{id}"));
    assert_eq!(reference.name, None);
    assert_eq!(message.name(), None);

    let message = one(br#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["note://a","note:\/\/b"]}}}"#);
    assert_eq!(message.subscriptions(), ["note://a", "note://b"]);
}

#[test]
fn nothing_is_copied_that_was_written_without_escapes() {
    let body = call(r#","params":{"name":"read_note","uri":"a\/b"}"#);
    let message = one(body.as_bytes());
    assert!(matches!(message.method, Some(Cow::Borrowed(_))));
    assert!(matches!(message.params.name, Some(Cow::Borrowed(_))));
    assert!(matches!(message.params.uri, Some(Cow::Owned(_))));
}

#[test]
fn the_kind_is_told_by_method_id_and_answer() {
    let kind = |members: &str| {
        let body = format!(r#"{{"jsonrpc":"2.0",{members}}}"#);
        Message::peek(body.as_bytes()).map(|peeked| peeked.messages()[0].kind())
    };
    for (members, expected) in [
        (r#""id":1,"method":"ping""#, Ok(Kind::Request)),
        (r#""id":null,"method":"tools/call""#, Ok(Kind::Request)),
        (r#""id":1,"method":"notifications/x""#, Ok(Kind::Request)),
        (r#""method":"notifications/x""#, Ok(Kind::Notification)),
        (r#""method":"tools/call""#, Ok(Kind::RequestWithoutId)),
        (r#""method":"notifications""#, Ok(Kind::RequestWithoutId)),
        (r#""id":1,"result":{}"#, Ok(Kind::Response)),
        (r#""id":1,"error":{}"#, Ok(Kind::Response)),
        (r#""error":null"#, Ok(Kind::Response)),
        (r#""id":1"#, Err(Unreadable::NotAMessage)),
        (
            r#""id":1,"method":"a","result":{}"#,
            Err(Unreadable::NotAMessage),
        ),
        (
            r#""id":1,"method":"a","error":null"#,
            Err(Unreadable::NotAMessage),
        ),
    ] {
        assert_eq!(kind(members), expected, "{members}");
    }
}

#[test]
fn only_a_real_notification_is_always_in_order() {
    let class = |members: &str| {
        let body = format!(r#"{{"jsonrpc":"2.0",{members}}}"#);
        one(body.as_bytes()).class()
    };
    assert_eq!(class(r#""method":"notifications/x""#), Class::Always);
    assert_eq!(
        class(r#""id":1,"method":"notifications/x""#),
        Class::Unknown
    );
    assert_eq!(
        class(r#""id":null,"method":"notifications/x""#),
        Class::Unknown
    );
    assert_eq!(class(r#""method":"tools/call""#), Class::Call);
    assert_eq!(class(r#""id":null,"method":"tools/call""#), Class::Call);
    assert_eq!(
        class(r#""id":1,"result":{"method":"tools/call"}"#),
        Class::Always
    );
}

#[test]
fn ids_are_strings_integers_and_null_and_keep_their_text() {
    let body = |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
    for id in [
        "0",
        "-1",
        "-0",
        "9007199254740993",
        "123456789012345678901234567890",
        "null",
        r#""""#,
        r#""1""#,
        r#""a\"b\u00e9""#,
        "\"\u{1f980}\"",
    ] {
        assert_eq!(one(body(id).as_bytes()).id().unwrap().as_json(), id);
        let spaced = body(&format!(" \n{id}\t"));
        assert_eq!(one(spaced.as_bytes()).id().unwrap().as_json(), id);
    }
    for id in [
        "1.0",
        "1e3",
        "1E3",
        "-1.5",
        "true",
        "false",
        "[]",
        "[1]",
        "{}",
        r#""\ud800""#,
    ] {
        assert_eq!(refusal(body(id)), Some(Unreadable::InvalidId), "{id}");
    }
    for id in ["01", "+1", "1.", ".5", "-", "NaN", "0x1", "nul", "'1'", ""] {
        assert_eq!(refusal(body(id)), Some(Unreadable::NotJson), "{id}");
    }
}

#[test]
fn names_written_with_escapes_are_the_same_names() {
    let body = r#"{"jsonrpc":"2.0","id":1,"m\u0065thod":"tools\/call","\u0070arams":{"n\u0061me":"write\u005fnote"}}"#;
    let message = one(body.as_bytes());
    assert_eq!(message.class(), Class::Call);
    assert_eq!(message.name(), Some("write_note"));
}

#[test]
fn a_member_that_stands_twice_is_refused() {
    for more in [
        r#","method":"tools/list""#,
        r#","m\u0065thod":"tools/list""#,
        r#","method":"tools/call""#,
        r#","id":1"#,
        r#","jsonrpc":"2.0""#,
        r#","params":{},"params":{"name":"a"}"#,
        r#","params":{"name":"a"},"param\u0073":null"#,
        r#","params":{"name":"a","name":"b"}"#,
        r#","params":{"name":"a","name":null}"#,
        r#","params":{"name":"a","n\u0061me":"b"}"#,
        r#","params":{"arguments":{},"arguments":{}}"#,
        r#","params":{"_meta":{},"_meta":{}}"#,
        r#","params":{"x":1,"\u0078":1}"#,
        r#","params":{"uri":"a","uri":"b"}"#,
        r#","params":{"taskId":"a","taskId":"b"}"#,
        r#","params":{"ref":{},"ref":{}}"#,
        r#","params":{"ref":{"type":"a","type":"b"}}"#,
        r#","params":{"ref":{"name":"a","n\u0061me":"b"}}"#,
        r#","params":{"ref":{"x":1,"x":1}}"#,
        r#","params":{"notifications":{"resourceSubscriptions":[],"resourceSubscriptions":[]}}"#,
        r#","params":{"notifications":{"x":1,"x":1}}"#,
        r#","x":1,"x":1"#,
        r#","":1,"":1"#,
    ] {
        assert_eq!(refusal(call(more)), Some(Unreadable::Duplicate), "{more}");
    }
    // Where nothing is looked into, servers may do as they like.
    assert_eq!(
        refusal(call(r#","params":{"arguments":{"x":1,"x":2}}"#)),
        None
    );
}

#[test]
fn a_member_in_another_case_is_refused() {
    // Go's JSON reader takes all of these for the member meant, and the last one counts.
    for more in [
        r#","Method":"tools/call""#,
        r#","METHOD":"tools/call""#,
        r#","\u004dethod":"tools/call""#,
        r#","Params":{"name":"a"}"#,
        r#","param\u017f":{"name":"a"}"#,
        ",\"param\u{17f}\":{}",
        r#","ID":1"#,
        r#","params":{"Name":"a"}"#,
        r#","params":{"name":"a","NAME":"b"}"#,
        r#","params":{"URI":"a"}"#,
        r#","params":{"taskid":"a"}"#,
        r#","params":{"tas\u212aId":"a"}"#,
        r#","params":{"Ref":{}}"#,
        r#","params":{"ref":{"Name":"a"}}"#,
        r#","params":{"notifications":{"resourcesubscriptions":[]}}"#,
    ] {
        assert_eq!(refusal(call(more)), Some(Unreadable::OtherCase), "{more}");
    }
    assert_eq!(refusal(call(r#","params":{"arguments":{"Name":1}}"#)), None);
}

#[test]
fn what_is_read_has_its_type_or_is_null() {
    for more in [
        r#","params":[]"#,
        r#","params":["a"]"#,
        r#","params":"a""#,
        r#","params":1"#,
        r#","params":{"name":1}"#,
        r#","params":{"name":["a"]}"#,
        r#","params":{"name":{"name":"a"}}"#,
        r#","params":{"uri":false}"#,
        r#","params":{"taskId":1.5}"#,
        r#","params":{"ref":"a"}"#,
        r#","params":{"ref":["ref/prompt","a"]}"#,
        r#","params":{"ref":{"type":1}}"#,
        r#","params":{"notifications":[]}"#,
        r#","params":{"notifications":{"resourceSubscriptions":"a"}}"#,
        r#","params":{"notifications":{"resourceSubscriptions":[1]}}"#,
        r#","params":{"notifications":{"resourceSubscriptions":[null]}}"#,
        r#","params":{"notifications":{"resourceSubscriptions":[["a"]]}}"#,
    ] {
        assert_eq!(refusal(call(more)), Some(Unreadable::WrongType), "{more}");
    }
    for more in [
        r#","params":null"#,
        r#","params":{"name":null,"uri":null,"taskId":null,"ref":null,"notifications":null}"#,
        r#","params":{"ref":{"name":null}}"#,
        r#","params":{"notifications":{"resourceSubscriptions":null}}"#,
    ] {
        let body = call(more);
        let message = one(body.as_bytes());
        assert_eq!(
            (message.name(), message.uri(), message.task_id()),
            (None, None, None)
        );
        assert!(message.subscriptions().is_empty());
    }
    for method in ["null", "1", "[]", "{}", r#"["tools/call"]"#] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":{method}}}"#);
        assert_eq!(refusal(body), Some(Unreadable::WrongType), "{method}");
    }
}

#[test]
fn the_version_is_that_of_json_rpc() {
    for version in [
        "",
        r#""jsonrpc":null,"#,
        r#""jsonrpc":"1.0","#,
        r#""jsonrpc":"2.00","#,
    ] {
        let body = format!(r#"{{{version}"id":1,"method":"ping"}}"#);
        assert_eq!(refusal(body), Some(Unreadable::NotJsonRpc), "{version}");
    }
    let number = r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#;
    assert_eq!(refusal(number), Some(Unreadable::WrongType));
}

#[test]
fn a_body_is_one_json_value_in_utf8() {
    let good = call("");
    assert_eq!(refusal(format!(" \r\n\t{good} \n")), None);
    for wrong in [
        format!("{good}{good}"),
        format!("{good}\n{good}"),
        format!("{good},"),
        format!("{good}]"),
        format!("{good}\0"),
        format!("{good}//"),
        format!("\u{feff}{good}"),
        format!("\u{a0}{good}"),
        format!("{good}\u{2028}"),
        format!("({good})"),
        good[..good.len() - 1].to_owned(),
        good.replace('"', "'"),
        good.replace(r#""id":1,"#, r#""id":1,,"#),
        good.replace(r#""id":1,"#, r#"id:1,"#),
        call(","),
        call(r#","params":{"name":"a",}"#),
        call(r#","params":{"arguments":[1,]}"#),
        call(r#","params":{"arguments":{"a":01}}"#),
        call(r#","params":{"arguments":NaN}"#),
        call(",\"params\":{\"arguments\":\"a\nb\"}"),
        call(r#","params":{"name":"\x"}"#),
        call(r#","params":{"name":"\ud800"}"#),
        call(r#","params":{"arguments":{1:2}}"#),
        call(r#","params":{"arguments":{}/**/}"#),
        String::new(),
        " ".to_owned(),
    ] {
        assert_eq!(refusal(&wrong), Some(Unreadable::NotJson), "{wrong:?}");
        assert!(refusal(&wrong).unwrap().is_parse_error());
    }
    for bytes in [
        &b"\xff"[..],
        b"\xc0\xae",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
    ] {
        let mut body =
            br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":""#.to_vec();
        body.extend_from_slice(bytes);
        body.extend_from_slice(br#""}}"#);
        assert_eq!(refusal(body), Some(Unreadable::NotUtf8), "{bytes:?}");
    }
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(refusal(utf16), Some(Unreadable::NotJson));
    for scalar in ["null", "1", "true", r#""tools/call""#] {
        assert_eq!(refusal(scalar), Some(Unreadable::WrongType), "{scalar}");
    }
}

#[test]
fn a_batch_shows_every_message_in_it() {
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let batch = format!("[{list},{}]", call(r#","params":{"name":"write_note"}"#));
    let peeked = Message::peek(batch.as_bytes()).unwrap();
    let classes: Vec<Class> = peeked.messages().iter().map(Message::class).collect();
    assert_eq!(classes.len(), 2);
    assert_eq!(classes[1], Class::Call);
    assert_eq!(peeked.messages()[1].name(), Some("write_note"));

    assert_eq!(refusal("[]"), Some(Unreadable::EmptyBatch));
    for entry in ["1", "null", r#""a""#, "[]", &format!("[{list}]")] {
        let batch = format!("[{list},{entry}]");
        assert_eq!(refusal(batch), Some(Unreadable::WrongType), "{entry}");
    }
    assert_eq!(
        refusal(format!("[{list},{{}}]")),
        Some(Unreadable::NotJsonRpc)
    );
    let of = |count: usize| format!("[{}]", vec![list; count].join(","));
    assert_eq!(refusal(of(1_000)), None);
    assert_eq!(refusal(of(1_001)), Some(Unreadable::TooMany));
}

#[test]
fn members_and_subscriptions_are_bounded() {
    let names = |count: usize| {
        let members: Vec<String> = (0..count).map(|n| format!("\"m{n}\":0")).collect();
        call(&format!(",\"params\":{{{}}}", members.join(",")))
    };
    assert_eq!(refusal(names(1_000)), None);
    assert_eq!(refusal(names(1_001)), Some(Unreadable::TooMany));
    let uris = |count: usize| {
        let uris = vec!["\"a\""; count].join(",");
        call(&format!(
            ",\"params\":{{\"notifications\":{{\"resourceSubscriptions\":[{uris}]}}}}"
        ))
    };
    assert_eq!(refusal(uris(10_000)), None);
    assert_eq!(refusal(uris(10_001)), Some(Unreadable::TooMany));
}

#[test]
fn a_name_behind_megabytes_of_arguments_is_found() {
    let text = "x".repeat(8 << 20);
    let body = call(&format!(
        r#","params":{{"arguments":{{"text":"{text}"}},"name":"write_note"}}"#
    ));
    assert_eq!(one(body.as_bytes()).name(), Some("write_note"));
}

#[test]
fn depth_does_not_overflow_the_stack() {
    let depth = 2 << 20;
    let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let body = call(&format!(r#","params":{{"arguments":{nested},"name":"a"}}"#));
    assert_eq!(one(body.as_bytes()).name(), Some("a"));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    assert_eq!(refusal(call(&format!(r#","x":{objects}"#))), None);

    assert_eq!(refusal(&nested), Some(Unreadable::WrongType));
    let open = "[".repeat(depth);
    assert!(refusal(&open).is_some());
    assert_eq!(
        refusal(call(&format!(r#","params":{{"name":{nested}}}"#))),
        Some(Unreadable::WrongType)
    );
    let id = format!(r#"{{"jsonrpc":"2.0","id":{nested},"method":"ping"}}"#);
    assert_eq!(refusal(id), Some(Unreadable::InvalidId));
}

#[test]
fn a_refusal_repeats_nothing_of_the_body() {
    let body = call(r#","params":{"name":{"secret_word":1}}"#);
    let refused = refusal(&body).unwrap();
    assert!(!refused.to_string().contains("secret"));
    assert!(!refused.is_parse_error());
}

/// The method and the name of each message.
type Calls = Vec<(Option<String>, Option<String>)>;

/// What a server reads that lets the last of equal members count.
fn as_the_last_counts(body: &[u8]) -> Option<Calls> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let entries = match serde_json::from_slice(body).ok()? {
        Value::Array(entries) => entries,
        other => vec![other],
    };
    let read = |entry: &Value| (text(&entry["method"]), text(&entry["params"]["name"]));
    Some(entries.iter().map(read).collect())
}

/// What a server reads that lets the first of equal members count.
fn as_the_first_counts(body: &[u8]) -> Option<Calls> {
    let entries = match serde_json::from_slice::<Vec<&RawValue>>(body) {
        Ok(entries) => entries,
        Err(_) => vec![serde_json::from_slice(body).ok()?],
    };
    let text = |raw: &RawValue| serde_json::from_str(raw.get()).ok();
    let read = |entry: &&RawValue| {
        let message = Pairs::of(entry);
        let params = message.first("params").map(Pairs::of).unwrap_or_default();
        (
            message.first("method").and_then(text),
            params.first("name").and_then(text),
        )
    };
    Some(entries.iter().map(read).collect())
}

/// All members of an object.
#[derive(Default)]
struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Pairs<'a> {
    fn of(object: &'a RawValue) -> Self {
        serde_json::from_str(object.get()).unwrap_or_default()
    }

    fn first(&self, name: &str) -> Option<&'a RawValue> {
        let mut named = self.0.iter().filter(|(other, _)| other == name);
        named.next().map(|(_, value)| *value)
    }
}

impl<'de> serde::Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> serde::de::Visitor<'de> for All {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut pairs = Pairs::default();
                while let Some(pair) = map.next_entry()? {
                    pairs.0.push(pair);
                }
                Ok(pairs)
            }
        }
        json.deserialize_map(All)
    }
}

/// A JSON object with these members in this order, as text, with whatever repetitions.
fn object(members: Vec<(String, String)>) -> String {
    let members: Vec<String> = members
        .into_iter()
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// JSON texts that are messages or nearly so.
fn near_messages() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        Just(r#""tools/call""#),
        Just(r#""tools\/call""#),
        Just(r#""t\u006fols/call""#),
        Just(r#""tools/list""#),
        Just(r#""a""#),
        Just(r#""b""#),
        Just("null"),
        Just("1"),
        Just("{}"),
    ]
    .prop_map(str::to_owned);
    let param = prop_oneof![
        3 => Just("name"),
        1 => Just("n\\u0061me"),
        1 => Just("Name"),
        1 => Just("uri"),
        1 => Just("arguments"),
        1 => Just("x"),
    ]
    .prop_map(str::to_owned);
    let params = prop::collection::vec((param, text.clone()), 0..4).prop_map(object);
    let member = prop_oneof![
        3 => (Just("method".to_owned()), text.clone()),
        1 => (Just("m\\u0065thod".to_owned()), text.clone()),
        1 => (Just("Method".to_owned()), text.clone()),
        3 => (Just("params".to_owned()), params.clone()),
        1 => (Just("params".to_owned()), params.prop_map(|params| format!("[{params}]"))),
        1 => (Just("result".to_owned()), text.clone()),
        2 => (Just("id".to_owned()), text.clone()),
        1 => (Just("x".to_owned()), text),
    ];
    let message =
        (prop::collection::vec(member, 1..5), 0_usize..5).prop_map(|(mut members, at)| {
            let at = at.min(members.len());
            members.insert(at, ("jsonrpc".to_owned(), r#""2.0""#.to_owned()));
            object(members)
        });
    let batch = prop::collection::vec(message.clone(), 0..3)
        .prop_map(|messages| format!("[{}]", messages.join(",")));
    prop_oneof![3 => message, 1 => batch]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn what_is_accepted_is_what_servers_read(body in near_messages()) {
        if let Ok(peeked) = Message::peek(body.as_bytes()) {
            let ours: Vec<_> = peeked
                .messages()
                .iter()
                .map(|message| {
                    (message.method().map(str::to_owned), message.name().map(str::to_owned))
                })
                .collect();
            let last = as_the_last_counts(body.as_bytes());
            let first = as_the_first_counts(body.as_bytes());
            prop_assert_eq!(&last, &first, "{}", body);
            prop_assert_eq!(Some(ours), last, "{}", body);
        }
    }

    #[test]
    fn an_ordinary_call_is_never_refused(name in "\\PC{0,20}", id in any::<i64>(), argument in "\\PC{0,40}") {
        let body = json!({
            "jsonrpc": "2.0",
            "id": id,
            "method": "tools/call",
            "params": {"arguments": {"name": argument}, "name": name},
        })
        .to_string();
        let message = one(body.as_bytes());
        prop_assert_eq!(message.name(), Some(name.as_str()));
    }

    #[test]
    fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = Message::peek(&body);
    }
}
