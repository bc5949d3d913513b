//! [`RequestBody`] and [`ResponseBody`]: passed through, or read whole.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

/// A body that was read to its end.
#[derive(Debug, Default)]
pub(crate) struct Whole {
    pub(crate) data: Bytes,
    pub(crate) trailers: Option<Box<HeaderMap>>,
}

impl Whole {
    fn next_frame(&mut self) -> Option<Frame<Bytes>> {
        if !self.data.is_empty() {
            return Some(Frame::data(std::mem::take(&mut self.data)));
        }
        self.trailers
            .take()
            .map(|trailers| Frame::trailers(*trailers))
    }

    fn is_over(&self) -> bool {
        self.data.is_empty() && self.trailers.is_none()
    }
}

impl From<Bytes> for Whole {
    fn from(data: Bytes) -> Self {
        Self {
            data,
            trailers: None,
        }
    }
}

pin_project! {
    /// The body that the handler gets: the server's own where the request is not protected, else
    /// the bytes that were read for the fingerprint.
    #[derive(Debug)]
    pub struct RequestBody<B> {
        #[pin]
        kind: RequestKind<B>,
    }
}

pin_project! {
    #[project = RequestProjection]
    #[derive(Debug)]
    enum RequestKind<B> {
        Passed { #[pin] body: B },
        Read { whole: Whole },
    }
}

impl<B> RequestBody<B> {
    pub(crate) fn passed(body: B) -> Self {
        Self {
            kind: RequestKind::Passed { body },
        }
    }

    pub(crate) fn read(whole: Whole) -> Self {
        Self {
            kind: RequestKind::Read { whole },
        }
    }
}

impl<B: Body<Data = Bytes>> Body for RequestBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            RequestProjection::Passed { body } => body.poll_frame(cx),
            RequestProjection::Read { whole } => Poll::Ready(whole.next_frame().map(Ok)),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            RequestKind::Passed { body } => body.is_end_stream(),
            RequestKind::Read { whole } => whole.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            RequestKind::Passed { body } => body.size_hint(),
            RequestKind::Read { whole } => SizeHint::with_exact(whole.data.len() as u64),
        }
    }
}

pin_project! {
    /// The body that the caller gets: the handler's own where the request is not protected, a
    /// stored or problem body, or what was read of the handler's and the rest as it comes.
    #[derive(Debug)]
    pub struct ResponseBody<B>
    where
        B: Body,
    {
        #[pin]
        kind: ResponseKind<B, B::Error>,
    }
}

pin_project! {
    #[project = ResponseProjection]
    #[derive(Debug)]
    enum ResponseKind<B, E> {
        Passed { #[pin] body: B },
        Read { whole: Whole },
        Outgrown { read: Bytes, rest: Pin<Box<B>> },
        Broken { read: Bytes, error: Option<E> },
    }
}

impl<B: Body> ResponseBody<B> {
    pub(crate) fn passed(body: B) -> Self {
        Self {
            kind: ResponseKind::Passed { body },
        }
    }

    pub(crate) fn read(whole: impl Into<Whole>) -> Self {
        Self {
            kind: ResponseKind::Read {
                whole: whole.into(),
            },
        }
    }

    /// What was read before it outgrew the limit, and what is still to come.
    pub(crate) fn outgrown(read: Bytes, rest: Pin<Box<B>>) -> Self {
        Self {
            kind: ResponseKind::Outgrown { read, rest },
        }
    }

    /// What was read before it broke, and how it broke.
    pub(crate) fn broken(read: Bytes, error: B::Error) -> Self {
        Self {
            kind: ResponseKind::Broken {
                read,
                error: Some(error),
            },
        }
    }
}

impl<B: Body<Data = Bytes>> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            ResponseProjection::Passed { body } => body.poll_frame(cx),
            ResponseProjection::Read { whole } => Poll::Ready(whole.next_frame().map(Ok)),
            ResponseProjection::Outgrown { read, rest } => match read.is_empty() {
                true => Poll::Ready(ready!(rest.as_mut().poll_frame(cx))),
                false => Poll::Ready(Some(Ok(Frame::data(std::mem::take(read))))),
            },
            ResponseProjection::Broken { read, error } => match read.is_empty() {
                true => Poll::Ready(error.take().map(Err)),
                false => Poll::Ready(Some(Ok(Frame::data(std::mem::take(read))))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            ResponseKind::Passed { body } => body.is_end_stream(),
            ResponseKind::Read { whole } => whole.is_over(),
            ResponseKind::Outgrown { read, rest } => read.is_empty() && rest.is_end_stream(),
            ResponseKind::Broken { read, error } => read.is_empty() && error.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            ResponseKind::Passed { body } => body.size_hint(),
            ResponseKind::Read { whole } => SizeHint::with_exact(whole.data.len() as u64),
            ResponseKind::Outgrown { read, rest } => longer_by(rest.size_hint(), read.len() as u64),
            ResponseKind::Broken { .. } => SizeHint::default(),
        }
    }
}

fn longer_by(rest: SizeHint, read: u64) -> SizeHint {
    let mut hint = SizeHint::new();
    hint.set_lower(rest.lower().saturating_add(read));
    if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(read)) {
        hint.set_upper(upper);
    }
    hint
}
