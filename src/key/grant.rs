//! What a connection was granted, and the refresh tokens it is renewed by.
//!
//! 1. A refresh token is `mrt_`, the key's digits, a root and a secret: 256 random bits each. All
//!    tokens of one connection have the same root; each renewal draws the next secret.
//! 2. Stored are hashes only, of the root and of the newest secret.
//! 3. Who knows the root holds a token of this connection, or held one. So a right root with a secret
//!    that is not the newest one tells of a token that was used before, and nobody can bring that
//!    about who only knows the key's id.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::digest::SecretDigest;
use super::{KeyId, base62};
use crate::clock::Timestamp;

const PREFIX: &str = "mrt_";
const KEY_DIGITS: usize = 22;
const RANDOM: usize = 43;
const LENGTH: usize = PREFIX.len() + KEY_DIGITS + 1 + RANDOM + 1 + RANDOM;
const ROOT: &str = "refresh-root";
const SECRET: &str = "refresh-secret";

/// How a [connection](super::Connection) that was made by OAuth goes on: for what resource, how long
/// its tokens live, and by which refresh token it is renewed.
///
/// It holds hashes and is kept with the record alone: nothing that shows a key shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Grant {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource: Option<String>,
    access_ms: u64,
    refresh_ms: u64,
    /// Beyond this no renewal carries the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends_at: Option<Timestamp>,
    root: SecretDigest,
    secret: SecretDigest,
    renewals: u64,
}

impl Grant {
    /// A grant that is renewed by `token` next. Lifetimes are those of access and refresh tokens.
    pub(crate) fn new(
        token: &RefreshToken,
        resource: Option<String>,
        lifetimes: (Duration, Duration),
        ends_at: Option<Timestamp>,
    ) -> Self {
        Self {
            resource,
            access_ms: millis(lifetimes.0),
            refresh_ms: millis(lifetimes.1),
            ends_at,
            root: SecretDigest::of(ROOT, token.root()),
            secret: SecretDigest::of(SECRET, token.secret()),
            renewals: 0,
        }
    }

    /// The resource that the tokens are for: the URL of an MCP server.
    pub fn resource(&self) -> Option<&str> {
        self.resource.as_deref()
    }

    /// How long an access token lives.
    pub fn access_lifetime(&self) -> Duration {
        Duration::from_millis(self.access_ms)
    }

    /// How long a refresh token lives, and so for how long the connection may be left unused.
    pub fn refresh_lifetime(&self) -> Duration {
        Duration::from_millis(self.refresh_ms)
    }

    /// From when on the connection is refused, however often it is renewed; nothing if renewals may
    /// go on without end.
    pub fn ends_at(&self) -> Option<Timestamp> {
        self.ends_at
    }

    /// How often it was renewed.
    pub fn renewals(&self) -> u64 {
        self.renewals
    }

    /// Sets the end that no renewal carries it beyond.
    pub(crate) fn set_end(&mut self, end: Option<Timestamp>) {
        self.ends_at = end;
    }

    /// When a refresh token that is made now ends, and the connection with it.
    pub(crate) fn refresh_end(&self, now: Timestamp) -> Timestamp {
        let end = now.saturating_add(self.refresh_lifetime());
        self.ends_at.map_or(end, |last| last.min(end))
    }

    /// When an access token that is made now ends: never after the refresh token made with it.
    pub(crate) fn access_end(&self, now: Timestamp) -> Timestamp {
        let end = now.saturating_add(self.access_lifetime());
        end.min(self.refresh_end(now))
    }

    /// Whether `token` is or was one of this connection.
    pub(crate) fn has_made(&self, token: &RefreshToken) -> bool {
        self.root.is_of(ROOT, token.root())
    }

    /// Whether `token` is the one to be presented next.
    pub(crate) fn awaits(&self, token: &RefreshToken) -> bool {
        self.has_made(token) && self.secret.is_of(SECRET, token.secret())
    }

