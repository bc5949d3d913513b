//! Which reply belongs to which request.

use std::{collections::VecDeque, sync::Arc};

use bytes::{Bytes, BytesMut};

use super::request::{ReplyKind, Request};
use crate::{proxy::armed::Verdict, redis::frame_length};

/// A reply or a part of one.
#[derive(Debug)]
pub(in crate::proxy) struct Piece {
    pub(in crate::proxy) bytes: Bytes,
    /// What is to happen to the reply that this belongs to.
    pub(in crate::proxy) verdict: Option<Arc<Verdict>>,
    /// Whether the reply ends here.
    pub(in crate::proxy) is_last: bool,
}

/// The replies that are due on one connection, in the order of their requests.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Conversation {
    framing: Framing,
    due: VecDeque<Due>,
    encrypted: bool,
}

#[derive(Debug)]
struct Due {
    kind: ReplyKind,
    verdict: Option<Arc<Verdict>>,
}

/// How what the server sends is cut up, whether it was asked for or not.
#[derive(Debug, Default, Clone, Copy)]
enum Framing {
    #[default]
    Chunks,
    Resp,
    Postgres,
}

impl Conversation {
    /// Notes that `request` is about to go on.
    pub(in crate::proxy) fn expect_reply(
        &mut self,
        request: &Request,
        verdict: Option<Arc<Verdict>>,
    ) {
        self.framing = match request.reply {
            ReplyKind::Frame | ReplyKind::Pushed => Framing::Resp,
            ReplyKind::UntilReady | ReplyKind::EncryptionByte => Framing::Postgres,
            ReplyKind::Chunk | ReplyKind::Stream => Framing::Chunks,
            ReplyKind::None => self.framing,
        };
        if request.awaits_reply() {
            self.due.push_back(Due {
                kind: request.reply,
                verdict,
            });
        }
    }

    /// Takes the next piece off the front of what the server sent, once it is there whole.
    pub(in crate::proxy) fn next_piece(&mut self, buffer: &mut BytesMut) -> Option<Piece> {
        if buffer.is_empty() {
            return None;
        }
        match self.framing {
            Framing::Chunks => Some(self.answer(buffer.split())),
            Framing::Resp => self.next_frame(buffer),
            Framing::Postgres => self.next_message(buffer),
        }
    }

    /// Lets the rest of the reply that is under way pass.
    pub(in crate::proxy) fn pardon(&mut self) {
        if let Some(due) = self.due.front_mut() {
            due.verdict = None;
        }
    }

    /// Whether nothing can be told apart any more from here on.
    pub(in crate::proxy) fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    fn next_frame(&mut self, buffer: &mut BytesMut) -> Option<Piece> {
        let Ok(length) = frame_length(buffer) else {
            self.framing = Framing::Chunks;
            return self.next_piece(buffer);
        };
        let frame = buffer.split_to(length?);
        // Pushed: nobody asked for it.
        if frame.first() == Some(&b'>') {
            return Some(unasked(frame));
        }
        Some(self.answer(frame))
    }

    fn next_message(&mut self, buffer: &mut BytesMut) -> Option<Piece> {
        if matches!(self.due.front(), Some(due) if due.kind == ReplyKind::EncryptionByte) {
            self.encrypted = buffer.first() != Some(&b'N');
            if self.encrypted {
                self.framing = Framing::Chunks;
            }
            return Some(self.answer(buffer.split_to(1)));
        }
        let length = u32::from_be_bytes(*buffer.get(1..)?.first_chunk()?);
        let length = usize::try_from(length).ok()?.saturating_add(1);
        if buffer.len() < length {
            return None;
        }
        let message = buffer.split_to(length);
        if message.first() == Some(&b'Z') {
            return Some(self.answer(message));
        }
        Some(Piece {
            bytes: message.freeze(),
            verdict: self.due.front().and_then(|due| due.verdict.clone()),
            is_last: false,
        })
    }

    /// The end of the reply that is due, if one is.
    fn answer(&mut self, bytes: BytesMut) -> Piece {
        Piece {
            bytes: bytes.freeze(),
            verdict: self.due.pop_front().and_then(|due| due.verdict),
            is_last: true,
        }
    }
}

fn unasked(bytes: BytesMut) -> Piece {
    Piece {
        bytes: bytes.freeze(),
        verdict: None,
        is_last: true,
    }
}
