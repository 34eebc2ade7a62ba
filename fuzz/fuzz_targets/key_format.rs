//! Texts that are presented as keys.
//!
//! 1. An accepted text is of visible ASCII, starts with the prefix of its format and holds its handle.
//! 2. What stands around a key, or one character more or less, is part of another text: with a checksum
//!    none of these is accepted.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mcp_api_keys::KeyFormat;

static FORMATS: LazyLock<[KeyFormat; 3]> = LazyLock::new(|| {
    [
        KeyFormat::default(),
        KeyFormat::new("old_").unwrap().without_checksum(),
        KeyFormat::segmented("ok1").unwrap(),
    ]
});

fuzz_target!(|text: &[u8]| {
    for (number, format) in FORMATS.iter().enumerate() {
        let Ok(parsed) = format.parse(text) else {
            continue;
        };
        let written = std::str::from_utf8(text).unwrap();
        assert!(written.bytes().all(|byte| byte.is_ascii_graphic()));
        assert!(written.starts_with(format.prefix()));
        assert!(written.contains(parsed.handle()));
        if number == 0 {
            for around in [" ", "\t", "\n", "A"] {
                assert!(
                    format
                        .parse(format!("{around}{written}").as_bytes())
                        .is_err()
                );
                assert!(
                    format
                        .parse(format!("{written}{around}").as_bytes())
                        .is_err()
                );
            }
            assert!(format.parse(&text[..text.len() - 1]).is_err());
        }
    }
});