    /// Awaits `next` from now on.
    pub(crate) fn renew(&mut self, next: &RefreshToken) {
        self.secret = SecretDigest::of(SECRET, next.secret());
        self.renewals = self.renewals.saturating_add(1);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A refresh token in clear text. It wipes itself.
pub(crate) struct RefreshToken(Zeroizing<String>);

impl RefreshToken {
    /// The first one of the connection `key`.
    pub(crate) fn first(key: KeyId) -> Self {
        let root = Zeroizing::new(base62::random::<RANDOM>());
        Self::written(key, std::str::from_utf8(&*root).unwrap_or_default())
    }

    /// The one after this.
    pub(crate) fn next(&self) -> Self {
        Self::written(self.key(), self.root())
    }

    fn written(key: KeyId, root: &str) -> Self {
        // Long enough from the start, so that growing never leaves a copy behind.
        let mut text = Zeroizing::new(String::with_capacity(LENGTH));
        text.push_str(PREFIX);
        text.push_str(key.to_string().strip_prefix("key_").unwrap_or_default());
        text.push('_');
        text.push_str(root);
        text.push('_');
        let secret = Zeroizing::new(base62::random::<RANDOM>());
        text.extend(secret.iter().copied().map(char::from));
        Self(text)
    }

    /// Reads a presented token; nothing if the text is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(PREFIX)?;
        let (key, rest) = rest.split_once('_')?;
        let (root, secret) = rest.split_once('_')?;
        let is_random = |part: &str| part.len() == RANDOM && base62::is_base62(part.as_bytes());
        if key.len() != KEY_DIGITS || !is_random(root) || !is_random(secret) {
            return None;
        }
        format!("key_{key}").parse::<KeyId>().ok()?;
        Some(Self(Zeroizing::new(text.to_owned())))
    }

    /// The key of the connection that it claims to be of.
    pub(crate) fn key(&self) -> KeyId {
        let digits = self.part(PREFIX.len(), KEY_DIGITS);
        let parsed = format!("key_{digits}").parse();
        parsed.unwrap_or(KeyId::from_u128(0))
    }

    fn root(&self) -> &str {
        self.part(PREFIX.len() + KEY_DIGITS + 1, RANDOM)
    }

    fn secret(&self) -> &str {
        self.part(LENGTH - RANDOM, RANDOM)
    }

    fn part(&self, start: usize, length: usize) -> &str {
        self.0.get(start..start + length).unwrap_or_default()
    }

    /// The whole token.
    pub(crate) fn expose_secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KeyFormat, KeyFormats};

    fn token() -> RefreshToken {
        RefreshToken::first(KeyId::generate(Timestamp::from_millis(1_785_232_800_000)))
    }

    fn grant(token: &RefreshToken) -> Grant {
        let lifetimes = (Duration::from_secs(60), Duration::from_secs(600));
        Grant::new(token, None, lifetimes, None)
    }

    #[test]
    fn a_token_survives_printing_and_parsing() {
        let token = token();
        assert_eq!(token.expose_secret().len(), LENGTH);
        let parsed = RefreshToken::parse(token.expose_secret()).unwrap();
        assert_eq!(parsed.key(), token.key());
        assert_eq!(parsed.root(), token.root());
        assert_eq!(parsed.secret(), token.secret());
        assert_ne!(token.root(), token.secret());
    }

    #[test]
    fn other_texts_are_no_tokens() {
        let text = token().expose_secret().to_owned();
        let stretched = text.replacen('_', "__", 2);
        let (head, tail) = text.split_at(text.len() - 1);
        let others = [
            String::new(),
            head.to_owned(),
            format!("{text}0"),
            format!("{head}-"),
            format!("{head}_"),
            text.replacen("mrt_", "MRT_", 1),
            text.replacen("mrt_", "", 1),
            text.replacen(&text[4..26], &"z".repeat(22), 1),
            stretched,
            format!(" {text}"),
            tail.to_owned(),
        ];
        for other in others {
            assert!(RefreshToken::parse(&other).is_none(), "{other}");
        }
    }

    #[test]
    fn only_the_newest_secret_is_awaited_and_a_foreign_root_is_not_known() {
        let first = token();
        let mut grant = grant(&first);
        assert!(grant.awaits(&first));
        let second = first.next();
        grant.renew(&second);
        assert!(grant.awaits(&second) && !grant.awaits(&first));
        assert!(grant.has_made(&first) && grant.has_made(&second));
        let foreign = RefreshToken::first(first.key());
        assert!(!grant.has_made(&foreign) && !grant.awaits(&foreign));
        assert_eq!(grant.renewals(), 1);
    }

    #[test]
    fn no_token_outlives_the_end_that_was_set() {
        let mut grant = grant(&token());
        let at = Timestamp::from_millis;
        assert_eq!(grant.refresh_end(at(1)), at(600_001));
        assert_eq!(grant.access_end(at(1)), at(60_001));
        grant.set_end(Some(at(30_000)));
        assert_eq!(grant.refresh_end(at(1)), at(30_000));
        assert_eq!(grant.access_end(at(1)), at(30_000));
    }

    #[test]
    fn no_format_of_keys_takes_a_refresh_token_for_a_key() {
        let text = token();
        let text = text.expose_secret();
        for prefix in ["mrt_", "mr", &text[..27], &text[..32]] {
            let format = KeyFormat::new(prefix).unwrap();
            let formats = KeyFormats::new(format.clone())
                .accept(format.without_checksum())
                .accept(KeyFormat::segmented(prefix).unwrap());
            assert!(formats.parse(text.as_bytes()).is_err(), "{prefix}");
        }
    }

    #[test]
    fn neither_shows_what_it_holds_nor_stores_it_in_clear() {
        let token = token();
        let grant = grant(&token);
        let shown = format!(
            "{token:?} {grant:?} {}",
            serde_json::to_string(&grant).unwrap()
        );
        for part in [token.root(), token.secret()] {
            for run in part.as_bytes().windows(8) {
                assert!(!shown.contains(std::str::from_utf8(run).unwrap()));
            }
        }
        let stored = serde_json::to_string(&grant).unwrap();
        assert_eq!(serde_json::from_str::<Grant>(&stored).unwrap(), grant);
    }
}
