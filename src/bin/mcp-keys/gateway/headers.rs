//! What is changed of the headers on the way through.
//!
//! 1. Headers that belong to one connection, and those that `Connection` names, end here, in both
//!    directions. `TE: trailers` is said anew, so that trailers find their way.
//! 2. Who is calling is written by the gateway alone: every inbound `X-MCP-Key-…` is removed, in
//!    spellings with underscores too, since many servers cannot tell `_` from `-`.
//! 3. Where a request came from (`X-Forwarded-…`, `Forwarded`, `X-Real-IP`) is believed from trusted
//!    proxies and removed otherwise. The connection's own address is added to what stays.
//! 4. What was judged is all that there is: `Content_Type`, `Mcp_Session_Id` and the like are removed,
//!    and trailers hold none of them.
//! 5. No credential that the layer knows is passed on: it has taken the key out by then, and
//!    trailers get none in.

use std::net::IpAddr;

use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE,
    COOKIE, EXPECT, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, REFERER, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use mcp_api_keys::KeyContext;
use mcp_api_keys::key::{Carrier, Network, ScopeGrant};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const REAL_IP: &str = "x-real-ip";
const FORWARDED_ALL: &str = "x-forwarded-";
const IDENTITY: &str = "x-mcp-key-";

const ID: HeaderName = HeaderName::from_static("x-mcp-key-id");
const HANDLE: HeaderName = HeaderName::from_static("x-mcp-key-handle");
const NAME: HeaderName = HeaderName::from_static("x-mcp-key-name");
const OWNER: HeaderName = HeaderName::from_static("x-mcp-key-owner");
const SCOPES: HeaderName = HeaderName::from_static("x-mcp-key-scopes");
const ACCESS: HeaderName = HeaderName::from_static("x-mcp-key-access");

/// The connection that a request came on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Via {
    pub(super) peer: IpAddr,
    pub(super) tls: bool,
}

/// Whose word on a request's origin counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Trust {
    pub(super) proxies: Vec<Network>,
    /// The header in which they name the caller, beside the usual ones.
    pub(super) header: Option<HeaderName>,
}

impl Trust {
    fn believes(&self, peer: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(peer))
    }
}

/// Makes the head of an admitted request fit for the server. The body's exact length is `length`,
/// if it is known.
pub(super) fn prepare(
    head: &mut Parts,
    key: &KeyContext,
    via: Via,
    trust: &Trust,
    length: Option<u64>,
) {
    let origin = Origin::of(head, via, trust);
    let wants_trailers = accepts_trailers(&head.headers);
    let headers = &mut head.headers;
    remove_hop_by_hop(headers);
    for name in [HOST, EXPECT, PROXY_AUTHORIZATION] {
        headers.remove(name);
    }
    if key.carrier() == Carrier::Path {
        // A page under the URL with the key may have named it as where it came from.
        headers.remove(REFERER);
    }
    remove_matching(headers, |name| {
        name.starts_with(IDENTITY) || claims_origin(name, trust)
    });
    remove_second_spellings(headers);
    if wants_trailers {
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    fix_length(headers, length);
    join_cookies(headers);
    origin.write(headers);
    identify(headers, key);
}

/// Makes the head of a request fit for a key that may not use everything: the body is what it was
/// judged as, and the answer can be read.
pub(super) fn restrict(headers: &mut HeaderMap) {
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.remove(CONTENT_ENCODING);
    if headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
}

/// Takes out of an answer what belongs to the server's connection.
pub(super) fn clean_answer(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    headers.remove(PROXY_AUTHENTICATE);
}

/// Takes out of a request's trailers what no trailer may say.
pub(super) fn clean_trailers(trailers: &mut HeaderMap) {
    remove_hop_by_hop(trailers);
    for name in [
        AUTHORIZATION,
        API_KEY,
        CONTENT_LENGTH,
        COOKIE,
        HOST,
        PROXY_AUTHORIZATION,
    ] {
        trailers.remove(name);
    }
    let nobody = Trust::default();
    remove_matching(trailers, |name| {
        name.starts_with(IDENTITY) || says_what_it_is(name) || claims_origin(name, &nobody)
    });
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        TE,
        TRANSFER_ENCODING,
        UPGRADE,
    ] {
        headers.remove(name);
    }
}

