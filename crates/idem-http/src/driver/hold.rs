//! How much of an answer's body is held back before it goes out.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Sleep, sleep};

use super::{BoxError, CommitWith, Piece, Source, Whole, read::Pieces};

/// When to stop holding an answer back.
pub(super) struct Hold<'a> {
    /// This long after its handler returned.
    pub(super) time: Duration,
    /// At more than so many bytes, where it announced no size within `limit`.
    pub(super) bytes: usize,
    /// At more than so many bytes in any case.
    pub(super) limit: usize,
    /// With a transaction in it, there is no other bound than `limit`: it is to be committed
    /// before anybody sees the answer.
    pub(super) commit_with: Option<&'a CommitWith>,
}

/// What was read by then.
pub(super) enum Held {
    Whole(Whole),
    /// There is more to come.
    Open(Pieces),
    /// It broke off.
    Broken(Bytes, BoxError),
}

impl Hold<'_> {
    pub(super) async fn read<S: Source>(&self, mut body: Pin<&mut S>) -> Held {
        let known = body.size().exact;
        let bytes = match known.is_some_and(|size| size <= self.limit as u64) {
            true => self.limit,
            false => self.bytes.min(self.limit),
        };
        let mut pieces = Pieces::default();
        let mut timer = None;
        while !body.is_over() {
            match self.next(body.as_mut(), &mut timer).await {
                Next::Late => return Held::Open(pieces),
                Next::End => break,
                Next::Piece(Err(error)) => return Held::Broken(pieces.join(), error),
                Next::Piece(Ok(Piece::Data(data))) => pieces.push(data),
                Next::Piece(Ok(Piece::Trailers(trailers))) => {
                    return Held::Whole(Whole {
                        data: pieces.join(),
                        trailers: Some(Box::new(trailers)),
                    });
                }
            }
            let most = match self.has_transaction() {
                true => self.limit,
                false => bytes,
            };
            if pieces.len() > most && !body.is_over() {
                return Held::Open(pieces);
            }
        }
        Held::Whole(pieces.join().into())
    }

    /// The next piece, or that the time is over. A body that is ready costs no timer.
    async fn next<S: Source>(
        &self,
        mut body: Pin<&mut S>,
        timer: &mut Option<Pin<Box<Sleep>>>,
    ) -> Next {
        poll_fn(|cx| {
            if let Poll::Ready(piece) = body.as_mut().poll_piece(cx) {
                return Poll::Ready(piece.map_or(Next::End, Next::Piece));
            }
            if self.has_transaction() {
                return Poll::Pending;
            }
            if !self.time.is_zero() {
                let timer = timer.get_or_insert_with(|| Box::pin(sleep(self.time)));
                ready!(timer.as_mut().poll(cx));
            }
            Poll::Ready(Next::Late)
        })
        .await
    }

    fn has_transaction(&self) -> bool {
        self.commit_with.is_some_and(CommitWith::is_taken)
    }
}

enum Next {
    Piece(Result<Piece, BoxError>),
    End,
    Late,
}
