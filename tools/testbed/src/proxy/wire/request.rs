//! Requests, whatever the client speaks.

use bytes::{Bytes, BytesMut};

use super::{http, mysql, postgres, resp};

/// One request.
#[derive(Debug)]
pub(in crate::proxy) struct Request {
    pub(in crate::proxy) bytes: Bytes,
    /// What it has the server do, in capital letters.
    pub(in crate::proxy) commands: Vec<String>,
    /// What [`contains`](Self::contains) looks through besides the bytes; none if the request does
    /// nothing by itself, and then the bytes are not looked through either.
    pub(super) executed: Option<Vec<u8>>,
    pub(super) reply: ReplyKind,
}

impl Request {
    /// Bytes that are not looked into and await nothing in particular.
    pub(super) fn passing(bytes: Bytes, reply: ReplyKind) -> Self {
        Self {
            bytes,
            commands: Vec::new(),
            executed: None,
            reply,
        }
    }

    pub(in crate::proxy) fn contains(&self, part: &[u8]) -> bool {
        self.executed
            .as_ref()
            .is_some_and(|executed| is_in(part, executed) || is_in(part, &self.bytes))
    }

    pub(in crate::proxy) fn awaits_reply(&self) -> bool {
        !matches!(
            self.reply,
            ReplyKind::None | ReplyKind::Pushed | ReplyKind::Stream
        )
    }
}

/// What the server answers, by where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReplyKind {
    /// Nothing, or nothing that belongs to this request alone.
    None,
    /// Frames of the protocol of Redis that belong to no request.
    Pushed,
    /// One frame of the protocol of Redis.
    Frame,
    /// Messages up to `ReadyForQuery`.
    UntilReady,
    /// One byte without a frame: whether the server encrypts.
    EncryptionByte,
    /// Whatever comes next.
    Chunk,
    /// No more replies at all: both sides send as they please from here on.
    Stream,
}

/// Finds the requests in what a client sends.
#[derive(Debug, Default)]
pub(in crate::proxy) struct RequestReader {
    dialect: Dialect,
}

#[derive(Debug, Default)]
enum Dialect {
    /// Nothing was sent yet.
    #[default]
    Unknown,
    Resp,
    Postgres(postgres::Session),
    Http,
    MySql,
    /// None of these: what arrives at once is a request.
    Other,
    /// Bytes that are no requests.
    Stream,
}

impl RequestReader {
    /// Takes the next request off the front of `buffer`, once it is there whole.
    pub(in crate::proxy) fn next(
        &mut self,
        buffer: &mut BytesMut,
        encrypted: bool,
    ) -> Option<Request> {
        let first = *buffer.first()?;
        if encrypted {
            self.dialect = Dialect::Stream;
        }
        match &mut self.dialect {
            Dialect::Unknown => {
                self.dialect = match first {
                    0 => Dialect::Postgres(postgres::Session::default()),
                    _ if mysql::is_greeting(buffer) => Dialect::MySql,
                    b'*' => Dialect::Resp,
                    b'A'..=b'Z' => Dialect::Http,
                    _ => Dialect::Other,
                };
                self.next(buffer, encrypted)
            }
            Dialect::Resp => match resp::next_request(buffer) {
                Ok(request) => {
                    if matches!(&request, Some(request) if request.reply == ReplyKind::Stream) {
                        self.dialect = Dialect::Stream;
                    }
                    request
                }
                Err(_) => {
                    self.dialect = Dialect::Stream;
                    self.next(buffer, encrypted)
                }
            },
            Dialect::Postgres(session) => session.next_request(buffer),
            Dialect::Http => http::next_request(buffer),
            Dialect::MySql => mysql::next_request(buffer),
            Dialect::Other => Some(Request {
                bytes: buffer.split().freeze(),
                commands: Vec::new(),
                executed: Some(Vec::new()),
                reply: ReplyKind::Chunk,
            }),
            Dialect::Stream => Some(Request::passing(buffer.split().freeze(), ReplyKind::Stream)),
        }
    }
}

fn is_in(part: &[u8], whole: &[u8]) -> bool {
    part.is_empty() || whole.windows(part.len()).any(|window| window == part)
}
