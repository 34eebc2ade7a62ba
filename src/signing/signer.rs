//! The client's side: the two headers for a request.

use std::fmt;

use http::header::{HeaderMap, HeaderValue};
use zeroize::Zeroizing;

use super::{SIGNATURE_HEADER, TIMESTAMP_HEADER, mac};
use crate::clock::Timestamp;

/// Signs requests with a key.
///
/// The key itself has to stand in the request as well, in `Authorization: Bearer`. Sign each request
/// anew, retries too: a server with a replay guard takes each signature once.
///
/// The key is wiped from memory with the signer, and `Debug` does not show it.
///
/// ```
/// use mcp_api_keys::signing::Signer;
/// use mcp_api_keys::{Clock, SystemClock};
///
/// let key = "mcp_sk_ATgKlpEaBS64QGLizLFNWgSzNfDmYl2D0UvHLX";
/// let signer = Signer::new(key);
///
/// let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
/// let mut request = http::Request::post("https://example.test/mcp")
///     .header("authorization", format!("Bearer {key}"))
///     .body(body)?;
/// let signature = signer.sign(SystemClock::new().now().wall, body.as_bytes());
/// signature.set(request.headers_mut());
/// assert_eq!(request.headers()["x-mcp-signature"].len(), 64);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Signer {
    key: Zeroizing<Vec<u8>>,
}

impl Signer {
    /// Signs with `key`, the whole text of an API key.
    pub fn new(key: &str) -> Self {
        Self {
            key: Zeroizing::new(key.as_bytes().to_vec()),
        }
    }

    /// The headers for a request with this body, signed at this time.
    ///
    /// The time is the caller's own, and the server's may differ by its tolerance; a time before
    /// 1970 counts as its beginning. The body is the bytes as they will be sent, nothing if there is
    /// none.
    pub fn sign(&self, time: Timestamp, body: &[u8]) -> SignatureHeaders {
        let seconds = u64::try_from(time.as_millis().div_euclid(1_000)).unwrap_or(0);
        SignatureHeaders {
            timestamp: seconds.to_string(),
            signature: mac::sign(&self.key, seconds, body).unwrap_or_default(),
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(…)")
    }
}

/// The values of the two headers of a signed request.
#[derive(Clone, PartialEq, Eq)]
pub struct SignatureHeaders {
    timestamp: String,
    signature: String,
}

impl SignatureHeaders {
    /// The value of `X-MCP-Timestamp`.
    pub fn timestamp(&self) -> &str {
        &self.timestamp
    }

    /// The value of `X-MCP-Signature`.
    pub fn signature(&self) -> &str {
        &self.signature
    }

    /// Sets both headers, in the place of any that stand there.
    pub fn set(&self, headers: &mut HeaderMap) {
        for (name, text) in [
            (TIMESTAMP_HEADER, &self.timestamp),
            (SIGNATURE_HEADER, &self.signature),
        ] {
            // Digits are a valid value.
            if let Ok(value) = HeaderValue::from_str(text) {
                headers.insert(name, value);
            }
        }
    }
}

impl fmt::Debug for SignatureHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignatureHeaders")
            .field("timestamp", &self.timestamp)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "mcp_sk_ATgKlpEaBS64QGLizLFNWgSzNfDmYl2D0UvHLX";

    #[test]
    fn a_signature_is_the_one_that_others_compute() {
        let body = br#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
        let now = Timestamp::from_millis(1_790_000_000_999);
        let signed = Signer::new(KEY).sign(now, body);
        assert_eq!(signed.timestamp(), "1790000000");
        assert_eq!(
            signed.signature(),
            "05f09ac90de193460b83595881742a1bd6aed7fd780b3bda1ca9d29ae806c5b1"
        );
        let early = Signer::new(KEY).sign(Timestamp::from_millis(-5_000), body);
        assert_eq!(early.timestamp(), "0");
    }

    #[test]
    fn headers_are_replaced_not_added() {
        let mut headers = HeaderMap::new();
        for body in [&b"one"[..], b"two"] {
            let signed = Signer::new(KEY).sign(Timestamp::from_millis(0), body);
            signed.set(&mut headers);
            assert_eq!(headers.len(), 2);
            assert_eq!(headers["x-mcp-timestamp"], signed.timestamp());
            assert_eq!(headers["x-mcp-signature"], signed.signature());
        }
    }

    #[test]
    fn neither_the_key_nor_a_signature_is_shown() {
        let signer = Signer::new(KEY);
        let signed = signer.sign(Timestamp::from_millis(0), b"");
        let shown = format!("{signer:?} {signed:?}");
        assert!(!shown.contains("mcp_sk"));
        assert!(!shown.contains(signed.signature()));
    }
}
