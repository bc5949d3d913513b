//! Reading a body up to a limit.

use std::{error::Error, future::poll_fn, pin::Pin};

use bytes::{Bytes, BytesMut};

use super::{BoxError, Piece, Source, Whole};

/// A request's body broke off because it outgrew a limit that something further out set. A shell
/// puts this into the error of its [`Source`], and the client is told 413.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the body is larger than an outer limit")]
pub struct LimitExceeded;

impl LimitExceeded {
    pub(super) fn is_behind(error: &(dyn Error + 'static)) -> bool {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if error.is::<Self>() {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

/// What came of reading a body.
pub(super) enum Read {
    /// It ended within the limit.
    Whole(Whole),
    /// It has more bytes than the limit.
    Outgrown,
    /// It broke off.
    Broken(BoxError),
    /// It did not end in time.
    Late,
}

/// Reads a body until it ends, breaks, or turns out to be larger than `limit` bytes. A body that
/// announces a larger size is not read at all.
pub(super) async fn read<S: Source>(mut body: Pin<&mut S>, limit: usize) -> Read {
    let mut pieces = Pieces::default();
    if body.size().at_least > limit as u64 {
        return Read::Outgrown;
    }
    while !body.is_over() {
        match next(body.as_mut()).await {
            None => break,
            Some(Ok(Piece::Data(data))) => pieces.push(data),
            Some(Ok(Piece::Trailers(trailers))) => {
                return Read::Whole(Whole {
                    data: pieces.join(),
                    trailers: Some(Box::new(trailers)),
                });
            }
            Some(Err(error)) => return Read::Broken(error),
        }
        if pieces.len() > limit {
            return Read::Outgrown;
        }
    }
    Read::Whole(pieces.join().into())
}

/// Reads what is left of a body that was refused, and keeps nothing of it.
///
/// A server that closes a connection on unread bytes makes the sender's system drop the answer
/// along with it, and a sender who sends before it reads never learns why it was refused. Only a
/// body of at most `bound` more bytes is worth that: one that announces more, or breaks off, is
/// left alone.
pub(super) async fn read_past<S: Source>(mut body: Pin<&mut S>, bound: u64) {
    let mut left = bound;
    while body.size().at_least <= left {
        let Some(Ok(Piece::Data(data))) = next(body.as_mut()).await else {
            return;
        };
        let Some(rest) = left.checked_sub(data.len() as u64) else {
            return;
        };
        left = rest;
    }
}

pub(super) async fn next<S: Source>(mut body: Pin<&mut S>) -> Option<Result<Piece, BoxError>> {
    poll_fn(|cx| body.as_mut().poll_piece(cx)).await
}

/// Bytes put together. Those that come in one piece, as most do, are not copied.
#[derive(Default)]
pub(super) struct Pieces {
    first: Bytes,
    all: BytesMut,
}

impl Pieces {
    pub(super) fn push(&mut self, piece: Bytes) {
        if self.len() == 0 {
            self.first = piece;
            return;
        }
        if self.all.is_empty() {
            self.all.extend_from_slice(&self.first);
        }
        self.all.extend_from_slice(&piece);
    }

    pub(super) fn len(&self) -> usize {
        self.first.len().max(self.all.len())
    }

    /// What there is so far.
    pub(super) fn bytes(&self) -> Bytes {
        match self.all.is_empty() {
            true => self.first.clone(),
            false => Bytes::copy_from_slice(&self.all),
        }
    }

    pub(super) fn join(self) -> Bytes {
        match self.all.is_empty() {
            true => self.first,
            false => self.all.freeze(),
        }
    }
}
