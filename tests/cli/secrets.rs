//! Secrets are shown once, and kept nowhere.

use std::fs;

use crate::office::{Office, Run, leaks, text};

#[test]
fn a_key_is_shown_by_create_and_rotate_and_nowhere_else() {
    let office = Office::new();
    let made = office.create("--name k --all-servers");
    let id = text(&made["id"]);
    let first = text(&made["key"]);
    let mut keys = vec![first];
    let mut seen = Vec::new();
    let rotated = office.json(&format!("rotate {id}"));
    keys.push(text(&rotated["key"]));
    for args in [
        &format!("show {id}"),
        "audit",
        "list",
        "list --all",
        &format!("update {id} --name k2"),
        &format!("disable {id}"),
        &format!("enable {id}"),
        &format!("revoke {id} --reason test"),
        "formats",
        &format!("delete {id} --yes"),
    ] {
        for json in ["", "--json"] {
            let args = format!("{args} {json}");
            let run = office.run(&args);
            seen.extend(run.out.into_bytes());
            seen.extend(run.err.into_bytes());
        }
    }
    assert!(seen.len() > 2_000);
    for key in &keys {
        assert!(leaks(key, key.as_bytes()), "the scan sees nothing");
        assert!(!leaks(key, &seen));
    }
}

#[test]
fn no_part_of_a_secret_is_in_any_file_of_the_store() {
    let office = Office::new();
    let made = office.create("--name k");
    let rotated = office.json(&format!("rotate {}", text(&made["id"])));
    let mut read = 0;
    for file in fs::read_dir(office.folder.path()).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        read += bytes.len();
        for key in [&made["key"], &rotated["key"]] {
            assert!(!leaks(&text(key), &bytes));
        }
        let handle = text(&rotated["handle"]);
        assert!(bytes.windows(8).any(|part| part == handle.as_bytes()));
    }
    assert!(read > 4_096, "the scan read {read} bytes");
}

#[cfg(unix)]
#[test]
fn the_store_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let office = Office::new();
    office.create("--name k");
    for file in fs::read_dir(office.folder.path()).unwrap() {
        let mode = file.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn a_pepper_is_used_and_a_bad_one_is_refused_without_being_repeated() {
    let office = Office::new();
    let pepper = format!("2026:{}", "0f".repeat(32));
    let with = |args: &str, name: &str, value: &str| {
        Run::of(&office.command(args).env(name, value).output().unwrap())
    };
    let run = with("create --name k", "MCP_KEYS_PEPPER", &pepper);
    assert_eq!(run.code, 0, "{run:?}");
    let stored = fs::read(office.folder.path().join("keys.db")).unwrap();
    assert!(
        stored.windows(5).any(|part| part == b"2026."),
        "no code was stored"
    );

    for name in ["MCP_KEYS_PEPPER", "MCP_KEYS_PREVIOUS_PEPPERS"] {
        for value in ["x", "a:0f0f0f0f0f0f", &format!("a:{}zz", "0f".repeat(32))] {
            let run = with("list", name, value);
            assert_eq!(run.code, 2, "{run:?}");
            assert!(run.err.contains(name), "{run:?}");
            assert!(!run.err.contains("0f0f"), "{run:?}");
        }
    }
    let two = format!("{pepper}, 2025:{}", "1e".repeat(40));
    assert_eq!(with("list", "MCP_KEYS_PREVIOUS_PEPPERS", &two).code, 0);
    let twice = format!("{pepper},{pepper}");
    assert_eq!(with("list", "MCP_KEYS_PREVIOUS_PEPPERS", &twice).code, 2);
}
