//! Bodies of the admin API.
//!
//! 1. What is accepted is JSON, and an object.
//! 2. What is said of a refused body repeats no run of letters and digits that could be a secret.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp_api_keys::testing::admin::read_as_each;
use serde_json::value::RawValue;

fuzz_target!(|body: &[u8]| {
    for outcome in read_as_each(body) {
        match outcome {
            Ok(()) => {
                let value: &RawValue = serde_json::from_slice(body).unwrap();
                assert!(value.get().starts_with('{'));
            }
            Err(said) => {
                let runs = said.split(|c: char| !c.is_ascii_alphanumeric());
                assert!(runs.map(str::len).max() < Some(24), "{said}");
            }
        }
    }
});
