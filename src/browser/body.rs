//! Reading what was sent, within bounds.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap};
use tokio::time::timeout;

/// What a form is called.
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

/// How many bytes a body may have, and how long it may take to arrive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) largest: usize,
    pub(crate) patience: Duration,
}

/// What is wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    OtherKind,
    TooLarge,
    TooSlow,
}

/// Reads a body of this kind.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    kind: &str,
    bounds: Bounds,
) -> Result<Bytes, Fault> {
    let sent = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let sent = sent.and_then(|kind| kind.split(';').next()).map(str::trim);
    if !sent.is_some_and(|sent| sent.eq_ignore_ascii_case(kind)) {
        return Err(Fault::OtherKind);
    }
    match timeout(bounds.patience, to_bytes(body, bounds.largest)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => Err(Fault::TooLarge),
        Err(_) => Err(Fault::TooSlow),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        largest: 4,
        patience: Duration::from_secs(5),
    };

    async fn fault(kind: Option<&str>, body: Body) -> Option<Fault> {
        let mut headers = HeaderMap::new();
        if let Some(kind) = kind {
            headers.insert(CONTENT_TYPE, kind.parse().unwrap());
        }
        read(&headers, body, FORM, BOUNDS).await.err()
    }

    #[tokio::test]
    async fn a_body_of_its_kind_is_read_up_to_its_bounds() {
        for kind in [FORM, "Application/X-WWW-Form-URLEncoded; charset=utf-8"] {
            assert_eq!(fault(Some(kind), Body::from("a=12")).await, None);
        }
        for kind in [None, Some(""), Some("text/plain"), Some("x; application/x")] {
            let found = fault(kind, Body::from("a=1")).await;
            assert_eq!(found, Some(Fault::OtherKind), "{kind:?}");
        }
        let large = fault(Some(FORM), Body::from("a=123")).await;
        assert_eq!(large, Some(Fault::TooLarge));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_waited_for_without_end() {
        let silent = tokio_stream::pending::<Result<Bytes, std::io::Error>>();
        let silent = Body::from_stream(silent);
        assert_eq!(fault(Some(FORM), silent).await, Some(Fault::TooSlow));
    }
}