/// Removes the headers whose name, with hyphens for underscores, is one to remove.
fn remove_matching(headers: &mut HeaderMap, remove: impl Fn(&str) -> bool) {
    let matching: Vec<HeaderName> = headers
        .keys()
        .filter(|name| match name.as_str() {
            plain if !plain.contains('_') => remove(plain),
            spelt => remove(&spelt.replace('_', "-")),
        })
        .cloned()
        .collect();
    for name in matching {
        headers.remove(name);
    }
}

/// Whether the header says how a message is to be read, or of which session it is.
fn says_what_it_is(name: &str) -> bool {
    name.starts_with("content-") || name.starts_with("mcp-")
}

/// What was judged is the header with hyphens; a server may take the other one.
fn remove_second_spellings(headers: &mut HeaderMap) {
    let second: Vec<HeaderName> = headers
        .keys()
        .filter(|name| {
            let name = name.as_str();
            name.contains('_') && says_what_it_is(&name.replace('_', "-"))
        })
        .cloned()
        .collect();
    for name in second {
        headers.remove(name);
    }
}

fn claims_origin(name: &str, trust: &Trust) -> bool {
    name.starts_with(FORWARDED_ALL)
        || name == FORWARDED.as_str()
        || name == REAL_IP
        || trust.header.as_ref().is_some_and(|header| name == header)
}

fn accepts_trailers(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(TE).iter();
    let mut codings = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    codings.any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}

/// A length that the body does not have would put the server's reading out of step.
fn fix_length(headers: &mut HeaderMap, length: Option<u64>) {
    if headers.remove(CONTENT_LENGTH).is_some()
        && let Some(length) = length
    {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}

/// HTTP/2 lets a client send one line for each cookie; HTTP/1.1 wants one line.
fn join_cookies(headers: &mut HeaderMap) {
    let lines: Vec<&[u8]> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if lines.len() > 1
        && let Ok(line) = HeaderValue::from_bytes(&lines.join(&b"; "[..]))
    {
        headers.insert(COOKIE, line);
    }
}

/// Where a request came from, as the server is told.
struct Origin {
    kept: Vec<(HeaderName, HeaderValue)>,
    forwarded_for: HeaderValue,
    forwarded: Option<HeaderValue>,
    host: Option<HeaderValue>,
    proto: &'static str,
}

impl Origin {
    fn of(head: &Parts, via: Via, trust: &Trust) -> Self {
        let peer = via.peer.to_canonical();
        let (mut kept, mut before, mut forwarded) = (Vec::new(), None, None);
        if trust.believes(peer) {
            kept = claims(&head.headers, trust);
            before = joined(&head.headers, &FORWARDED_FOR);
            forwarded = joined(&head.headers, &FORWARDED).map(|list| match peer {
                IpAddr::V4(peer) => format!("{list}, for={peer}"),
                IpAddr::V6(peer) => format!("{list}, for=\"[{peer}]\""),
            });
        }
        let forwarded_for = match before {
            Some(list) => format!("{list}, {peer}"),
            None => peer.to_string(),
        };
        let host = match head.uri.authority() {
            // Over HTTP/2 there is no `Host`.
            Some(authority) => HeaderValue::try_from(authority.as_str()).ok(),
            None => head.headers.get(HOST).cloned(),
        };
        Self {
            kept,
            forwarded_for: HeaderValue::try_from(forwarded_for)
                .unwrap_or_else(|_| HeaderValue::from_static("unknown")),
            forwarded: forwarded.and_then(|list| HeaderValue::try_from(list).ok()),
            host,
            proto: if via.tls { "https" } else { "http" },
        }
    }

    fn write(self, headers: &mut HeaderMap) {
        for (name, value) in self.kept {
            headers.append(name, value);
        }
        headers.insert(FORWARDED_FOR, self.forwarded_for);
        if let Some(forwarded) = self.forwarded {
            headers.insert(FORWARDED, forwarded);
        }
        if let (false, Some(host)) = (headers.contains_key(FORWARDED_HOST), self.host) {
            headers.insert(FORWARDED_HOST, host);
        }
        if !headers.contains_key(FORWARDED_PROTO) {
            headers.insert(FORWARDED_PROTO, HeaderValue::from_static(self.proto));
        }
    }
}

/// What a trusted proxy says of a request's origin, in the spelling that proxies use.
fn claims(headers: &HeaderMap, trust: &Trust) -> Vec<(HeaderName, HeaderValue)> {
    headers
        .iter()
        .filter(|(name, _)| claims_origin(name.as_str(), trust))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines: Vec<&str> = headers
        .get_all(name)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .collect();
    let list = lines.join(", ");
    (!list.trim().is_empty()).then_some(list)
}

/// Says who is calling.
fn identify(headers: &mut HeaderMap, key: &KeyContext) {
    let scopes: Vec<&str> = key.scopes().iter().map(ScopeGrant::as_str).collect();
    for (name, value) in [
        (ID, Some(key.key_id().to_string())),
        (HANDLE, Some(key.handle().to_owned())),
        (NAME, Some(percent_encode(key.name()))),
        (
            OWNER,
            key.owner().map(|owner| percent_encode(owner.as_str())),
        ),
        (SCOPES, Some(scopes.join(" "))),
        (ACCESS, Some(key.access().to_string())),
    ] {
        // Nothing of it can fail; if it did, the server would see one fact less, never a wrong one.
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(name, value);
        }
    }
}

