//! An answer that goes out while its handler is still making it.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use tokio::sync::mpsc;

use super::{
    AnswerBody, BoxError, Piece, Size, Source, Whole,
    detached::Attended,
    read::{Pieces, next},
};

/// Pieces that wait for a client that reads slowly. A full channel makes the handler wait.
const ROOM: usize = 16;

enum Message {
    Piece(Piece),
    Broken(BoxError),
    /// The answer was whole, and is stored.
    End,
}

/// What the client of a live answer gets instead of its end: the execution was stopped, or its
/// answer is not the one that counts. Send the request again with the same key.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the answer was cut off: its execution was stopped, or another one took over")]
#[non_exhaustive]
pub struct CutOff;

/// The client's end.
pub(super) struct Live {
    messages: mpsc::Receiver<Message>,
    /// How many bytes are to come, where the handler said so.
    left: Option<u64>,
    over: bool,
    attended: Option<Attended>,
}

impl Live {
    pub(super) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Piece, BoxError>>> {
        if self.over {
            return Poll::Ready(None);
        }
        let message = ready!(self.messages.poll_recv(cx));
        Poll::Ready(match message {
            Some(Message::Piece(piece)) => {
                if let (Some(left), Piece::Data(data)) = (&mut self.left, &piece) {
                    *left = left.saturating_sub(data.len() as u64);
                }
                Some(Ok(piece))
            }
            ended => {
                self.over = true;
                match ended {
                    Some(Message::Broken(error)) => Some(Err(error)),
                    Some(_) => None,
                    None => Some(Err(Box::new(CutOff))),
                }
            }
        })
    }

    /// With so many bytes before it.
    pub(super) fn size(&self, read: u64) -> Size {
        match self.left {
            Some(left) => Size::exactly(read.saturating_add(left)),
            None => Size {
                at_least: read,
                exact: None,
            },
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Whoever drops this live answer has gone away.
    pub(super) fn attend(&mut self, attended: Attended) {
        self.attended = Some(attended);
    }
}

/// The handler's end. Dropped without [`end`](Self::end) it cuts the answer off.
pub(super) struct Outgoing {
    messages: mpsc::Sender<Message>,
    /// They are the end of the answer, so they are held back like it.
    trailers: Option<HeaderMap>,
    /// What is to be stored.
    captured: Captured,
}

enum Captured {
    Data(Pieces),
    Whole(Whole),
    /// It outgrew the limit, broke off, or is not to be kept.
    Nothing,
}

impl Outgoing {
    /// Starts a live answer with what was read of it. `total` is the size that it announced.
    /// `capture` says whether it is to be stored.
    pub(super) fn start(read: Pieces, total: Option<u64>, capture: bool) -> (Self, AnswerBody) {
        let (messages, receiver) = mpsc::channel(ROOM);
        let data = read.bytes();
        let live = Live {
            messages: receiver,
            left: total.and_then(|total| total.checked_sub(data.len() as u64)),
            over: false,
            attended: None,
        };
        let captured = match capture {
            true => Captured::Data(read),
            false => Captured::Nothing,
        };
        let outgoing = Self {
            messages,
            trailers: None,
            captured,
        };
        (outgoing, AnswerBody::live(data, live))
    }

    /// Sends the rest of a body, and captures up to `limit` bytes of it. A client that is gone
    /// stops nothing.
    pub(super) async fn pump<S: Source>(&mut self, mut body: Pin<&mut S>, limit: usize) {
        loop {
            let piece = match next(body.as_mut()).await {
                None => return self.capture_end(None),
                Some(Ok(piece)) => piece,
                Some(Err(error)) => {
                    self.captured = Captured::Nothing;
                    let _ = self.messages.send(Message::Broken(error)).await;
                    return;
                }
            };
            match piece {
                Piece::Data(data) => {
                    self.capture(&data, limit);
                    let _ = self.messages.send(Message::Piece(Piece::Data(data))).await;
                }
                Piece::Trailers(trailers) => {
                    self.trailers = Some(trailers.clone());
                    return self.capture_end(Some(Box::new(trailers)));
                }
            }
        }
    }

    fn capture(&mut self, data: &Bytes, limit: usize) {
        if let Captured::Data(pieces) = &mut self.captured {
            match pieces.len().saturating_add(data.len()) > limit {
                true => self.captured = Captured::Nothing,
                false => pieces.push(data.clone()),
            }
        }
    }

    fn capture_end(&mut self, trailers: Option<Box<HeaderMap>>) {
        if let Captured::Data(pieces) = &mut self.captured {
            let data = std::mem::take(pieces).join();
            self.captured = Captured::Whole(Whole { data, trailers });
        }
    }

    /// Changes them before they are stored and sent.
    pub(super) fn edit_trailers(&mut self, mut edit: impl FnMut(&mut HeaderMap)) {
        self.trailers.iter_mut().for_each(&mut edit);
        if let Captured::Whole(whole) = &mut self.captured {
            whole
                .trailers
                .iter_mut()
                .for_each(|trailers| edit(trailers));
        }
    }

    /// The whole body, where it is to be stored.
    pub(super) fn captured(&self) -> Option<&Whole> {
        match &self.captured {
            Captured::Whole(whole) => Some(whole),
            Captured::Data(_) | Captured::Nothing => None,
        }
    }

    /// Lets the client know that its answer is whole.
    pub(super) async fn end(self) {
        if let Some(trailers) = self.trailers {
            let trailers = Message::Piece(Piece::Trailers(trailers));
            let _ = self.messages.send(trailers).await;
        }
        let _ = self.messages.send(Message::End).await;
    }
}
