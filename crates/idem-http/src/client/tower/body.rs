//! [`SentBody`]: a request's body that can be sent again.

use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::super::{error::BoxError, held::HeldBody};

/// The body that the client inside of [`IntentLayer`](super::IntentLayer) sends: the bytes that were
/// read, or the request's own body where it is sent once.
pub struct SentBody<B>(Kind<B>);

enum Kind<B> {
    Whole(Bytes),
    Once(HeldBody<B>),
}

impl<B> SentBody<B> {
    pub(super) fn once(body: HeldBody<B>) -> Self {
        Self(Kind::Once(body))
    }
}

/// The bodies of an intent's sendings: the same bytes each time, or one body.
pub(super) enum Supply<B> {
    Again(Bytes),
    Once(Option<HeldBody<B>>),
}

impl<B: Body<Data = Bytes>> Supply<B> {
    pub(super) fn of(body: HeldBody<B>) -> Self {
        match body.whole() {
            Some(bytes) => Self::Again(bytes),
            None => Self::Once(Some(body)),
        }
    }

    pub(super) fn take(&mut self) -> Option<SentBody<B>> {
        match self {
            Self::Again(bytes) => Some(SentBody(Kind::Whole(bytes.clone()))),
            Self::Once(body) => body.take().map(SentBody::once),
        }
    }

    pub(super) fn is_spent(&self) -> bool {
        matches!(self, Self::Once(None))
    }
}

impl<B> Body for SentBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Whole(data) if data.is_empty() => Poll::Ready(None),
            Kind::Whole(data) => Poll::Ready(Some(Ok(Frame::data(mem::take(data))))),
            Kind::Once(body) => {
                let frame = Pin::new(body).poll_frame(cx);
                frame.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(data) => data.is_empty(),
            Kind::Once(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(data) => SizeHint::with_exact(data.len() as u64),
            Kind::Once(body) => body.size_hint(),
        }
    }
}

impl<B> fmt::Debug for SentBody<B> {
    /// Without its contents.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0 {
            Kind::Whole(_) => "whole",
            Kind::Once(_) => "once",
        };
        f.debug_tuple("SentBody").field(&kind).finish()
    }
}
