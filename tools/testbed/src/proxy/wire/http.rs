//! Requests of HTTP/1.1.

use bytes::BytesMut;

use super::request::{ReplyKind, Request};

/// Takes the next request off the front of `buffer`, once it is there whole: its head, and as much
/// behind it as `Content-Length` says. A chunked body is not looked into.
pub(super) fn next_request(buffer: &mut BytesMut) -> Option<Request> {
    let end = buffer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
    let mut lines = head.split("\r\n");
    let method = lines.next()?.split(' ').next()?.to_ascii_uppercase();
    let body = lines
        .filter_map(|line| line.strip_prefix("content-length:"))
        .find_map(|length| length.trim().parse().ok())
        .unwrap_or(0_usize);
    let length = end + 4 + body;
    if buffer.len() < length {
        return None;
    }
    Some(Request {
        bytes: buffer.split_to(length).freeze(),
        commands: vec![method],
        executed: Some(Vec::new()),
        reply: ReplyKind::Chunk,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart_wherever_they_are_cut() {
        let first = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\na\r\n\r\nb";
        let second = b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n";
        let both = [&first[..], second].concat();
        for cut in 0..first.len() {
            let mut buffer = BytesMut::from(&both[..cut]);
            assert!(next_request(&mut buffer).is_none());
            buffer.extend_from_slice(&both[cut..]);
            let post = next_request(&mut buffer).unwrap();
            assert_eq!(post.bytes, first[..]);
            assert_eq!(post.commands, ["POST"]);
            assert!(post.contains(b"a\r\n\r\nb"));
            assert_eq!(next_request(&mut buffer).unwrap().commands, ["GET"]);
            assert!(buffer.is_empty());
        }
    }
}
