//! The rules of the house, read from the source: which room may know which.
//!
//! Rooms stand on floors. A room uses rooms on strictly lower floors; rooms on one floor do not
//! know each other. `CONTRIBUTING.md` tells the rules in words.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Every room and its floor. A new room needs a place here.
const FLOORS: &[(&str, u32)] = &[
    ("clock", 0),
    ("error", 0),
    ("key", 1),
    ("alert", 2),
    ("audit", 2),
    ("context", 2),
    ("rejection", 2),
    ("usage", 2),
    ("client_ip", 3),
    ("event", 3),
    ("extract", 3),
    ("mcp", 3),
    ("policy", 3),
    ("signing", 3),
    ("store", 3),
    ("limit", 4),
    ("webhook", 4),
    ("rights", 4),
    ("live", 5),
    ("redis", 5),
    ("verify", 6),
    ("gate", 7),
    ("manager", 7),
    ("meter", 7),
    ("watch", 7),
    ("layer", 8),
    ("browser", 9),
    ("framework", 9),
    ("keys", 10),
    ("admin", 11),
    ("oauth", 11),
    ("testing", 12),
    ("manual", 13),
    ("lib", 13),
];

/// Crates that are known in one place only.
const KNOWN_IN: &[(&str, &[&str])] = &[
    ("tower_layer", &["layer/", "framework/axum.rs"]),
    (
        "tower_service",
        // How the client's connector is told which addresses a name has.
        &["layer/", "framework/axum.rs", "oauth/document/fetch.rs"],
    ),
    // In `framework/mod.rs` the names are those of its own modules.
    (
        "axum",
        &[
            "admin/",
            "browser/body.rs",
            "framework/axum.rs",
            "framework/mod.rs",
            "oauth/",
        ],
    ),
    ("tonic", &["framework/tonic.rs", "framework/mod.rs"]),
    ("rmcp", &["framework/rmcp.rs"]),
    ("redis", &["redis/"]),
    ("utoipa", &["admin/"]),
    ("sqlx", &["store/postgres/", "store/rows/", "store/sqlite/"]),
    ("governor", &["limit/"]),
    ("moka", &["verify/"]),
    ("argon2", &["verify/"]),
    ("base64ct", &["oauth/", "verify/", "webhook/"]),
    ("bcrypt", &["verify/"]),
    (
        "hmac",
        &[
            "mcp/session.rs",
            "oauth/seal.rs",
            "signing/",
            "verify/",
            "webhook/",
        ],
    ),
    ("arc_swap", &["live/"]),
    ("simdutf8", &["mcp/message.rs"]),
    ("getrandom", &["key/base62.rs"]),
    ("form_urlencoded", &["admin/", "oauth/params.rs"]),
    ("maud", &["admin/", "oauth/"]),
    ("url", &["oauth/"]),
    ("jiff", &["clock.rs"]),
    ("metrics", &["meter.rs"]),
];

struct SourceFile {
    /// Relative to `src/`, with forward slashes.
    path: String,
    /// The code before the tests, without comments.
    code: String,
}

impl SourceFile {
    fn room(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }
}

fn sources() -> Vec<SourceFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let relative = |file: &Path| {
        let path = file.strip_prefix(&root).unwrap();
        path.to_str().unwrap().replace('\\', "/")
    };
    files
        .iter()
        .filter(|file| file.file_name().unwrap() != "tests.rs")
        // The programs are crates of their own above the library; they can only use its front door.
        .filter(|file| !file.strip_prefix(&root).unwrap().starts_with("bin"))
        .map(|file| SourceFile {
            path: relative(file),
            code: code_of(&fs::read_to_string(file).unwrap()),
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The lines before the first test module, without comments.
fn code_of(text: &str) -> String {
    text.lines()
        .take_while(|line| *line != "#[cfg(test)]" && !line.starts_with("mod tests"))
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| line.split(" // ").next().unwrap_or(line))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The rooms that a file names: in `crate::room`, and in `use crate::{room, …}`.
fn rooms_named(code: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut rooms = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let group = group.split("};").next().unwrap_or(group);
            let names = group
                .split(',')
                .map(|item| item.trim().split("::").next().unwrap_or(""));
            rooms.extend(names.map(str::to_owned));
        } else {
            rooms.insert(rest.chars().take_while(|&c| is_name(c)).collect());
        }
    }
    // What is left are names that the front door passes on, such as `crate::Error`.
    rooms.retain(|name| name.starts_with(char::is_lowercase));
    rooms
}

