//! The body of a response: the inner service's, or ours.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::guard::Guard;
use super::mcp::EventStream;
use crate::mcp::Begun;

pin_project! {
    /// The body of a response that came through the layer.
    ///
    /// The inner service's body is passed through frame by frame, and ended when its key is no
    /// longer admitted; a refusal has one of its own.
    #[derive(Debug)]
    pub struct ResponseBody<R> {
        #[pin]
        kind: Kind<R>,
        guard: Option<Guard>,
        begun: Option<Box<Begun>>,
    }
}

pin_project! {
    #[project = KindProjection]
    #[derive(Debug)]
    enum Kind<R> {
        Inner { #[pin] body: R },
        Filtered { #[pin] body: R, events: Box<EventStream> },
        Own { data: Option<Bytes> },
    }
}

impl<R> ResponseBody<R> {
    pub(super) fn inner(body: R) -> Self {
        Self {
            kind: Kind::Inner { body },
            guard: None,
            begun: None,
        }
    }

    /// A stream of events of which not all may be seen.
    pub(super) fn filtered(body: R, events: EventStream) -> Self {
        let events = Box::new(events);
        Self {
            kind: Kind::Filtered { body, events },
            guard: None,
            begun: None,
        }
    }

    pub(super) fn own(data: Bytes) -> Self {
        let data = Some(data).filter(|data| !data.is_empty());
        Self {
            kind: Kind::Own { data },
            guard: None,
            begun: None,
        }
    }

    /// The same body, ended when its key is no longer admitted.
    pub(super) fn guarded(mut self, guard: Guard) -> Self {
        self.guard = Some(guard);
        self
    }

    /// The same body, looked at on its way for tasks that it begins.
    pub(super) fn looked_at(mut self, begun: Begun) -> Self {
        self.begun = Some(Box::new(begun));
        self
    }
}

impl<R: Body<Data = Bytes>> Kind<R> {
    /// Whether the end is known, so that the body does not go on for long.
    fn is_bounded(&self) -> bool {
        match self {
            Self::Inner { body } => body.size_hint().exact().is_some(),
            Self::Filtered { .. } => false,
            Self::Own { .. } => true,
        }
    }

    fn is_at_end(&self) -> bool {
        match self {
            Self::Inner { body } => body.is_end_stream(),
            Self::Filtered { .. } => false,
            Self::Own { data } => data.is_none(),
        }
    }
}

impl<R: Body<Data = Bytes>> Body for ResponseBody<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let mut this = self.project();
        let watched = this.guard.is_some() && !this.kind.is_bounded();
        let mut guard = this.guard.as_mut().filter(|_| watched);
        if let Some(guard) = &mut guard
            && guard.poll_due(cx).is_ready()
        {
            return Poll::Ready(guard.last_words().flatten().map(Ok));
        }
        let frame = match this.kind.as_mut().project() {
            KindProjection::Inner { body } => body.poll_frame(cx),
            KindProjection::Filtered { body, events } => events.poll_frame(body, cx),
            KindProjection::Own { data } => {
                Poll::Ready(data.take().map(|data| Ok(Frame::data(data))))
            }
        };
        if let Some(begun) = this.begun {
            // Before the last part is passed on: whoever reads it may ask for the task at once.
            match &frame {
                Poll::Ready(Some(Ok(sent))) => {
                    begun.look(sent.data_ref().map_or(&[], |data| &**data));
                    if this.kind.is_at_end() {
                        begun.end();
                    }
                }
                Poll::Ready(None) => begun.end(),
                Poll::Ready(Some(Err(_))) | Poll::Pending => {}
            }
        }
        let Some(guard) = guard else { return frame };
        match &frame {
            Poll::Ready(Some(Ok(sent))) => {
                guard.note(sent.data_ref().map_or(&[], |data| &**data));
                frame
            }
            Poll::Ready(_) => frame,
            Poll::Pending => match guard.poll_end(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(()) => {
                    let last_words = guard.last_words().flatten();
                    Poll::Ready(last_words.map(Ok))
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.kind.is_at_end()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body } => body.size_hint(),
            Kind::Filtered { .. } => SizeHint::default(),
            Kind::Own { data } => SizeHint::with_exact(data.as_ref().map_or(0, |d| d.len() as u64)),
        }
    }
}

impl<R: Default> Default for ResponseBody<R> {
    fn default() -> Self {
        Self::inner(R::default())
    }
}
