//! Reading a body up to a limit.

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;

use crate::body::Whole;

/// What came of reading a body.
pub(crate) enum Gathered<E> {
    /// It ended within the limit.
    Whole(Whole),
    /// It has more bytes than the limit; these were read before that was known.
    Outgrown(Bytes),
    /// It broke off after these bytes.
    Broken(Bytes, E),
}

/// Reads a body that announces a size within the limit.
///
/// # Errors
/// The bytes before it broke off, and how it did.
pub(crate) async fn gather_all<B>(body: B) -> Result<Whole, (Bytes, B::Error)>
where
    B: Body<Data = Bytes> + Unpin,
{
    match gather(body, usize::MAX).await {
        Gathered::Whole(whole) => Ok(whole),
        Gathered::Outgrown(read) => Ok(read.into()),
        Gathered::Broken(read, error) => Err((read, error)),
    }
}

/// Reads a body until it ends, breaks, or turns out to be larger than `limit` bytes. A body that
/// announces a larger size is not read at all.
///
/// A body that comes in one piece, as most do, is not copied.
pub(crate) async fn gather<B>(mut body: B, limit: usize) -> Gathered<B::Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut pieces = Pieces::default();
    if body.size_hint().lower() > limit as u64 {
        return Gathered::Outgrown(Bytes::new());
    }
    while let Some(frame) = body.frame().await {
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(data)) => pieces.push(data),
            Ok(Err(frame)) => {
                return Gathered::Whole(Whole {
                    data: pieces.join(),
                    trailers: frame.into_trailers().ok().map(Box::new),
                });
            }
            Err(error) => return Gathered::Broken(pieces.join(), error),
        }
        if pieces.len() > limit {
            return Gathered::Outgrown(pieces.join());
        }
        if body.is_end_stream() {
            break;
        }
    }
    Gathered::Whole(pieces.join().into())
}

/// Reads what is left of a body that was refused, and keeps nothing of it.
///
/// A server that closes a connection on unread bytes makes the sender's system drop the answer
/// along with it, and a sender who sends before it reads never learns why it was refused. Only a
/// body of at most `bound` more bytes is worth that: one that announces more, or breaks off, is
/// left alone.
pub(crate) async fn read_past<B>(mut body: B, bound: u64)
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut left = bound;
    while body.size_hint().lower() <= left {
        let Some(Ok(frame)) = body.frame().await else {
            return;
        };
        let read = frame.data_ref().map_or(0, Bytes::len) as u64;
        let Some(rest) = left.checked_sub(read) else {
            return;
        };
        left = rest;
    }
}

#[derive(Default)]
struct Pieces {
    first: Bytes,
    all: BytesMut,
}

impl Pieces {
    fn push(&mut self, piece: Bytes) {
        if self.len() == 0 {
            self.first = piece;
            return;
        }
        if self.all.is_empty() {
            self.all.extend_from_slice(&self.first);
        }
        self.all.extend_from_slice(&piece);
    }

    fn len(&self) -> usize {
        self.first.len().max(self.all.len())
    }

    fn join(self) -> Bytes {
        match self.all.is_empty() {
            true => self.first,
            false => self.all.freeze(),
        }
    }
}
