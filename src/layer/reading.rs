//! Reading a body into memory: at most so much, and in at most so long.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::Sleep;

use crate::rejection::RejectionKind;
use crate::signing::Verification;

/// How many frames may be taken at once before others get their turn, and before the deadline is
/// looked at: a body of empty frames without end would hold the thread.
const FRAMES_AT_ONCE: usize = 64;

/// What looks at a body as it comes.
pub(super) trait Observe {
    fn update(&mut self, part: &[u8]);
}

/// Nobody looks.
impl Observe for () {
    fn update(&mut self, _: &[u8]) {}
}

impl Observe for Verification {
    fn update(&mut self, part: &[u8]) {
        Self::update(self, part);
    }
}

pin_project! {
    /// A body on its way into memory.
    pub(super) struct Reading<B, O = ()> {
        #[pin]
        body: B,
        #[pin]
        deadline: Option<Sleep>,
        patience: Option<Duration>,
        most: usize,
        read: Joined,
        trailers: Option<HeaderMap>,
        observer: Option<O>,
    }
}

/// A whole body.
pub(super) struct Read<O = ()> {
    pub(super) data: Bytes,
    pub(super) trailers: Option<HeaderMap>,
    pub(super) observer: O,
}

impl<B: Body, O: Observe> Reading<B, O> {
    /// Without `patience` the body may take as long as it likes.
    pub(super) fn new(body: B, observer: O, most: usize, patience: Option<Duration>) -> Self {
        Self {
            body,
            deadline: None,
            patience,
            most,
            read: Joined::default(),
            trailers: None,
            observer: Some(observer),
        }
    }

    /// Ready when the body has come to its end, or is too large, too slow or broken.
    pub(super) fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Read<O>, RejectionKind>> {
        let mut frames = 0;
        // What is announced to be too large is not read at all.
        let announced = self.body.size_hint().lower();
        if announced > (self.most.saturating_sub(self.read.len()) as u64) {
            return Poll::Ready(Err(RejectionKind::BodyTooLarge));
        }
        loop {
            let this = self.as_mut().project();
            if frames == FRAMES_AT_ONCE {
                cx.waker().wake_by_ref();
                return self.poll_deadline(cx);
            }
            frames += 1;
            let frame = match this.body.poll_frame(cx) {
                Poll::Pending => return self.poll_deadline(cx),
                Poll::Ready(Some(Err(_))) => {
                    return Poll::Ready(Err(RejectionKind::BodyIncomplete));
                }
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(None) => {
                    // Polled again after it was ready, which the contract of futures forbids.
                    let Some(observer) = this.observer.take() else {
                        return Poll::Pending;
                    };
                    return Poll::Ready(Ok(Read {
                        data: std::mem::take(this.read).whole(),
                        trailers: this.trailers.take(),
                        observer,
                    }));
                }
            };
            match frame.into_data() {
                Ok(mut data) => {
                    if data.remaining() > this.most.saturating_sub(this.read.len()) {
                        return Poll::Ready(Err(RejectionKind::BodyTooLarge));
                    }
                    let part = data.copy_to_bytes(data.remaining());
                    if let Some(observer) = this.observer {
                        observer.update(&part);
                    }
                    this.read.add(part);
                }
                Err(frame) => *this.trailers = frame.into_trailers().ok(),
            }
        }
    }

    fn poll_deadline<T>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, RejectionKind>> {
        let mut this = self.project();
        if this.deadline.is_none()
            && let Some(patience) = *this.patience
        {
            this.deadline.set(Some(tokio::time::sleep(patience)));
        }
        match this.deadline.as_pin_mut() {
            Some(deadline) => deadline.poll(cx).map(|()| Err(RejectionKind::BodyTimeout)),
            None => Poll::Pending,
        }
    }
}

/// The parts of a body in one piece. A body that comes in one part is not copied. Parts are not kept
/// as they are: many small ones would take many times the room of the body.
#[derive(Default)]
struct Joined {
    first: Bytes,
    all: BytesMut,
}

impl Joined {
    fn len(&self) -> usize {
        self.first.len() + self.all.len()
    }

    fn add(&mut self, part: Bytes) {
        if self.len() == 0 {
            self.first = part;
            return;
        }
        if self.all.is_empty() {
            self.all.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.all.extend_from_slice(&part);
    }

    fn whole(self) -> Bytes {
        if self.all.is_empty() {
            self.first
        } else {
            self.all.freeze()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined_in_order_and_a_single_one_is_not_copied() {
        for parts in [
            &[][..],
            &["one"],
            &["", "one", ""],
            &["a", "b", "", "cde", "f"],
        ] {
            let mut joined = Joined::default();
            for part in parts {
                joined.add(Bytes::from_static(part.as_bytes()));
            }
            assert_eq!(joined.len(), parts.concat().len());
            assert_eq!(joined.whole(), parts.concat());
        }
        let part = Bytes::from(vec![7; 100]);
        let mut joined = Joined::default();
        joined.add(part.clone());
        assert_eq!(joined.whole().as_ptr(), part.as_ptr());
    }
}
