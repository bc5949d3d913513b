//! [`RequestBody`] and [`ResponseBody`]: passed through, or read by the driver.

use std::{
    error::Error,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::LengthLimitError;
use idem_http::driver::{AnswerBody, BoxError, LimitExceeded, Piece, Size, Source, Whole};
use pin_project_lite::pin_project;

pin_project! {
    /// A body of `http-body`, for the driver to read.
    pub(crate) struct Framed<B> {
        #[pin]
        pub(crate) body: B,
    }
}

impl<B> Source for Framed<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    fn poll_piece(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Piece, BoxError>>> {
        let mut body = self.project().body;
        loop {
            let frame = match ready!(body.as_mut().poll_frame(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(say_limit(error.into())))),
                Some(Ok(frame)) => frame,
            };
            let piece = match frame.into_data() {
                Ok(data) => Piece::Data(data),
                Err(frame) => match frame.into_trailers() {
                    Ok(trailers) => Piece::Trailers(trailers),
                    // A kind of frame that is not known yet.
                    Err(_) => continue,
                },
            };
            return Poll::Ready(Some(Ok(piece)));
        }
    }

    fn size(&self) -> Size {
        let hint = self.body.size_hint();
        Size {
            at_least: hint.lower(),
            exact: hint.exact(),
        }
    }

    fn is_over(&self) -> bool {
        self.body.is_end_stream()
    }
}

/// Tells an outer body limit, such as `http_body_util::Limited`, in the driver's words.
fn say_limit(error: BoxError) -> BoxError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&*error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return Box::new(LimitExceeded);
        }
        cause = error.source();
    }
    error
}

fn poll_frame<S: Source + Unpin>(
    source: &mut S,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
    let piece = ready!(Pin::new(source).poll_piece(cx));
    Poll::Ready(piece.map(|piece| {
        piece.map(|piece| match piece {
            Piece::Data(data) => Frame::data(data),
            Piece::Trailers(trailers) => Frame::trailers(trailers),
        })
    }))
}

fn size_hint(source: &impl Source) -> SizeHint {
    let size = source.size();
    if let Some(exact) = size.exact {
        return SizeHint::with_exact(exact);
    }
    let mut hint = SizeHint::new();
    hint.set_lower(size.at_least);
    hint
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
            RequestProjection::Read { whole } => poll_frame(whole, cx),
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
            RequestKind::Read { whole } => size_hint(whole),
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
        Answer { body: AnswerBody },
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
            ResponseProjection::Answer { body } => poll_frame(body, cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            ResponseKind::Passed { body } => body.is_end_stream(),
            ResponseKind::Answer { body } => body.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            ResponseKind::Passed { body } => body.size_hint(),
            ResponseKind::Answer { body } => size_hint(body),
        }
    }
}
