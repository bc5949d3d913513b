//! [`RequestBody`] and [`ResponseBody`]: passed through, or the driver's.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Either;
use idem_http::driver::{AnswerBody, BoxError, Whole};
use pin_project_lite::pin_project;

/// The body that the handler gets: the server's own where the request is not protected, else
/// the bytes that were read for the fingerprint.
pub type RequestBody<B> = PassedOr<B, Whole>;

/// The body that the caller gets: the handler's own where the request is not protected, else
/// what the driver answers with.
///
/// Its error is the handler's own, boxed, or
/// [`CutOff`](idem_http::driver::CutOff) where the execution was stopped half-way.
pub type ResponseBody<B> = PassedOr<B, AnswerBody>;

pin_project! {
    /// A body that is passed through, or one of the driver's in its place: a [`RequestBody`] or a
    /// [`ResponseBody`].
    #[derive(Debug)]
    pub struct PassedOr<B, D> {
        #[pin]
        body: Either<B, D>,
    }
}

impl<B, D> PassedOr<B, D> {
    pub(crate) fn passed(body: B) -> Self {
        let body = Either::Left(body);
        Self { body }
    }

    pub(crate) fn driven(body: D) -> Self {
        let body = Either::Right(body);
        Self { body }
    }
}

impl<B, D> Body for PassedOr<B, D>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    D: Body<Data = Bytes>,
    D::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
