//! Where results go, and what the command line says.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The folder for results, beside what cargo builds.
pub fn folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target"),
        PathBuf::from,
    );
    let folder = target.join("bench");
    fs::create_dir_all(&folder).expect("the target folder can be written");
    folder
}

/// Writes a result where programs find it.
pub fn write_json(name: &str, value: &Value) {
    let path = folder().join(name);
    let text = serde_json::to_string_pretty(value).expect("a value can be written");
    fs::write(&path, text + "\n").expect("the target folder can be written");
    println!("\nwritten: {}", path.display());
}

/// What stands on the command line, beside what cargo puts there.
#[derive(Debug)]
pub struct Arguments {
    words: Vec<String>,
}

impl Arguments {
    /// Reads them.
    pub fn read() -> Self {
        let words = std::env::args().skip(1).filter(|word| word != "--bench");
        Self {
            words: words.collect(),
        }
    }

    /// Whether this flag is given; it is taken away.
    pub fn flag(&mut self, name: &str) -> bool {
        let before = self.words.len();
        self.words.retain(|word| word != name);
        self.words.len() < before
    }

    /// The number behind this flag; both are taken away.
    pub fn number(&mut self, name: &str) -> Option<usize> {
        let at = self.words.iter().position(|word| word == name)?;
        let number = self.words.get(at + 1)?.parse().expect("a number");
        self.words.drain(at..at + 2);
        Some(number)
    }

    /// What is left: names.
    pub fn rest(self) -> Vec<String> {
        self.words
    }
}
