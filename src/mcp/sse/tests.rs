use proptest::prelude::*;

use super::super::message::Message;
use super::*;
use crate::key::{Access, McpRules};

/// The answer to request 1 of a key that may use `note_*` and no other tools.
fn stream() -> SseFilter {
    bounded(SseFilter::MAX_EVENT)
}

fn bounded(max_event: usize) -> SseFilter {
    let request = br#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let peeked = Message::peek(request).unwrap();
    let ids = peeked.messages().iter().filter_map(Message::id);
    let rules = McpRules::default().allow_tool("note_*".parse().unwrap());
    let list = ListFilter::new(ids, Access::Full, rules, [""; 0].into_iter().collect());
    SseFilter::new(list, max_event)
}

/// What is sent of a stream that comes in these pieces.
fn sent_of(pieces: &[&[u8]]) -> Result<String, Unfilterable> {
    let (mut stream, mut out) = (stream(), Vec::new());
    for piece in pieces {
        stream.push(piece, &mut out)?;
    }
    stream.finish(&mut out);
    Ok(String::from_utf8(out).unwrap())
}

/// The same for the stream whole, in single bytes, and cut at every place; they must agree.
fn sent(text: &str) -> Result<String, Unfilterable> {
    let bytes = text.as_bytes();
    let whole = sent_of(&[bytes]);
    assert_eq!(
        sent_of(&bytes.chunks(1).collect::<Vec<_>>()),
        whole,
        "{text:?}"
    );
    for at in 0..=bytes.len() {
        let (head, tail) = bytes.split_at(at);
        assert_eq!(sent_of(&[head, tail]), whole, "{text:?} cut at {at}");
        assert_eq!(sent_of(&[head, b"", tail]), whole, "{text:?} cut at {at}");
    }
    whole
}

const ANSWER: &str =
    r#"{"result":{"tools":[{"name":"shell"},{"name":"note_a"}]},"jsonrpc":"2.0","id":1}"#;
const FILTERED: &str =
    r#"{"result":{"tools":[{"name":"note_a"}],"cacheScope":"private"},"jsonrpc":"2.0","id":1}"#;

#[test]
fn only_the_data_of_the_answer_changes() {
    for line_end in ["\n", "\r\n", "\r"] {
        let stream = |answer: &str| {
            [
                // What rmcp sends first.
                "data: ",
                "id: 0/0",
                "retry: 3000",
                "",
                ": keep-alive",
                "",
                "event: message",
                r#"data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"tools":[{"name":"shell"}]}}"#,
                "",
                "event: message",
                "id: 7",
                ":inside",
                &format!("data: {answer}"),
                "retry: 1",
                "x",
                "",
                "event: ping",
                "data: 2026-07-28 not JSON",
                "",
                "",
                "id",
                "",
                ": end",
                "",
            ]
            .join(line_end)
        };
        assert_eq!(
            sent(&stream(ANSWER)).unwrap(),
            stream(FILTERED),
            "{line_end:?}"
        );
    }
}

#[test]
fn data_in_several_lines_is_one_text() {
    let many = "id: 1\ndata:{\"id\":1,\ndata: \"result\":{\"tools\":[\r\ndata\ndata:  {\"name\":\"shell\"},{\"name\":\"note_a\"}],\ndata:\"cacheScope\":\"public\"\ndata: }}\nretry: 1\n\n";
    let expected = "id: 1\ndata: {\"id\":1,\ndata: \"result\":{\"tools\":[{\"name\":\"note_a\"}],\ndata: \"cacheScope\":\"private\"\ndata: }}\nretry: 1\n\n";
    assert_eq!(sent(many).unwrap(), expected);
    // The line that is left over keeps the end of the event apart from that of the first line.
    let mixed = "data: {\"id\":1,\rdata: \"result\":{\"tools\":[\"shell\"]}}\n\n";
    let expected =
        "data: {\"id\":1,\rdata: \"result\":{\"tools\":[],\"cacheScope\":\"private\"}}\r\n\n";
    assert_eq!(sent(mixed).unwrap(), expected);
    let unchanged = "data: {\"id\":1,\ndata: \"error\":{}}\n\n";
    assert_eq!(sent(unchanged).unwrap(), unchanged);
}

#[test]
fn the_field_is_named_data_and_nothing_else() {
    for line in [
        format!("Data: {ANSWER}"),
        format!(" data: {ANSWER}"),
        format!("data : {ANSWER}"),
        format!("datas: {ANSWER}"),
        format!(": data: {ANSWER}"),
    ] {
        let text = format!("{line}\n\n");
        assert_eq!(sent(&text).unwrap(), text);
    }
    // One space belongs to the field, more to the value, and a tab is one of these.
    for space in ["", " ", "  ", "\t", " \t"] {
        let text = format!("data:{space}{ANSWER}\n\n");
        assert!(!sent(&text).unwrap().contains("shell"), "{space:?}");
    }
}

