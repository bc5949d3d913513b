//! Bodies of the `http-body` crate, which most frameworks have.

use std::{
    error::Error,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::LengthLimitError;
use pin_project_lite::pin_project;

use super::{AnswerBody, BoxError, LimitExceeded, Piece, Size, Source, Whole};

pin_project! {
    /// A body of `http-body`, for the driver to read.
    #[derive(Debug)]
    pub struct Framed<B> {
        #[pin]
        body: B,
    }
}

impl<B> Framed<B> {
    /// This body.
    pub fn new(body: B) -> Self {
        Self { body }
    }

    /// The body, as far as it was not read.
    pub fn into_inner(self) -> B {
        self.body
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

/// What was read of a request, for its handler.
impl Body for Whole {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        poll_frame(self, cx)
    }

    fn is_end_stream(&self) -> bool {
        self.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        size_hint(self)
    }
}

/// What the driver answers with, for the client.
impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        poll_frame(self, cx)
    }

    fn is_end_stream(&self) -> bool {
        self.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        size_hint(self)
    }
}

fn poll_frame<S: Source>(
    source: Pin<&mut S>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
    let piece = ready!(source.poll_piece(cx));
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
