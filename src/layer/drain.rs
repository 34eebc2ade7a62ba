//! Reading away the rest of a refused request.
//!
//! A refusal is decided before the body has been read. On an HTTP/1 connection an unread body
//! forces the server to close the connection behind its answer, and a client that sends its next
//! request on it just then sees "disconnected" where it should see a 401. So a small body that is
//! announced by its length is read and thrown away first. A large or unannounced one is not
//! touched, nor one that the client holds back until it is asked for, and none is waited for
//! longer than a moment.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Buf;
use http::Version;
use http::header::{CONTENT_LENGTH, EXPECT};
use http::request::Parts;
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::Sleep;

const MOST: u64 = 64 * 1_024;
const LONGEST: Duration = Duration::from_millis(250);

pin_project! {
    /// The body of a refused request, on its way to nowhere.
    #[derive(Debug)]
    pub(super) struct Drain<B> {
        #[pin]
        body: B,
        #[pin]
        patience: Option<Sleep>,
        left: u64,
    }
}

impl<B: Body> Drain<B> {
    /// The body, if it is worth reading away.
    pub(super) fn of(head: &Parts, body: B) -> Option<Self> {
        // Most have none; then nothing is looked for.
        if body.is_end_stream() || head.version > Version::HTTP_11 {
            return None;
        }
        if head.headers.contains_key(EXPECT) {
            return None;
        }
        let length = head.headers.get(CONTENT_LENGTH)?.to_str().ok()?;
        let left = length
            .parse()
            .ok()
            .filter(|length| (1..=MOST).contains(length))?;
        Some(Self {
            body,
            patience: None,
            left,
        })
    }

    /// Ready when the body has ended, or is not worth any more waiting.
    pub(super) fn poll_done(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        loop {
            match this.body.as_mut().poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    let size = frame.data_ref().map_or(0, Buf::remaining) as u64;
                    *this.left = this.left.saturating_sub(size);
                    if *this.left == 0 {
                        return Poll::Ready(());
                    }
                }
                Poll::Ready(None | Some(Err(_))) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        if this.patience.is_none() {
            this.patience.set(Some(tokio::time::sleep(LONGEST)));
        }
        match this.patience.as_pin_mut() {
            Some(patience) => patience.poll(cx),
            None => Poll::Ready(()),
        }
    }
}
