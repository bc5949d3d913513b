//! An answer whose body is read ahead, so that a body that breaks off is noticed in time.

use std::{
    borrow::Cow,
    collections::VecDeque,
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response, header, response::Parts};
use http_body::{Body, Frame, SizeHint};

use super::{Intent, Next, Sent, clock::Clock};

/// How much of a body is read where nothing else is said: 1 MiB.
pub(super) const DEFAULT_LIMIT: usize = 1 << 20;

/// The largest part of an error's body that is looked at.
const ERROR_LIMIT: usize = 64 << 10;

/// An answer with its head, and its body read up to a limit.
pub(super) struct Held<B> {
    head: Parts,
    body: HeldBody<B>,
}

impl<B: Body<Data = Bytes>> Held<B> {
    /// Reads the body up to `limit` bytes, or a success over it not at all where that is known
    /// before. Errors are read far enough to be understood.
    ///
    /// An event stream is not read, since it may never end.
    pub(super) async fn read(response: Response<B>, limit: usize) -> Result<Self, B::Error> {
        let (head, rest) = response.into_parts();
        let mut body = HeldBody::unread(rest);
        let limit = match head.status.is_success() {
            true if is_event_stream(&head) || body.is_larger_than(limit) => 0,
            true => limit,
            false => limit.max(ERROR_LIMIT),
        };
        if limit > 0 {
            body.read_up_to(limit).await?;
        }
        Ok(Self { head, body })
    }

    /// What the intent makes of it.
    pub(super) fn next(&self, intent: &mut Intent, clock: &Clock) -> Next {
        let sent = Sent::Answered {
            status: self.head.status,
            headers: &self.headers(),
            body: &self.body.bytes(),
        };
        intent.after(sent, clock.elapsed(), rand::random())
    }

    /// The headers, and the trailers where they were read: a gRPC answer says in them how it ended.
    fn headers(&self) -> Cow<'_, HeaderMap> {
        match self.body.frames.iter().find_map(Frame::trailers_ref) {
            None => Cow::Borrowed(&self.head.headers),
            Some(trailers) => {
                let mut all = self.head.headers.clone();
                all.extend(trailers.clone());
                Cow::Owned(all)
            }
        }
    }

    /// The answer with what was read of its body.
    pub(super) fn into_read(self) -> Response<Bytes> {
        let bytes = self.body.bytes();
        Response::from_parts(self.head, bytes)
    }

    /// The answer as it came.
    pub(super) fn into_response(self) -> Response<HeldBody<B>> {
        Response::from_parts(self.head, self.body)
    }
}

fn is_event_stream(head: &Parts) -> bool {
    head.headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.as_bytes().get(..17))
        .is_some_and(|start| start.eq_ignore_ascii_case(b"text/event-stream"))
}

/// A body of which a part was read ahead: that part, and the rest.
pub struct HeldBody<B> {
    frames: VecDeque<Frame<Bytes>>,
    rest: Option<Pin<Box<B>>>,
}

impl<B> fmt::Debug for HeldBody<B> {
    /// Without its contents.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldBody")
            .field("is_whole", &self.rest.is_none())
            .finish_non_exhaustive()
    }
}

impl<B: Body<Data = Bytes>> HeldBody<B> {
    pub(super) fn unread(rest: B) -> Self {
        Self {
            frames: VecDeque::new(),
            rest: Some(Box::pin(rest)),
        }
    }

    fn is_larger_than(&self, limit: usize) -> bool {
        self.size_hint().lower() > limit as u64
    }

    /// Reads until the end, or until more than `limit` bytes are there.
    pub(super) async fn read_up_to(&mut self, limit: usize) -> Result<(), B::Error> {
        let mut read = 0;
        while read <= limit
            && let Some(rest) = &mut self.rest
        {
            match poll_fn(|cx| rest.as_mut().poll_frame(cx)).await {
                Some(frame) => {
                    let frame = frame?;
                    read += frame.data_ref().map_or(0, Bytes::len);
                    self.frames.push_back(frame);
                }
                None => self.rest = None,
            }
        }
        Ok(())
    }

    /// As much of the body as was read.
    pub(super) fn bytes(&self) -> Bytes {
        let mut data = self.frames.iter().filter_map(Frame::data_ref);
        match (data.next(), data.next()) {
            (None, _) => Bytes::new(),
            (Some(only), None) => only.clone(),
            (Some(first), Some(second)) => {
                let mut all = BytesMut::from(&first[..]);
                [second]
                    .into_iter()
                    .chain(data)
                    .for_each(|more| all.extend_from_slice(more));
                all.freeze()
            }
        }
    }

    /// All of it, where it ended without trailers.
    #[cfg(feature = "client-tower")]
    pub(super) fn whole(&self) -> Option<Bytes> {
        let is_whole = self.rest.is_none() && self.frames.iter().all(Frame::is_data);
        is_whole.then(|| self.bytes())
    }
}

impl<B: Body<Data = Bytes>> Body for HeldBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match (self.frames.pop_front(), &mut self.rest) {
            (Some(frame), _) => Poll::Ready(Some(Ok(frame))),
            (None, Some(rest)) => rest.as_mut().poll_frame(cx),
            (None, None) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.frames.iter().filter_map(Frame::data_ref);
        let held: u64 = held.map(|data| data.len() as u64).sum();
        let rest = self.rest.as_ref().map(Body::size_hint);
        let rest = rest.unwrap_or_else(|| SizeHint::with_exact(0));
        let mut hint = SizeHint::new();
        hint.set_lower(held + rest.lower());
        if let Some(upper) = rest.upper() {
            hint.set_upper(held + upper);
        }
        hint
    }
}
