//! Reading what was sent, within bounds.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap};
use tokio::time::timeout;

/// How many bytes a form or a registration may have: anybody can send one.
const LARGEST: usize = 16 * 1_024;

/// How long it may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) const FORM: &str = "application/x-www-form-urlencoded";
pub(super) const JSON: &str = "application/json";

/// What is wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    OtherKind,
    TooLarge,
    TooSlow,
}

impl Fault {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::OtherKind => "the content type is not the one that is expected",
            Self::TooLarge => "the body is too large, or broke off",
            Self::TooSlow => "the body did not arrive in time",
        }
    }
}

/// Reads a body of this kind.
pub(super) async fn read(headers: &HeaderMap, body: Body, kind: &str) -> Result<Bytes, Fault> {
    let sent = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let sent = sent.and_then(|kind| kind.split(';').next()).map(str::trim);
    if !sent.is_some_and(|sent| sent.eq_ignore_ascii_case(kind)) {
        return Err(Fault::OtherKind);
    }
    match timeout(PATIENCE, to_bytes(body, LARGEST)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => Err(Fault::TooLarge),
        Err(_) => Err(Fault::TooSlow),
    }
}
