//! Bodies as the driver sees them: [`Source`], [`Whole`] and [`AnswerBody`].

use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;

use super::live::Live;

/// An error of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A part of a body.
#[derive(Debug)]
pub enum Piece {
    /// Some of its bytes.
    Data(Bytes),
    /// What comes after the last of them.
    Trailers(HeaderMap),
}

/// How many bytes are still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// At least so many.
    pub at_least: u64,
    /// So many, where that is known.
    pub exact: Option<u64>,
}

impl Size {
    /// A size that is known.
    #[must_use]
    pub fn exactly(bytes: u64) -> Self {
        Self {
            at_least: bytes,
            exact: Some(bytes),
        }
    }
}

/// A body that the driver reads; a shell implements it for its framework's.
pub trait Source {
    /// The next piece; `None` after the last. It is not polled after that, nor after an error.
    fn poll_piece(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Piece, BoxError>>>;

    /// What it says of its size.
    fn size(&self) -> Size;

    /// Whether there is nothing more to come; `false` where that is not known.
    fn is_over(&self) -> bool;
}

/// A body that was read to its end.
#[derive(Default)]
pub struct Whole {
    /// Its bytes.
    pub data: Bytes,
    /// What came after them.
    pub trailers: Option<Box<HeaderMap>>,
}

impl Source for Whole {
    fn poll_piece(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Piece, BoxError>>> {
        if !self.data.is_empty() {
            return Poll::Ready(Some(Ok(Piece::Data(mem::take(&mut self.data)))));
        }
        let trailers = self.trailers.take();
        Poll::Ready(trailers.map(|trailers| Ok(Piece::Trailers(*trailers))))
    }

    /// Known only without trailers: HTTP/1.1 sends none after a body of known length.
    fn size(&self) -> Size {
        let len = self.data.len() as u64;
        Size {
            at_least: len,
            exact: self.trailers.is_none().then_some(len),
        }
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

impl fmt::Debug for Whole {
    /// Its size: contents never reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Whole({} bytes)", self.data.len())
    }
}

/// The body of an [`Answer`](super::Answer): whole, or on its way.
pub struct AnswerBody {
    read: Whole,
    rest: Rest,
}

enum Rest {
    Nothing,
    /// The handler's body broke off.
    Broken(Option<BoxError>),
    Live(Box<Live>),
}

impl AnswerBody {
    pub(super) fn broken(read: Bytes, error: BoxError) -> Self {
        Self {
            read: read.into(),
            rest: Rest::Broken(Some(error)),
        }
    }

    pub(super) fn live(read: Bytes, live: Live) -> Self {
        Self {
            read: read.into(),
            rest: Rest::Live(Box::new(live)),
        }
    }

    /// The part that is still on its way.
    pub(super) fn live_mut(&mut self) -> Option<&mut Live> {
        match &mut self.rest {
            Rest::Live(live) => Some(live),
            _ => None,
        }
    }
}

impl From<Whole> for AnswerBody {
    fn from(read: Whole) -> Self {
        Self {
            read,
            rest: Rest::Nothing,
        }
    }
}

impl From<Bytes> for AnswerBody {
    fn from(read: Bytes) -> Self {
        Whole::from(read).into()
    }
}

impl Source for AnswerBody {
    fn poll_piece(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Piece, BoxError>>> {
        if let Some(piece) = ready!(Pin::new(&mut self.read).poll_piece(cx)) {
            return Poll::Ready(Some(piece));
        }
        match &mut self.rest {
            Rest::Nothing => Poll::Ready(None),
            Rest::Broken(error) => Poll::Ready(error.take().map(Err)),
            Rest::Live(live) => live.poll_piece(cx),
        }
    }

    fn size(&self) -> Size {
        let read = self.read.size();
        match &self.rest {
            Rest::Nothing => read,
            Rest::Broken(_) => Size {
                exact: None,
                ..read
            },
            Rest::Live(live) => live.size(read.at_least),
        }
    }

    fn is_over(&self) -> bool {
        let rest = match &self.rest {
            Rest::Nothing => true,
            Rest::Broken(error) => error.is_none(),
            Rest::Live(live) => live.is_over(),
        };
        rest && self.read.is_over()
    }
}

impl fmt::Debug for AnswerBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = match &self.rest {
            Rest::Nothing => "whole",
            Rest::Broken(_) => "broken",
            Rest::Live(_) => "live",
        };
        f.debug_struct("AnswerBody")
            .field("read", &self.read)
            .field("rest", &rest)
            .finish()
    }
}
