//! A segment of the path, as in `/mcp/{key}`.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use http::Uri;
use http::request::Parts;

use super::{ExtractKey, Found};
use crate::key::Carrier;
use crate::key::KeyFormats;

/// Finds a key in a segment of the path and takes the segment out: behind the layer,
/// `/mcp/<key>/messages` is `/mcp/messages`.
///
/// For clients that can be given a URL and nothing else. A URL is written down in more places than
/// a header is: browser histories, proxies' access logs, monitoring. The layer keeps the key out of
/// everything behind it; what stands in front of it is yours to check.
///
/// A segment counts as a presented key when it starts with the prefix of an accepted format after
/// percent-decoding. Such segments are removed wherever they stand in the path, whether or not they
/// are good keys, but only one in its place, and that needed no decoding, can be one.
///
/// ```
/// use mcp_api_keys::extract::PathKey;
///
/// let template = PathKey::new("/mcp/{key}")?;
/// assert!(PathKey::new("/mcp").is_err());
/// # let _ = template;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct PathKey {
    /// What stands before the key, with the slash at its end.
    before: Box<str>,
    /// What must follow the key, with the slash at its start; may be empty.
    after: Box<str>,
}

impl PathKey {
    /// Keys in the place of `{key}`, a whole segment of `template`.
    ///
    /// # Errors
    ///
    /// If the template does not start with `/` or does not hold `/{key}` exactly once.
    pub fn new(template: &str) -> Result<Self, InvalidPathTemplate> {
        let (before, after) = template.split_once("{key}").ok_or(InvalidPathTemplate)?;
        let valid = before.starts_with('/')
            && before.ends_with('/')
            && (after.is_empty() || after.starts_with('/'))
            && !template.contains(['?', '#', '%'])
            && !before.contains(['{', '}'])
            && !after.contains(['{', '}']);
        if !valid {
            return Err(InvalidPathTemplate);
        }
        Ok(Self {
            before: before.into(),
            after: after.trim_end_matches('/').into(),
        })
    }

    /// Where in `path` a key is attempted.
    fn attempt(&self, path: &str, formats: &KeyFormats) -> Option<Range<usize>> {
        let rest = path.strip_prefix(&*self.before)?;
        let length = rest.find('/').unwrap_or(rest.len());
        let (segment, after) = rest.split_at_checked(length)?;
        let follows = after
            .strip_prefix(&*self.after)
            .is_some_and(|more| more.is_empty() || more.starts_with('/'));
        let start = self.before.len();
        (follows && is_attempt(segment, formats)).then_some(start..start + length)
    }
}

impl ExtractKey for PathKey {
    fn carrier(&self) -> Carrier {
        Carrier::Path
    }

    fn find<'r>(&self, head: &'r Parts, formats: &KeyFormats) -> Found<'r> {
        let path = head.uri.path();
        match self.attempt(path, formats).and_then(|at| path.get(at)) {
            None => Found::Nothing,
            Some(segment) if segment.contains('%') => Found::Malformed,
            Some(segment) => {
                let mut attempts = path.split('/').filter(|part| is_attempt(part, formats));
                match (attempts.next(), attempts.next()) {
                    // A second one would stay behind when the first is taken out.
                    (Some(_), Some(_)) => Found::Ambiguous,
                    _ => Found::Text(segment.as_bytes()),
                }
            }
        }
    }

    fn remove(&self, head: &mut Parts, formats: &KeyFormats) {
        // Wherever it stands: clients repeat the whole path behind `/.well-known/…`, for one.
        if let Some(clean) = without_attempts(&head.uri, formats) {
            head.uri = clean;
        }
    }
}

/// `uri` without any segment that counts as a presented key, wherever it stands.
///
/// For copies of the request's URI that a framework keeps beside it, in which a template may not
/// match because more, or less, of the path has been cut off.
pub(crate) fn without_attempts(uri: &Uri, formats: &KeyFormats) -> Option<Uri> {
    let path = uri.path();
    if !path.split('/').any(|segment| is_attempt(segment, formats)) {
        return None;
    }
    let segments = path.split('/');
    let kept: Vec<&str> = segments
        .filter(|segment| !is_attempt(segment, formats))
        .collect();
    Some(with_path(uri, kept.join("/")))
}

fn is_attempt(segment: &str, formats: &KeyFormats) -> bool {
    let decoded = percent_decode(segment);
    formats
        .iter()
        .any(|format| decoded.starts_with(format.prefix().as_bytes()))
}

