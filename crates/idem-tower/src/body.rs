//! [`RequestBody`] and [`ResponseBody`]: passed through, or read by the driver.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use idem_http::driver::{AnswerBody, BoxError, Whole};
use pin_project_lite::pin_project;

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
        Read { #[pin] whole: Whole },
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

impl<B> Body for RequestBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().kind.project() {
            RequestProjection::Passed { body } => {
                let frame = ready!(body.poll_frame(cx));
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            RequestProjection::Read { whole } => whole.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            RequestKind::Passed { body } => body.is_end_stream(),
            RequestKind::Read { whole } => whole.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            RequestKind::Passed { body } => body.size_hint(),
            RequestKind::Read { whole } => whole.size_hint(),
        }
    }
}

pin_project! {
    /// The body that the caller gets: the handler's own where the request is not protected, else
    /// what the driver answers with.
    ///
    /// Its error is the handler's own, boxed, or
    /// [`CutOff`](idem_http::driver::CutOff) where the execution was stopped half-way.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        kind: ResponseKind<B>,
    }
}

pin_project! {
    #[project = ResponseProjection]
    #[derive(Debug)]
    enum ResponseKind<B> {
        Passed { #[pin] body: B },
        Answer { #[pin] body: AnswerBody },
    }
}

impl<B> ResponseBody<B> {
    pub(crate) fn passed(body: B) -> Self {
        Self {
            kind: ResponseKind::Passed { body },
        }
    }

    pub(crate) fn answer(body: AnswerBody) -> Self {
        Self {
            kind: ResponseKind::Answer { body },
        }
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().kind.project() {
            ResponseProjection::Passed { body } => {
                let frame = ready!(body.poll_frame(cx));
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            ResponseProjection::Answer { body } => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            ResponseKind::Passed { body } => body.is_end_stream(),
            ResponseKind::Answer { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            ResponseKind::Passed { body } => body.size_hint(),
            ResponseKind::Answer { body } => body.size_hint(),
        }
    }
}