#[test]
fn a_byte_order_mark_counts_at_the_very_start_alone() {
    let marked = |answer: &str| format!("\u{feff}data: {answer}\n\n");
    assert_eq!(sent(&marked(ANSWER)).unwrap(), marked(FILTERED));
    let comment = "\u{feff}: hello\n\n";
    assert_eq!(sent(comment).unwrap(), comment);
    let blank = |answer: &str| format!("\u{feff}\ndata: {answer}\n\n");
    assert_eq!(sent(&blank(ANSWER)).unwrap(), blank(FILTERED));
    // Later it is part of a field's name, which nobody knows.
    let later = format!("\n\u{feff}data: {ANSWER}\n\n");
    assert_eq!(sent(&later).unwrap(), later);
    // In the first event but not its first line.
    let second = format!("id: 1\n\u{feff}data: {ANSWER}\n\n");
    assert_eq!(sent(&second).unwrap(), second);
}

#[test]
fn nothing_complete_is_held_back() {
    let (mut stream, mut out) = (stream(), Vec::new());
    let mut push = |piece: &str| {
        let before = out.len();
        stream.push(piece.as_bytes(), &mut out).unwrap();
        String::from_utf8(out[before..].to_vec()).unwrap()
    };
    assert_eq!(push(": keep"), "");
    assert_eq!(push("-alive\n"), ": keep-alive\n");
    assert_eq!(push("\n"), "\n");
    assert_eq!(push("data: {}\n"), "");
    assert_eq!(push("\n: x\r"), "data: {}\n\n: x\r");
    assert_eq!(push("\n"), "\n");
    assert_eq!(push("data: {}\r\r"), "data: {}\r\r");
    assert_eq!(push(""), "");
    assert_eq!(push("\ndata: {}\r\n\r"), "\ndata: {}\r\n\r");
    assert_eq!(push("data: {}\n\nid"), "data: {}\n\n");
    assert_eq!(push(": 1\n"), "");
}

#[test]
fn data_that_cannot_be_read_ends_the_stream() {
    for name in [
        "",
        "event: message\n",
        "event\n",
        "event: ping\nevent: message\n",
    ] {
        for data in [
            r#"{"id":1,"result":{"tools":[{"name":"shell"}]}"#,
            r#"{"id":1,"result":{"tools":"shell"}}"#,
            "\u{feff}{\"id\":1,\"result\":{\"tools\":[{\"name\":\"shell\"}]}}",
            r#"{"id":1,"result":{},"result":{"tools":[{"name":"shell"}]}}"#,
            "shell",
        ] {
            let text = format!("{name}data: {data}\n\n");
            assert_eq!(sent(&text), Err(Unfilterable::Malformed), "{text}");
        }
    }
    let (mut stream, mut out) = (stream(), Vec::new());
    let failed = stream.push(b": a\n\ndata: shell\n\n: b\n", &mut out);
    assert_eq!(failed, Err(Unfilterable::Malformed));
    assert_eq!(stream.push(b"\n\n: c\n", &mut out), failed);
    stream.finish(&mut out);
    assert_eq!(out, b": a\n\n");
    // Bytes that are no UTF-8 would be read as replacement characters.
    let mut stream = self::stream();
    let broken = b"data: {\"id\":1,\"result\":{\"tools\":[{\"name\":\"shell\xff\"}]}}\n\n";
    assert!(stream.push(broken, &mut Vec::new()).is_err());
}

#[test]
fn an_answer_under_another_name_is_filtered_too() {
    let text = |answer: &str| format!("event: answer\ndata: {answer}\n\n");
    assert_eq!(sent(&text(ANSWER)).unwrap(), text(FILTERED));
}

#[test]
fn a_stream_that_ends_within_an_event_shows_no_unfiltered_list() {
    assert_eq!(
        sent(&format!("data: {ANSWER}")).unwrap(),
        format!("data: {FILTERED}\n")
    );
    assert_eq!(
        sent(&format!("data: {ANSWER}\n")).unwrap(),
        format!("data: {FILTERED}\n")
    );
    assert_eq!(
        sent(&format!("data: {ANSWER}\r\nid: 1")).unwrap(),
        format!("data: {FILTERED}\r\nid: 1")
    );
    assert_eq!(sent(": kee").unwrap(), ": kee");
    assert_eq!(sent("id: 1\nre").unwrap(), "id: 1\nre");
    assert_eq!(
        sent("data: {\"id\":1,\"error\":{}}").unwrap(),
        "data: {\"id\":1,\"error\":{}}"
    );
    for name in ["", "event: message\n", "event: ping\n"] {
        for end in 1..ANSWER.len() {
            let cut = sent_of(&[format!("{name}data: {}", &ANSWER[..end]).as_bytes()]);
            assert_eq!(cut.unwrap(), "", "{name:?} {end}");
        }
    }
}

