//! Events, posted to a URL and signed as [Standard Webhooks](https://www.standardwebhooks.com) says.
//!
//! 1. A message is the JSON of an [event](crate::event), with the headers `webhook-id`,
//!    `webhook-timestamp` and `webhook-signature`. Its id is the event's, the same in every attempt, so
//!    that a receiver can tell a repetition.
//! 2. Messages are sent one after the other, in order. One that is not taken (by a status of 2xx, in
//!    time) is tried again after a pause that grows and has some chance in it; those after it wait.
//! 3. What was tried often enough, or finds no room while it waits, is a [dead letter](crate::store::DeadLetter).
//!    The last thousand are kept in a [ledger](crate::ApiKeysBuilder::letter_ledger), where
//!    [`KeyManager::dead_letters`](crate::KeyManager::dead_letters) reads them.
//! 4. Requests and managers never wait for it.
//!
//! Messages that wait are in memory: those of a process that ends are lost. The audit trail and the list
//! of alerts have what they told.
//!
//! # Where the URL leads
//!
//! This process can reach what its users cannot. So the URL is for the operator to set, and never for
//! the holder of a key. It must be `https`, but for a loopback address; redirections are not followed,
//! and what the receiver answers is shown to nobody. An address in a private network is accepted,
//! because many receivers are in one: whoever takes URLs from others has to check where they lead.

mod client;
mod courier;
mod secret;

use std::time::Duration;

use http::Uri;
use http::uri::Scheme;

pub(crate) use self::courier::Courier;
pub use self::courier::WebhookStats;
pub use self::secret::WebhookSecret;
use crate::error::Error;

/// Where to post events, and how.
///
/// ```
/// use mcp_api_keys::webhook::{Webhook, WebhookSecret};
///
/// let secret: WebhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse()?;
/// let webhook = Webhook::new("https://hooks.example/keys", secret)?.only(["alert.", "key.revoked"]);
/// # let _ = webhook;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Webhook {
    url: Uri,
    secret: WebhookSecret,
    kinds: Option<Vec<String>>,
    attempts: u32,
    pause: Duration,
    timeout: Duration,
    queue: usize,
}

/// What is not posted unless it is asked for: with it, whoever is refused decides how much is.
const NOISE: [&str; 2] = ["key.denied", "key.limited"];

impl Webhook {
    /// Posts to this URL, signed with this secret: every event but `key.denied` and `key.limited`.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, if it is no URL of `https`, or of `http` at a loopback address, or holds a user
    /// name. The error does not repeat the URL.
    pub fn new(url: &str, secret: WebhookSecret) -> Result<Self, Error> {
        let wrong = |message: &'static str| Error::invalid("webhook", message);
        let url: Uri = url.parse().map_err(|_| wrong("is no URL"))?;
        let (Some(scheme), Some(authority)) = (url.scheme(), url.authority()) else {
            return Err(wrong("must begin with https:// and name a host"));
        };
        if authority.as_str().contains('@') {
            return Err(wrong("must not hold a user name or password"));
        }
        let stays_here = *scheme == Scheme::HTTP && is_loopback(authority.host());
        let is_safe = stays_here || *scheme == Scheme::HTTPS;
        if !is_safe {
            return Err(wrong(
                "must begin with https://, but for a loopback address",
            ));
        }
        Ok(Self {
            url,
            secret,
            kinds: None,
            attempts: 6,
            pause: Duration::from_secs(1),
            timeout: Duration::from_secs(10),
            queue: 1_000,
        })
    }

    /// Posts only events whose type is one of these, or begins with one that ends in a dot.
    pub fn only(mut self, kinds: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.kinds = Some(kinds.into_iter().map(Into::into).collect());
        self
    }

    /// How often a message is tried, at least once. Default: 6 times.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// How long to wait before the second attempt, about; before each further one four times as long,
    /// and at most five minutes. Default: a second.
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// How long an attempt may take. Default: 10 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many messages may wait. Default: 1,000.
    pub fn queue(mut self, messages: usize) -> Self {
        self.queue = messages.max(1);
        self
    }

    /// Whether events of this type are posted.
    fn wants(&self, kind: &str) -> bool {
        match &self.kinds {
            None => !NOISE.contains(&kind),
            Some(kinds) => kinds.iter().any(|wanted| {
                wanted == kind || wanted.ends_with('.') && kind.starts_with(wanted.as_str())
            }),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> WebhookSecret {
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap()
    }

    #[test]
    fn only_https_leaves_the_machine() {
        for url in [
            "https://h/x?y=z",
            "https://10.0.0.1:8443",
            "http://localhost:1/x",
            "http://127.0.0.9/",
            "http://[::1]:80/",
        ] {
            assert!(Webhook::new(url, secret()).is_ok(), "{url}");
        }
        for url in [
            "",
            "/x",
            "h/x",
            "http://h/",
            "http://10.0.0.1/",
            "http://127.0.0.1.example/",
            "http://localhost.example/",
            "ftp://127.0.0.1/",
            "https://user:hunter2@h/",
        ] {
            let error = Webhook::new(url, secret()).unwrap_err();
            assert_eq!(error.field(), Some("webhook"));
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn kinds_are_chosen_by_word_or_family() {
        let all = Webhook::new("https://h", secret()).unwrap();
        assert!(all.wants("key.created") && all.wants("alert.raised"));
        assert!(!all.wants("key.denied") && !all.wants("key.limited"));
        let some = all.only(["alert.", "key.denied"]);
        assert!(some.wants("alert.resolved") && some.wants("key.denied"));
        assert!(!some.wants("key.created") && !some.wants("alert"));
    }
}
