//! What every answer to a browser says, whatever is in it.
//!
//! Referrers go to the pages themselves and to nobody else. With `no-referrer` a browser would write
//! `null` for the origin of a page's own forms, and there would be nothing to check it by.

use http::header::{self, HeaderName};

/// No caches, no frames, no guesses at the type, and nothing for the pages of others.
pub(crate) const SHELTERED: [(HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];