/// Printable ASCII as it is, everything else as `%XX` of its UTF-8, and so is the percent sign, so
/// that decoding always gives the name. A space at either end would be lost and is encoded too.
fn percent_encode(text: &str) -> String {
    let last = text.len().saturating_sub(1);
    let mut encoded = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b' ' if at > 0 && at < last => encoded.push(' '),
            b'!'..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn head(lines: &[(&'static str, &'static str)]) -> Parts {
        let (mut head, ()) = http::Request::new(()).into_parts();
        head.headers = map(lines);
        head
    }

    fn origin(lines: &[(&'static str, &'static str)], peer: &str, trust: &Trust) -> HeaderMap {
        let peer = peer.parse().unwrap();
        let mut head = head(lines);
        let origin = Origin::of(&head, Via { peer, tls: true }, trust);
        remove_matching(&mut head.headers, |name| claims_origin(name, trust));
        origin.write(&mut head.headers);
        head.headers
    }

    #[test]
    fn what_belongs_to_one_connection_goes_and_what_connection_names() {
        let mut headers = map(&[
            ("connection", "keep-alive, X-Own"),
            ("connection", "x-other"),
            ("keep-alive", "timeout=5"),
            ("x-own", "1"),
            ("x-other", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("proxy-connection", "close"),
            ("x-stays", "1"),
        ]);
        remove_hop_by_hop(&mut headers);
        assert_eq!(headers, map(&[("x-stays", "1")]));
    }

    #[test]
    fn strangers_have_no_say_in_where_they_come_from() {
        let lines = [
            ("x-forwarded-for", "1.2.3.4"),
            ("x_forwarded_for", "1.2.3.4"),
            ("x-forwarded-port", "1"),
            ("forwarded", "for=1.2.3.4"),
            ("x-real-ip", "1.2.3.4"),
            ("host", "gateway.test"),
        ];
        let headers = origin(&lines, "::ffff:203.0.113.7", &Trust::default());
        let expected = map(&[
            ("host", "gateway.test"),
            ("x-forwarded-for", "203.0.113.7"),
            ("x-forwarded-host", "gateway.test"),
            ("x-forwarded-proto", "https"),
        ]);
        assert_eq!(headers, expected);
    }

    #[test]
    fn the_word_of_a_trusted_proxy_is_kept_and_the_proxy_added() {
        let trust = Trust {
            proxies: vec!["2001:db8::/32".parse().unwrap()],
            header: None,
        };
        let lines = [
            ("x-forwarded-for", "1.2.3.4, 5.6.7.8"),
            ("x-forwarded-for", "10.0.0.9"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "front.test"),
            ("forwarded", "for=1.2.3.4"),
            ("x-real-ip", "1.2.3.4"),
        ];
        let headers = origin(&lines, "2001:db8::1", &trust);
        let expected = map(&[
            ("x-forwarded-for", "1.2.3.4, 5.6.7.8, 10.0.0.9, 2001:db8::1"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "front.test"),
            ("forwarded", r#"for=1.2.3.4, for="[2001:db8::1]""#),
            ("x-real-ip", "1.2.3.4"),
        ]);
        assert_eq!(headers, expected);
    }

    #[test]
    fn trailers_hold_neither_credentials_nor_identity_nor_origin() {
        let mut trailers = map(&[
            ("authorization", "Bearer x"),
            ("x-api-key", "x"),
            ("x-mcp-key-id", "x"),
            ("X_MCP_Key_Owner", "x"),
            ("x-forwarded-for", "x"),
            ("content-type", "x"),
            ("mcp_session_id", "x"),
            ("x-checksum", "1"),
        ]);
        clean_trailers(&mut trailers);
        assert_eq!(trailers, map(&[("x-checksum", "1")]));
    }

    #[test]
    fn what_was_judged_has_one_spelling() {
        let mut headers = map(&[
            ("content-type", "application/json"),
            ("content_type", "text/plain"),
            ("Content_Encoding", "gzip"),
            ("mcp-session-id", "a"),
            ("Mcp_Session-Id", "b"),
            ("my_content_type", "1"),
        ]);
        remove_second_spellings(&mut headers);
        let kept = [
            ("content-type", "application/json"),
            ("mcp-session-id", "a"),
            ("my_content_type", "1"),
        ];
        assert_eq!(headers, map(&kept));
    }

    #[test]
    fn the_body_of_a_restricted_key_is_what_it_was_judged_as() {
        let mut headers = map(&[
            ("content-type", "application/json; charset=utf-7"),
            ("content-type", "application/x-www-form-urlencoded"),
            ("content-encoding", "identity"),
            ("accept-encoding", "gzip, br"),
        ]);
        restrict(&mut headers);
        let expected = [
            ("content-type", "application/json"),
            ("accept-encoding", "identity"),
        ];
        assert_eq!(headers, map(&expected));
        let mut headers = HeaderMap::new();
        restrict(&mut headers);
        assert_eq!(headers, map(&[("accept-encoding", "identity")]));
    }

    #[test]
    fn names_are_readable_where_they_can_be_and_decode_to_themselves() {
        for (name, encoded) in [
            ("ci-bot 2", "ci-bot 2"),
            ("100%", "100%25"),
            ("Zoë", "Zo%C3%AB"),
            (" x ", "%20x%20"),
            ("a\r\nb", "a%0D%0Ab"),
            ("", ""),
        ] {
            assert_eq!(percent_encode(name), encoded);
        }
    }

    #[test]
    fn a_length_is_passed_on_only_if_the_body_has_it() {
        for (length, kept) in [(Some(3), Some("3")), (None, None)] {
            let mut headers = map(&[("content-length", "7"), ("content-length", "3")]);
            fix_length(&mut headers, length);
            let value = headers
                .get(CONTENT_LENGTH)
                .map(|value| value.to_str().unwrap());
            assert_eq!(value, kept);
        }
        let mut headers = HeaderMap::new();
        fix_length(&mut headers, Some(3));
        assert!(headers.is_empty());
    }

    #[test]
    fn cookies_become_one_line() {
        let mut headers = map(&[("cookie", "a=1"), ("cookie", "b=2")]);
        join_cookies(&mut headers);
        assert_eq!(headers, map(&[("cookie", "a=1; b=2")]));
    }
}
