//! Commands in the protocol of Redis.

use bytes::BytesMut;

use super::request::{ReplyKind, Request};
use crate::redis::{Malformed, frame_length};

/// Takes the next command off the front of `buffer`, once it is there whole.
pub(super) fn next_request(buffer: &mut BytesMut) -> Result<Option<Request>, Malformed> {
    let Some(length) = frame_length(buffer)? else {
        return Ok(None);
    };
    let bytes = buffer.split_to(length).freeze();
    let name = command_name(&bytes).ok_or(Malformed)?;
    Ok(Some(Request {
        reply: reply_kind(&name),
        executed: Some(Vec::new()),
        commands: vec![name],
        bytes,
    }))
}

/// The first element of the array, in capital letters.
fn command_name(command: &[u8]) -> Option<String> {
    let mut lines = command.split(|byte| *byte == b'\n');
    let name = lines.nth(2)?.strip_suffix(b"\r")?;
    Some(String::from_utf8_lossy(name).to_ascii_uppercase())
}

fn reply_kind(command: &str) -> ReplyKind {
    match command {
        // In the third version of the protocol these are confirmed out of band, in the second by
        // one frame per channel: no count of replies would hold.
        "SUBSCRIBE" | "UNSUBSCRIBE" | "PSUBSCRIBE" | "PUNSUBSCRIBE" | "SSUBSCRIBE"
        | "SUNSUBSCRIBE" => ReplyKind::Pushed,
        "PSYNC" | "SYNC" | "MONITOR" => ReplyKind::Stream,
        _ => ReplyKind::Frame,
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::{ReplyKind, next_request};

    #[test]
    fn commands_sent_at_once_are_told_apart_wherever_they_are_cut() {
        let first = b"*3\r\n$3\r\nset\r\n$1\r\nk\r\n$4\r\n\r\n*1\r\n";
        let second = b"*1\r\n$9\r\nsubscribe\r\n";
        let both = [&first[..], second].concat();
        for cut in 0..first.len() {
            let mut buffer = BytesMut::from(&both[..cut]);
            assert!(next_request(&mut buffer).unwrap().is_none());
            buffer.extend_from_slice(&both[cut..]);
            let set = next_request(&mut buffer).unwrap().unwrap();
            assert_eq!(set.bytes, first[..]);
            assert_eq!(set.commands, ["SET"]);
            assert!(set.contains(b"\r\nk\r\n"));
            let subscribe = next_request(&mut buffer).unwrap().unwrap();
            assert_eq!(subscribe.reply, ReplyKind::Pushed);
            assert!(buffer.is_empty());
        }
    }
}
