//! Requests signed with the key that they present: HMAC-SHA-256 over a timestamp and the body.
//!
//! ```text
//! Authorization: Bearer <key>
//! X-MCP-Timestamp: 1790000000
//! X-MCP-Signature: <64 hex digits of HMAC-SHA-256(key, "1790000000." + body)>
//! ```
//!
//! 1. The code is over the bytes of the body as they were received, and keyed by the whole text of
//!    the key.
//! 2. A timestamp is `0`, or 1 to 19 digits without a leading zero, in seconds since 1970. It may be
//!    off by the tolerance, 300 s, either way.
//! 3. A signature is 64 hex digits of either case. It is decoded before it is compared, in constant
//!    time, or remembered.
//! 4. One of the two headers claims that the request is signed. Such a request is verified or
//!    refused, never taken for an unsigned one.
//! 5. Faults are named in this order: a header twice, one missing, the timestamp malformed, the
//!    signature malformed, too old or too new, not the signature of this request, used before.
//! 6. A [`ReplayGuard`] remembers only signatures that were verified. One that cannot answer
//!    refuses.
//!
//! [`SignedRequestLayer`](crate::layer::SignedRequestLayer) does all this for a service, [`Signer`]
//! makes the headers for a client, [`Claim`] and [`SigningMode`] are the decisions alone.
//!
//! # What it gives, and what not
//!
//! Somebody who can change a request but cannot *read* it, or who has its signature but not the key,
//! cannot change the body or send the request again after the tolerance. That is all.
//!
//! * **The key travels in the same request.** Whoever can read the request has the key, and signs
//!   what they like. A signature replaces neither TLS nor care with logs.
//! * **Method, path, query and headers are not covered.** A signature is good for the same body in
//!   any other request with the same key: all requests without a body that were signed in one
//!   second have one signature.
//! * **Within the tolerance a signed request can be sent again**, unless there is a replay guard. A
//!   guard in memory knows this process alone.

mod claim;
mod fault;
mod mac;
mod mode;
mod presented;
mod replay;
mod signer;

pub use self::claim::{Claim, Signed};
pub use self::fault::SignatureFault;
pub(crate) use self::mac::Verification;
pub use self::mode::SigningMode;
pub(crate) use self::presented::PresentedSecret;
pub use self::replay::{MemoryReplayGuard, ReplayGuard, Seen, SignatureId};
pub use self::signer::{SignatureHeaders, Signer};

use http::HeaderName;

/// The header of the time of signing: `X-MCP-Timestamp`.
pub const TIMESTAMP_HEADER: HeaderName = HeaderName::from_static("x-mcp-timestamp");

/// The header of the signature: `X-MCP-Signature`.
pub const SIGNATURE_HEADER: HeaderName = HeaderName::from_static("x-mcp-signature");
