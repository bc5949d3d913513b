//! Bodies between actix-web and the driver.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::{
    body::{BodySize, BoxBody, MessageBody},
    dev::Payload,
    error::PayloadError,
    http::header::{CONTENT_LENGTH, HeaderMap},
};
use bytes::Bytes;
use futures_util::Stream;
use idem_http::driver::{AnswerBody, BoxError, LimitExceeded, Piece, Size, Source};
use pin_project_lite::pin_project;

/// A request's body, for the driver to read.
pub(crate) struct Received {
    payload: Payload,
    /// How much of it is still to come, where the client said so.
    left: Option<u64>,
}

impl Received {
    pub(crate) fn new(headers: &HeaderMap, payload: Payload) -> Self {
        let announced = headers.get(CONTENT_LENGTH);
        let left = match payload {
            Payload::None => Some(0),
            _ => announced.and_then(|length| length.to_str().ok()?.parse().ok()),
        };
        Self { payload, left }
    }
}

impl Source for Received {
    fn poll_piece(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Piece, BoxError>>> {
        let piece = ready!(Pin::new(&mut self.payload).poll_next(cx));
        Poll::Ready(piece.map(|read| match read {
            Ok(data) => {
                let read = data.len() as u64;
                self.left = self.left.map(|left| left.saturating_sub(read));
                Ok(Piece::Data(data))
            }
            Err(PayloadError::Overflow) => Err(LimitExceeded.into()),
            Err(error) => Err(Broken(error.to_string()).into()),
        }))
    }

    /// A hint: a layer outside of this one may have decoded the body, and left the header as it was.
    fn size(&self) -> Size {
        Size {
            at_least: self.left.unwrap_or(0),
            exact: None,
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.payload, Payload::None)
    }
}

/// The error of a body of actix-web's, which may be tied to its thread, as text.
#[derive(Debug)]
struct Broken(String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Broken {}

/// What was read of a request's body, for the handler.
pub(crate) fn payload(data: Bytes) -> Payload {
    match data.is_empty() {
        true => Payload::None,
        false => Payload::from(data),
    }
}

pin_project! {
    /// The body of a handler's answer, for the driver to read.
    pub(crate) struct Made<B> {
        #[pin]
        pub(crate) body: B,
    }
}

impl<B: MessageBody> Source for Made<B> {
    fn poll_piece(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Piece, BoxError>>> {
        let read = ready!(self.project().body.poll_next(cx));
        Poll::Ready(read.map(|read| match read {
            Ok(data) => Ok(Piece::Data(data)),
            Err(error) => Err(Broken(error.into().to_string()).into()),
        }))
    }

    fn size(&self) -> Size {
        match self.body.size() {
            BodySize::None => Size::exactly(0),
            BodySize::Sized(size) => Size::exactly(size),
            BodySize::Stream => Size::default(),
        }
    }

    fn is_over(&self) -> bool {
        self.body.size().is_eof()
    }
}

/// What the driver answers with, for the client.
struct Outgoing {
    body: AnswerBody,
    /// actix-web throws away what it has not written when a body breaks off. The error waits until
    /// that is written.
    broken: Option<BoxError>,
}

impl MessageBody for Outgoing {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        match self.body.size().exact {
            Some(size) => BodySize::Sized(size),
            None => BodySize::Stream,
        }
    }

    /// Trailers have no way through actix-web. An empty piece would end a chunked body.
    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        loop {
            match ready!(Pin::new(&mut self.body).poll_piece(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => {
                    self.broken = Some(error);
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(Ok(Piece::Data(data))) if !data.is_empty() => {
                    return Poll::Ready(Some(Ok(data)));
                }
                Some(Ok(_)) => {}
            }
        }
    }
}

pub(crate) fn boxed(body: AnswerBody) -> BoxBody {
    BoxBody::new(Outgoing { body, broken: None })
}
