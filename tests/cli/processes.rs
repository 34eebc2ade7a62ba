//! Pipes, and processes that run at once.

use std::io::Read as _;
use std::process::Stdio;

use crate::office::{Office, Run, text};

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let office = Office::new();
    for number in 0..3 {
        office.create(&format!("--name k{number}"));
    }
    for args in ["--json list", "list", "completions bash", "--help"] {
        let mut command = office.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let mut err = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut err)
            .unwrap();
        assert!(child.wait().unwrap().success(), "{args:?}: {err}");
        assert_eq!(err, "", "{args:?}");
    }
}

#[test]
fn a_key_that_nobody_reads_is_reported_as_lost() {
    let office = Office::new();
    let mut command = office.command("create --name k");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let mut err = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut err)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{err}");
    let id = office.json("list")["keys"][0]["id"].clone();
    assert!(err.contains(&text(&id)) && err.contains("lost"), "{err}");
}

#[test]
fn five_processes_create_keys_in_a_new_store_at_once() {
    let office = Office::new();
    let children: Vec<_> = (0..5)
        .map(|number| {
            let name = format!("k{number}");
            let mut command = office.command(&format!("--json create --name {name}"));
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    for child in children {
        let run = Run::of(&child.wait_with_output().unwrap());
        assert_eq!(run.code, 0, "{run:?}");
    }
    let mut names = office.names("");
    names.sort();
    assert_eq!(names, ["k0", "k1", "k2", "k3", "k4"]);
}
