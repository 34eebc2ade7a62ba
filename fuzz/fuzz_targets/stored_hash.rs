//! Hashes that are taken over from elsewhere: the prefix, the handle and the hash, line by line.
//!
//! 1. They are taken over or refused as invalid, and nothing else.
//! 2. What is said of a refused one repeats no run of letters and digits that could be a hash.
//! 3. Nothing that is shown of the key does either.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::{ApiKeys, ErrorKind, NewKey};
use tokio::runtime::Runtime;

thread_local! {
    static KEYS: (Runtime, ApiKeys) = {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let keys = runtime.block_on(ApiKeys::builder(MemoryStore::new()).build()).unwrap();
        (runtime, keys)
    };
}

fn repeats(shown: &str, hash: &str) -> bool {
    let mut runs = shown.split(|c: char| !c.is_ascii_alphanumeric());
    runs.any(|run| run.len() >= 24 && hash.contains(run))
}

fuzz_target!(|text: &str| {
    let mut lines = text.splitn(3, '\n');
    let (Some(prefix), Some(handle), Some(hash)) = (lines.next(), lines.next(), lines.next())
    else {
        return;
    };
    // Prefix and handle may stand in what is shown, escaped where they are odd.
    let known = [prefix, handle];
    let plain = known.iter().all(|text| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    });
    let looks = plain && !known.iter().any(|text| repeats(text, hash));
    let repeats = |shown: &str| looks && repeats(shown, hash);
    KEYS.with(|(runtime, keys)| {
        let import = NewKey::named("taken over")
            .import(handle, hash)
            .prefix(prefix);
        assert!(!repeats(&format!("{import:?}")));
        match runtime.block_on(keys.manager().import(import)) {
            Ok(info) => {
                let shown = format!("{info:?}");
                assert!(!repeats(&shown), "{shown}");
                assert_eq!(
                    runtime.block_on(keys.manager().delete(info.id)).ok(),
                    Some(true)
                );
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
                let shown = format!("{error} {error:?}");
                assert!(!repeats(&shown), "{shown}");
            }
        }
    });
});
