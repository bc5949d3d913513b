//! An answer whose body is read ahead, so that a body that breaks off is noticed in time.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http::{header, response::Parts};
use http_body::{Body as _, Frame, SizeHint};
use reqwest::{Body, Response, ResponseBuilderExt};

/// The largest part of an error's body that is looked at.
const ERROR_LIMIT: usize = 64 << 10;

/// An answer with its head, and its body read up to a limit.
pub(super) struct Held {
    head: Parts,
    body: HeldBody,
}

impl Held {
    /// Reads the body up to `limit` bytes, or a success over it not at all where that is known
    /// before. Errors are read far enough to be understood.
    ///
    /// An event stream is not read, since it may never end.
    pub(super) async fn read(response: Response, limit: usize) -> reqwest::Result<Self> {
        let url = response.url().clone();
        let (mut head, rest) = http::Response::<Body>::from(response).into_parts();
        // reqwest takes the URL of an answer from this extension.
        let with_url = http::Response::builder().url(url).body(());
        if let Ok(with_url) = with_url {
            head.extensions.extend(with_url.into_parts().0.extensions);
        }
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

    pub(super) fn head(&self) -> &Parts {
        &self.head
    }

    /// As much of the body as was read.
    pub(super) fn bytes(&self) -> Bytes {
        let mut data = self.body.frames.iter().filter_map(Frame::data_ref);
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

    /// The answer with what was read of its body.
    pub(super) fn into_read(self) -> http::Response<Bytes> {
        let bytes = self.bytes();
        http::Response::from_parts(self.head, bytes)
    }

    /// The answer as it came.
    pub(super) fn into_response(self) -> Response {
        http::Response::from_parts(self.head, Body::wrap(self.body)).into()
    }
}

fn is_event_stream(head: &Parts) -> bool {
    head.headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.as_bytes().get(..17))
        .is_some_and(|start| start.eq_ignore_ascii_case(b"text/event-stream"))
}

/// Frames that were read, and the rest of the body.
struct HeldBody {
    frames: VecDeque<Frame<Bytes>>,
    rest: Option<Body>,
}

impl HeldBody {
    fn unread(rest: Body) -> Self {
        Self {
            frames: VecDeque::new(),
            rest: Some(rest),
        }
    }

    fn is_larger_than(&self, limit: usize) -> bool {
        self.size_hint().lower() > limit as u64
    }

    /// Reads until the end, or until more than `limit` bytes are there.
    async fn read_up_to(&mut self, limit: usize) -> reqwest::Result<()> {
        let mut read = 0;
        while read <= limit
            && let Some(rest) = &mut self.rest
        {
            match poll_fn(|cx| Pin::new(&mut *rest).poll_frame(cx)).await {
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
}

impl http_body::Body for HeldBody {
    type Data = Bytes;
    type Error = reqwest::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, reqwest::Error>>> {
        match (self.frames.pop_front(), &mut self.rest) {
            (Some(frame), _) => Poll::Ready(Some(Ok(frame))),
            (None, Some(rest)) => Pin::new(rest).poll_frame(cx),
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