#[test]
fn what_is_held_back_is_bounded() {
    let held = |bytes: &str| {
        let (mut stream, mut out) = (bounded(16), Vec::new());
        stream.push(bytes.as_bytes(), &mut out).map(|()| out.len())
    };
    assert_eq!(held("data: 3456789012"), Ok(0));
    assert_eq!(held("data: 34567890123"), Err(Unfilterable::TooLong));
    assert_eq!(held("data: 1\ndata: 12"), Ok(0));
    assert_eq!(held("data: 1\ndata: 123"), Err(Unfilterable::TooLong));
    assert_eq!(
        held("x\nx\nx\nx\nx\nx\nx\nx\nx"),
        Err(Unfilterable::TooLong)
    );
    // What has been sent takes no room.
    assert_eq!(held(&"data: [{}]\n\n".repeat(1_000)), Ok(12_000));
    assert_eq!(held(&":\n".repeat(1_000)), Ok(2_000));
    assert_eq!(held(&"\n".repeat(1_000)), Ok(1_000));

    let (mut stream, mut out) = (bounded(16), Vec::new());
    assert!(stream.push(&[b'x'; 17], &mut out).is_err());
    assert_eq!(stream.push(b"\n", &mut out), Err(Unfilterable::TooLong));
    stream.finish(&mut out);
    assert!(out.is_empty());
}

fn lines() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just(String::new()),
        Just(String::new()),
        Just(": comment".to_owned()),
        Just("id: 1".to_owned()),
        Just("event: message".to_owned()),
        Just("event: other".to_owned()),
        Just("data".to_owned()),
        Just("data: {\"id\":2}".to_owned()),
        Just("data: {\"id\":1,".to_owned()),
        Just("data: \"result\":{\"tools\":[{\"name\":\"shell\"}]}}".to_owned()),
        Just(format!("data: {ANSWER}")),
        Just("\u{feff}".to_owned()),
        "[a-z:\u{fffd} ]{0,6}",
    ];
    let end = prop_oneof![Just("\n"), Just("\r\n"), Just("\r"), Just("\n\n")];
    prop::collection::vec((line, end), 0..14).prop_map(|lines| {
        let lines = lines.into_iter().map(|(line, end)| format!("{line}{end}"));
        lines.collect::<String>()
    })
}

/// The data of the events, by the standard, and written without regard to what is above.
fn events(stream: &str) -> Vec<String> {
    let stream = stream.strip_prefix('\u{feff}').unwrap_or(stream);
    let lines = stream.replace("\r\n", "\n").replace('\r', "\n");
    let mut events = Vec::new();
    let mut data: Option<String> = None;
    for line in lines.split_inclusive('\n') {
        let Some(line) = line.strip_suffix('\n') else {
            break;
        };
        if line.is_empty() {
            events.extend(data.take());
            continue;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        if name == "data" {
            let value = value.strip_prefix(' ').unwrap_or(value);
            data = Some(match data {
                Some(before) => format!("{before}\n{value}"),
                None => value.to_owned(),
            });
        }
    }
    events
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn however_it_comes_every_event_is_the_filtered_one(
        text in lines(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.sort_unstable();
        let (mut pieces, mut done) = (Vec::new(), 0);
        for cut in cuts {
            pieces.push(&text.as_bytes()[done..cut]);
            done = cut;
        }
        pieces.push(&text.as_bytes()[done..]);

        let whole = sent_of(&[text.as_bytes()]);
        prop_assert_eq!(&sent_of(&pieces), &whole);
        if let Ok(sent) = whole {
            let list = stream().list;
            let filtered: Vec<String> = events(&text)
                .iter()
                .map(|data| match list.apply(data.as_bytes()) {
                    Ok(data) => String::from_utf8(data.into_owned()).unwrap(),
                    Err(_) => data.clone(),
                })
                .collect();
            // Behind the last complete event more may follow, which is another test's.
            let sent = events(&sent);
            prop_assert_eq!(&sent[..filtered.len().min(sent.len())], &filtered[..], "{:?}", text);
        }
    }
}
