use std::sync::Arc;

use super::super::task::Tasks;
use super::*;
use crate::key::KeyId;

fn own() -> OwnTasks {
    OwnTasks::new(&Arc::new(Tasks::new()), KeyId::from_u128(1))
}

fn asked(ids: &[&str]) -> Option<Box<[Box<str>]>> {
    Some(ids.iter().map(|id| Box::from(*id)).collect())
}

/// Looks at a body that comes in parts of this length, as the answer to request 1.
fn seen_in(body: &str, length: usize) -> OwnTasks {
    let own = own();
    let mut begun = Begun::in_json(own.clone(), asked(&["1"]));
    body.as_bytes()
        .chunks(length)
        .for_each(|part| begun.look(part));
    begun.end();
    own
}

fn events(stream: &str, length: usize, end: bool) -> OwnTasks {
    let own = own();
    let mut begun = Begun::in_events(own.clone(), asked(&["1"]));
    stream
        .as_bytes()
        .chunks(length)
        .for_each(|part| begun.look(part));
    if end {
        begun.end();
    }
    own
}

const OF_2025: &str =
    r#"{"jsonrpc":"2.0","id":1,"result":{"task":{"taskId":"t","status":"working"}}}"#;
const OF_2026: &str =
    r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"task","taskId":"t","status":"working"}}"#;

#[test]
fn both_revisions_ways_to_begin_a_task_are_known() {
    for body in [OF_2025, OF_2026] {
        for length in [1, 7, 1_000] {
            assert!(seen_in(body, length).contains("t"), "{body}");
        }
    }
    for body in [
        r#" { "result" : {"t\u0061sk":{"status":1,"task\u0049d":"\u0074"}}, "id":1.0 } "#,
        r#"[{"id":2,"result":{}},{"id":1,"result":{"task":{"taskId":"t"}}}]"#,
        r#"{"id":1,"result":{"taskId":"t","resultType":"t\u0061sk","task":null}}"#,
    ] {
        assert!(seen_in(body, 9).contains("t"), "{body}");
    }
}

#[test]
fn nothing_else_begins_one() {
    for body in [
        "",
        "{",
        "[]",
        "null",
        r#"{"id":2,"result":{"task":{"taskId":"t"}}}"#,
        r#"{"result":{"task":{"taskId":"t"}}}"#,
        r#"{"id":1,"method":"x","result":{"task":{"taskId":"t"}}}"#,
        r#"{"id":1,"error":{"task":{"taskId":"t"}}}"#,
        r#"{"id":1,"result":[null,"t",{"taskId":"t"}]}"#,
        r#"[[1,{"task":{"taskId":"t"}}]]"#,
        r#"{"id":1,"result":{"taskId":"t"}}"#,
        r#"{"id":1,"result":{"taskId":"t","resultType":"complete"}}"#,
        r#"{"id":1,"result":{"structuredContent":{"task":{"taskId":"t"}},"taskId":"t"}}"#,
        r#"{"id":1,"result":{"task":["t"]}}"#,
        r#"{"id":1,"result":{"task":{"taskId":["t"]}}}"#,
        // Twice, so that nobody can tell which one counts.
        r#"{"id":1,"result":{"task":{"taskId":"t","taskId":"u"}}}"#,
        r#"{"id":1,"result":{"task":{"taskId":"t"},"task":{"taskId":"u"}}}"#,
        r#"{"id":1,"result":{"task":{"taskId":"t"}},"result":{"task":{"taskId":"u"}}}"#,
    ] {
        let own = seen_in(body, 1_000);
        assert!(!own.contains("t") && !own.contains("u"), "{body}");
    }
}

#[test]
fn an_answer_to_a_request_whose_id_was_not_read_is_the_one_there_is() {
    let own = own();
    let mut begun = Begun::in_json(own.clone(), None);
    begun.look(OF_2025.replace("\"id\":1", "\"id\":\"x\"").as_bytes());
    begun.end();
    assert!(own.contains("t"));
}

#[test]
fn what_is_too_long_tells_of_no_task() {
    let padded = |length: usize| OF_2025.replace("working", &"x".repeat(length));
    assert!(seen_in(&padded(LONGEST - 200), 1_000).contains("t"));
    assert!(!seen_in(&padded(LONGEST), 1_000).contains("t"));
    let own = own();
    let mut begun = Begun::in_json(own, asked(&["1"]));
    begun.look(&vec![b' '; 1 << 20]);
    let Form::Json(whole) = &begun.form else {
        panic!("it is JSON");
    };
    assert_eq!(whole.text.capacity(), 0);
}

#[test]
fn events_are_read_however_they_come() {
    for line_end in ["\n", "\r\n", "\r"] {
        for before in [
            "",
            "\u{feff}",
            ": waiting\n\n",
            "id: 0\ndata:\nretry: 3000\n\n",
            "data: {\"method\":\"notifications/progress\"}\n\n",
        ] {
            for event in [
                format!("data: {OF_2026}\n\n"),
                format!("event: message\nid: 7\ndata:{OF_2025}\n\n"),
                format!(
                    "data: {}\n\n",
                    OF_2025.replace(",\"result", ",\ndata: \"result")
                ),
            ] {
                let stream = format!("{before}{event}").replace('\n', line_end);
                for length in [1, 2, 3, 1_000] {
                    assert!(events(&stream, length, false).contains("t"), "{stream:?}");
                }
            }
        }
    }
}

#[test]
fn an_event_that_is_cut_off_counts_and_one_that_is_too_long_does_not_spoil_the_next() {
    let cut = format!("data: {OF_2025}");
    assert!(!events(&cut, 10, false).contains("t"));
    assert!(events(&cut, 10, true).contains("t"));
    assert!(events(&format!("{cut}\n"), 10, true).contains("t"));
    let long = "x".repeat(LONGEST + 1);
    for before in [
        format!("data: {long}\n\n"),
        format!("data: \"{long}\ndata: {OF_2025}\n\n"),
        format!(": {long}\n\n"),
    ] {
        assert!(!events(&before, 1_000, true).contains("t"));
        let stream = format!("{before}data: {OF_2025}\n\n");
        assert!(events(&stream, 1_000, false).contains("t"));
    }
    // Split by a line that is too long: the parts are one event, and not read.
    let split = format!("data: {OF_2025}\ndata: {long}\n\n");
    assert!(!events(&split, 1_000, true).contains("t"));
}