/// `uri` with this path in place of its own.
fn with_path(uri: &Uri, mut path: String) -> Uri {
    if !path.starts_with('/') {
        path.insert(0, '/');
    }
    if let Some(query) = uri.query() {
        path.push('?');
        path.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    // A part of a valid path is a valid path; if not, the root shows nothing of the key.
    parts.path_and_query = path
        .parse()
        .ok()
        .or_else(|| Some(http::uri::PathAndQuery::from_static("/")));
    Uri::from_parts(parts).unwrap_or_default()
}

fn percent_decode(segment: &str) -> Cow<'_, [u8]> {
    if !segment.contains('%') {
        return Cow::Borrowed(segment.as_bytes());
    }
    let mut decoded = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let escaped = (byte == b'%')
            .then(|| tail.split_at_checked(2))
            .flatten()
            .and_then(|(digits, tail)| Some((hex_byte(digits)?, tail)));
        let (byte, tail) = escaped.unwrap_or((byte, tail));
        decoded.push(byte);
        rest = tail;
    }
    Cow::Owned(decoded)
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits).ok()?;
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hex.then(|| u8::from_str_radix(digits, 16).ok())?
}

/// A template without exactly one `{key}` segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidPathTemplate;

impl fmt::Display for InvalidPathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a path template must start with '/' and hold {key} once, as a whole segment")
    }
}

impl std::error::Error for InvalidPathTemplate {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "mcp_sk_ATgKlpEaBS64QGLizLFNWgSzNfDmYl2D0UvHLX";

    fn head(uri: &str) -> Parts {
        http::Request::builder()
            .uri(uri)
            .body(())
            .unwrap()
            .into_parts()
            .0
    }

    fn removed(template: &str, uri: &str) -> String {
        let mut head = head(uri);
        PathKey::new(template)
            .unwrap()
            .remove(&mut head, &KeyFormats::default());
        head.uri.to_string()
    }

    #[test]
    fn the_segment_is_cut_out_and_the_rest_kept() {
        for (template, uri, behind) in [
            ("/mcp/{key}", "/mcp/KEY", "/mcp"),
            ("/mcp/{key}", "/mcp/KEY/", "/mcp/"),
            ("/mcp/{key}", "/mcp/KEY?a=b&c", "/mcp?a=b&c"),
            ("/mcp/{key}", "/mcp/KEY/messages", "/mcp/messages"),
            ("/{key}/v2/mcp", "/KEY/v2/mcp", "/v2/mcp"),
            ("/{key}", "/KEY", "/"),
            (
                "/mcp/{key}",
                "http://example.test/mcp/KEY?x",
                "http://example.test/mcp?x",
            ),
            ("/mcp/{key}", "/.well-known/x/mcp/KEY", "/.well-known/x/mcp"),
            ("/mcp/{key}", "/mcp//KEY", "/mcp/"),
            ("/{key}/v2", "/KEY/v22", "/v22"),
            ("/mcp/{key}", "/other/path", "/other/path"),
        ] {
            let (uri, behind) = (uri.replace("KEY", KEY), behind.replace("KEY", KEY));
            assert_eq!(removed(template, &uri), behind, "{template} on {uri}");
        }
    }

    #[test]
    fn a_malformed_attempt_is_cut_out_as_well() {
        assert_eq!(removed("/mcp/{key}", "/mcp/mcp_sk_short"), "/mcp");
        assert_eq!(removed("/mcp/{key}", "/mcp/%6dcp_sk_x"), "/mcp");
        assert_eq!(removed("/mcp/{key}", "/mcp/messages"), "/mcp/messages");
    }

    #[test]
    fn two_keys_in_one_path_are_ambiguous_and_both_cut_out() {
        let template = PathKey::new("/mcp/{key}").unwrap();
        let formats = KeyFormats::default();
        let mut head = head(&format!("/mcp/{KEY}/{KEY}/x"));
        assert_eq!(template.find(&head, &formats), Found::Ambiguous);
        template.remove(&mut head, &formats);
        assert_eq!(head.uri, "/mcp/x");
    }

    #[test]
    fn templates_without_one_whole_key_segment_are_refused() {
        for template in [
            "",
            "/mcp",
            "mcp/{key}",
            "/mcp/x{key}",
            "/mcp/{key}x",
            "/{key}/{key}",
            "/{id}/{key}",
            "/a?{key}",
        ] {
            assert_eq!(
                PathKey::new(template).unwrap_err(),
                InvalidPathTemplate,
                "{template}"
            );
        }
    }

    proptest! {
        #[test]
        fn nothing_that_looks_like_a_key_stays_in_any_uri(tail in "[!-~]{0,40}") {
            if let Ok(uri) = format!("/mcp/{KEY}{tail}").parse::<Uri>() {
                let mut head = head("/");
                head.uri = uri;
                PathKey::new("/mcp/{key}").unwrap().remove(&mut head, &KeyFormats::default());
                prop_assert!(!head.uri.to_string().contains("BS64QGLi"));
            }
        }
    }
}
