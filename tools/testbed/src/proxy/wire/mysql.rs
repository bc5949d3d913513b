//! Requests in the protocol of MySQL and MariaDB.
//!
//! A client sends one request at a time and waits for its reply, of which whatever comes first stands
//! for the whole.

use bytes::BytesMut;

use super::request::{ReplyKind, Request};

/// A packet of this length goes on in the next one.
const LONGEST: usize = 0xff_ff_ff;

const QUIT: u8 = 0x01;
const QUERY: u8 = 0x03;
const PREPARE: u8 = 0x16;
const LONG_DATA: u8 = 0x18;
const CLOSE: u8 = 0x19;

/// Whether a conversation that begins with these bytes is one: the server has greeted, so the client's
/// first packet has the number 1.
pub(super) fn is_greeting(bytes: &[u8]) -> bool {
    bytes.get(3) == Some(&1)
}

/// Takes the next request off the front of `buffer`, once it is there whole.
pub(super) fn next_request(buffer: &mut BytesMut) -> Option<Request> {
    let mut end = 0;
    loop {
        let header: &[u8; 4] = buffer.get(end..)?.first_chunk()?;
        let [low, middle, high, _] = *header;
        let length = u32::from_le_bytes([low, middle, high, 0]);
        let length = usize::try_from(length).ok()?;
        end += 4 + length;
        buffer.get(..end)?;
        if length < LONGEST {
            break;
        }
    }
    let bytes = buffer.split_to(end).freeze();
    // What a client says before it is let in has no command.
    let command = match bytes.get(3) {
        Some(0) => bytes.get(4).copied(),
        _ => None,
    };
    Some(match command {
        Some(QUIT | LONG_DATA | CLOSE) => Request::passing(bytes, ReplyKind::None),
        Some(PREPARE) | None => Request::passing(bytes, ReplyKind::Chunk),
        Some(command) => Request {
            commands: match command {
                QUERY => first_word(&bytes[5..]).into_iter().collect(),
                _ => Vec::new(),
            },
            executed: Some(Vec::new()),
            reply: ReplyKind::Chunk,
            bytes,
        },
    })
}

fn first_word(sql: &[u8]) -> Option<String> {
    let word = sql.trim_ascii_start();
    let word = word.split(|byte| !byte.is_ascii_alphabetic()).next()?;
    let word = std::str::from_utf8(word).ok()?;
    Some(word.to_ascii_uppercase())
}
