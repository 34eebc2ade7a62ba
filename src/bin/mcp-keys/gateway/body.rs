//! The body of a request on its way to the server: passed on frame by frame, or read by then.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use mcp_api_keys::layer::ReadBody;

use super::headers;

/// A caller's body behind the layer for signatures and the one for MCP.
pub(super) type Judged = ReadBody<ReadBody<Incoming>>;

/// A caller's body.
///
/// Trailers are held to the rules of headers: some servers mix them with those.
#[derive(Debug)]
pub(super) struct Outgoing(pub(super) Judged);

impl Body for Outgoing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.0).poll_frame(cx);
        frame.map_ok(|mut frame| {
            if let Some(trailers) = frame.trailers_mut() {
                headers::clean_trailers(trailers);
            }
            frame
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
