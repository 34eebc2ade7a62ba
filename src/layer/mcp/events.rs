//! A stream of events on its way through the list filter.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame};

use super::answer::unfilterable_message;
use crate::mcp::{ListFilter, SseFilter};

/// Filters the frames of one stream.
#[derive(Debug)]
pub(crate) struct EventStream {
    /// Nothing once the stream has ended, or had to be.
    filter: Option<SseFilter>,
    id: Option<Box<str>>,
    /// What comes after the last data.
    trailers: Option<Frame<Bytes>>,
}

impl EventStream {
    pub(super) fn new(list: ListFilter, max_event: usize, id: Option<Box<str>>) -> Self {
        Self {
            filter: Some(SseFilter::new(list, max_event)),
            id,
            trailers: None,
        }
    }

    /// The next frame of what may be seen of `body`.
    pub(crate) fn poll_frame<B: Body<Data = Bytes>>(
        &mut self,
        mut body: Pin<&mut B>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        loop {
            let Some(filter) = &mut self.filter else {
                return Poll::Ready(self.trailers.take().map(Ok));
            };
            let mut out = Vec::new();
            match ready!(body.as_mut().poll_frame(cx)) {
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        if filter.push(&data, &mut out).is_err() {
                            self.filter = None;
                            let message = unfilterable_message(self.id.as_deref());
                            out.extend_from_slice(format!("data: {message}\n\n").as_bytes());
                        }
                    }
                    Err(trailers) => {
                        self.trailers = Some(trailers);
                        self.finish(&mut out);
                    }
                },
                None => self.finish(&mut out),
            }
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(out.into()))));
            }
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if let Some(filter) = self.filter.take() {
            filter.finish(out);
        }
    }
}
