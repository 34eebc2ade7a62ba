//! Keys of another system.

use std::fs;

use serde_json::{Value, json};

use crate::office::{HOME, Office, Run, admitted, ask, text};

impl Office {
    /// Imports `lines` from standard input; how it went, and the answers.
    fn import(&self, options: &str, lines: &str) -> (Run, Vec<Value>) {
        let file = self.folder.path().join("keys.jsonl");
        fs::write(&file, lines).unwrap();
        let mut command = self.command(&format!("import - {options}"));
        command.stdin(fs::File::open(file).unwrap());
        let run = Run::of(&command.output().unwrap());
        let answers = run.out.lines();
        let answers = answers
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        (run, answers)
    }
}

/// A key of another system, and its SHA-256.
const OTHERS: &str = "mcp_sk_ATgKlpEaBS64QGLizLFNWgSzNfDmYl2D0UvHLX";
const DIGEST: &str = "a2ee9e1d381864b2da8b63a22f778178d5caaf8951143b16278825fa14990eec";

#[tokio::test]
async fn import_answers_line_by_line_keeps_the_good_and_repeats_no_hash() {
    let office = Office::new();
    let bcrypt = "$2b$10$abcdefghijklmno/qrstu.vwxyzABCDEFGHIJ/LMNOPQRSTUVWX.Z012";
    let lines = [
        format!(
            r#"{{"name":"a","handle":"ATgKlpEa","hash":"sha256:{DIGEST}","prefix":"mcp_sk_","servers":"all"}}"#
        ),
        " ".to_owned(),
        format!(r#"{{"name":"again","handle":"ATgKlpEa","hash":"sha256:{DIGEST}"}}"#),
        "{nonsense".to_owned(),
        format!(r#"{{"name":"b","handle":"BTgKlpEa","hash":"md5:{DIGEST}"}}"#),
        format!(r#"{{"name":"b","handle":"BTgKlpEa","servers":"{bcrypt}"}}"#),
        format!(r#"{{"{bcrypt}":"b"}}"#),
        r#"{"name":"b","handle":"BTgKlpEa"}"#.to_owned(),
        format!(
            r#"{{"name":"c","handle":"CTgKlpEa","hash":"sha256:{DIGEST}","access":"read-only"}}"#
        ),
    ];
    let (run, answers) = office.import("", &lines.join("\n"));
    assert_eq!(run.code, 1, "{run:?}");
    assert_eq!(run.err, "2 imported, 6 refused.\n");
    let seen: Vec<_> = answers
        .iter()
        .map(|answer| {
            (
                &answer["line"],
                &answer["error"]["code"],
                &answer["error"]["field"],
            )
        })
        .collect();
    let (null, bad) = (Value::Null, json!("invalid_input"));
    let fields = ["hash", "servers"].map(|field| json!(field));
    let numbers: Vec<_> = (0..10).map(|number| json!(number)).collect();
    let expected = [
        (&numbers[1], &null, &null),
        (&numbers[3], &json!("conflict"), &null),
        (&numbers[4], &bad, &null),
        (&numbers[5], &bad, &fields[0]),
        (&numbers[6], &bad, &fields[1]),
        (&numbers[7], &bad, &null),
        (&numbers[8], &bad, &fields[0]),
        (&numbers[9], &null, &null),
    ];
    assert_eq!(seen, expected, "{}", run.out);
    assert_eq!(
        (&answers[0]["ok"], &answers[1]["ok"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(
        (&answers[0]["handle"], &answers[0]["name"]),
        (&json!("ATgKlpEa"), &json!("a"))
    );
    let said = run.out + &run.err;
    for part in [&DIGEST[..12], &bcrypt[7..19], &bcrypt[30..42]] {
        assert!(!said.contains(part), "{part}: {said}");
    }
    assert_eq!(office.names(""), ["a", "c"]);
    let read = office.json(&format!("show {}", text(&answers[7]["id"])));
    assert_eq!(read["access"], "read-only");
    let keys = office.keys().await;
    assert_eq!(ask(keys.layer(), OTHERS, HOME).await, admitted());
}

#[test]
fn import_of_good_lines_succeeds_and_is_quiet_for_programs() {
    let office = Office::new();
    let line = format!(r#"{{"name":"a","handle":"ATgKlpEa","hash":"sha256:{DIGEST}"}}"#);
    let (run, answers) = office.import("--json", &format!("{line}\r\n\n"));
    assert_eq!((run.code, run.err.as_str(), answers.len()), (0, "", 1));
    // Keys of another format are taken over if the command line says so.
    let line = line
        .replace("ATgK", "BTgK")
        .replace("}", r#","prefix":"mgw_"}"#);
    let (run, answers) = office.import("", &line);
    assert_eq!(
        (run.code, &answers[0]["error"]["field"]),
        (1, &json!("prefix"))
    );
    let (run, answers) = office.import("--format plain --prefix mgw_", &line);
    assert_eq!((run.code, &answers[0]["ok"]), (0, &json!(true)), "{run:?}");
    let (run, answers) = office.import("", "");
    assert_eq!((run.code, answers.len()), (0, 0));

    let file = office.folder.path().join("keys.jsonl");
    fs::write(&file, line.replace("BTgK", "CTgK")).unwrap();
    let answer = office.json(&format!(
        "import --format plain --prefix mgw_ {}",
        file.display()
    ));
    assert_eq!(answer["handle"], "CTgKlpEa");
    assert_eq!(
        office.error(2, "import /nowhere/keys.jsonl")["field"],
        "file"
    );
}
