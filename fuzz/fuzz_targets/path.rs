//! Keys in paths.
//!
//! 1. What is found is one whole segment, which starts with a prefix.
//! 2. When it has been taken out, no segment of the path counts as a key any more, and the query is as
//!    it was.

#![no_main]

use std::sync::LazyLock;

use http::{Request, Uri};
use libfuzzer_sys::fuzz_target;
use mcp_api_keys::KeyFormat;
use mcp_api_keys::extract::{ExtractKey, Found, PathKey};
use mcp_api_keys::key::KeyFormats;

static TEMPLATES: LazyLock<[PathKey; 2]> = LazyLock::new(|| {
    [
        PathKey::new("/mcp/{key}").unwrap(),
        PathKey::new("/{key}/mcp").unwrap(),
    ]
});
static FORMATS: LazyLock<KeyFormats> = LazyLock::new(|| KeyFormats::new(KeyFormat::default()));

fuzz_target!(|text: &[u8]| {
    let Ok(uri) = Uri::try_from(text) else {
        return;
    };
    let (mut head, ()) = Request::new(()).into_parts();
    head.uri = uri.clone();
    let prefix = FORMATS.issued().prefix().as_bytes();
    for template in &*TEMPLATES {
        if let Found::Text(found) = template.find(&head, &FORMATS) {
            assert!(found.starts_with(prefix));
            let mut segments = uri.path().split('/');
            assert!(segments.any(|segment| segment.as_bytes() == found));
        }
    }
    let [template, _] = &*TEMPLATES;
    template.remove(&mut head, &FORMATS);
    assert!(
        !head
            .uri
            .path()
            .split('/')
            .any(|part| part.as_bytes().starts_with(prefix)),
        "{}",
        head.uri
    );
    assert_eq!(head.uri.query(), uri.query());
});