#[test]
fn every_room_has_a_floor_and_every_floor_entry_a_room() {
    let rooms: BTreeSet<String> = sources()
        .iter()
        .map(|file| file.room().to_owned())
        .collect();
    let listed: BTreeSet<String> = FLOORS.iter().map(|(room, _)| (*room).to_owned()).collect();
    assert_eq!(rooms, listed);
}

#[test]
fn rooms_use_only_rooms_on_lower_floors() {
    let floors: BTreeMap<&str, u32> = FLOORS.iter().copied().collect();
    let mut seen = 0;
    for file in sources() {
        let room = file.room();
        for used in rooms_named(&file.code) {
            if used == room {
                continue;
            }
            let Some(floor) = floors.get(used.as_str()) else {
                panic!("{} names crate::{used}, which is no room", file.path);
            };
            seen += 1;
            assert!(
                *floor < floors[room],
                "{} ({room}) uses {used} above or beside it",
                file.path
            );
        }
    }
    assert!(
        seen > 50,
        "the scan found only {seen} uses: it reads the source wrongly"
    );
}

#[test]
fn no_room_takes_names_from_the_front_door() {
    for file in sources().iter().filter(|file| file.path != "lib.rs") {
        let named = file
            .code
            .match_indices("crate::")
            .filter(|(at, _)| file.code[at + "crate::".len()..].starts_with(char::is_uppercase));
        assert_eq!(named.count(), 0, "{} uses a re-export of lib.rs", file.path);
    }
}

#[test]
fn foreign_crates_are_known_in_one_place() {
    for file in sources() {
        for (name, places) in KNOWN_IN {
            let named = [format!("{name}::"), format!("use {name};")]
                .iter()
                .any(|text| contains_word(&file.code, text));
            let allowed = places.iter().any(|place| file.path.starts_with(place));
            assert!(!named || allowed, "{} names the crate {name}", file.path);
        }
    }
}

fn contains_word(code: &str, text: &str) -> bool {
    code.match_indices(text).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
    })
}

#[test]
fn time_is_read_in_one_file_and_randomness_in_one() {
    for file in sources() {
        for call in ["SystemTime::now", "Instant::now"] {
            assert!(
                !file.code.contains(call) || file.path == "clock.rs",
                "{} reads the time",
                file.path
            );
        }
    }
}

#[test]
fn there_are_no_rooms_without_a_subject() {
    for file in sources() {
        for part in file.path.trim_end_matches(".rs").split('/') {
            let vague = [
                "util", "utils", "common", "helpers", "types", "errors", "misc", "prelude",
            ];
            assert!(!vague.contains(&part), "{} has no subject", file.path);
        }
    }
}

#[test]
fn files_hold_one_idea() {
    for file in sources() {
        let lines = file.code.lines().count();
        assert!(
            lines <= 400,
            "{} has {lines} lines of code before its tests",
            file.path
        );
    }
}

#[test]
fn the_request_path_cannot_panic_by_accident() {
    let path = [
        "alert",
        "browser",
        "client_ip",
        "extract",
        "gate",
        "layer",
        "limit",
        "live",
        "mcp",
        "oauth",
        "policy",
        "redis",
        "signing",
        "usage",
        "verify",
        "watch",
        "webhook",
    ];
    for file in sources().iter().filter(|file| path.contains(&file.room())) {
        for call in [
            ".unwrap()",
            ".expect(",
            "panic!(",
            "todo!(",
            "unimplemented!(",
            "unreachable!(",
        ] {
            let count = file.code.matches(call).count();
            // Wiring a layer with a bad server name is a mistake found at start.
            let allowed = usize::from(file.path == "layer/mod.rs" && call == "panic!(");
            assert!(count <= allowed, "{} calls {call}", file.path);
        }
    }
}

#[test]
fn the_front_door_forbids_unsafe_code() {
    let manifest = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"forbid\""));
}
