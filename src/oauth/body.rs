//! Reading what was sent, within bounds.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::HeaderMap;

use crate::browser::{self, Bounds};

pub(super) use crate::browser::{FORM, Fault};

/// How many bytes a form or a registration may have, and how long it may take to arrive: anybody can
/// send one.
const BOUNDS: Bounds = Bounds {
    largest: 16 * 1_024,
    patience: Duration::from_secs(10),
};

pub(super) const JSON: &str = "application/json";

/// Reads a body of this kind.
pub(super) async fn read(headers: &HeaderMap, body: Body, kind: &str) -> Result<Bytes, Fault> {
    browser::read(headers, body, kind, BOUNDS).await
}

/// What programs are told of a body that was not read.
pub(super) fn text(fault: Fault) -> &'static str {
    match fault {
        Fault::OtherKind => "the content type is not the one that is expected",
        Fault::TooLarge => "the body is too large, or broke off",
        Fault::TooSlow => "the body did not arrive in time",
    }
}
