//! Requests in the protocol of Postgres.

use std::collections::HashMap;

use bytes::BytesMut;

use super::request::{ReplyKind, Request};

/// Codes that stand in the place of a protocol version.
const CANCEL: u32 = 80_877_102;
const ENCRYPT: [u32; 2] = [80_877_103, 80_877_104];

/// What is remembered of a session, to know which statement a request runs.
#[derive(Debug, Default)]
pub(super) struct Session {
    greeted: bool,
    /// How much of the buffer has been looked at: messages of a request that is not whole yet.
    scanned: usize,
    /// The statements that the request so far runs.
    executed: Vec<String>,
    prepared: HashMap<Vec<u8>, String>,
    portals: HashMap<Vec<u8>, String>,
}

impl Session {
    /// Takes the next request off the front of `buffer`, once it is there whole.
    pub(super) fn next_request(&mut self, buffer: &mut BytesMut) -> Option<Request> {
        if !self.greeted {
            return self.greeting(buffer);
        }
        loop {
            let rest = &buffer[self.scanned..];
            let kind = *rest.first()?;
            let length = length_at(rest, 1)?;
            let body = rest.get(5..=length)?;
            self.note(kind, body);
            self.scanned += length + 1;
            let reply = match kind {
                b'Q' | b'S' | b'F' => ReplyKind::UntilReady,
                // Nothing may wait for a `Sync` that comes only after an answer to these.
                b'H' | b'd' | b'c' | b'f' | b'p' | b'X' => ReplyKind::None,
                _ => continue,
            };
            return Some(self.request(buffer, reply));
        }
    }

    fn greeting(&mut self, buffer: &mut BytesMut) -> Option<Request> {
        let length = length_at(buffer, 0)?;
        let code = u32::from_be_bytes(*buffer.get(4..length)?.first_chunk()?);
        let reply = match code {
            CANCEL => ReplyKind::None,
            code if ENCRYPT.contains(&code) => ReplyKind::EncryptionByte,
            _ => {
                self.greeted = true;
                ReplyKind::UntilReady
            }
        };
        Some(Request::passing(buffer.split_to(length).freeze(), reply))
    }

    fn request(&mut self, buffer: &mut BytesMut, reply: ReplyKind) -> Request {
        let bytes = buffer.split_to(std::mem::take(&mut self.scanned)).freeze();
        let statements = std::mem::take(&mut self.executed);
        if statements.is_empty() {
            return Request::passing(bytes, reply);
        }
        Request {
            bytes,
            commands: statements.iter().flat_map(|sql| commands(sql)).collect(),
            executed: Some(statements.join("\n").into_bytes()),
            reply,
        }
    }

    fn note(&mut self, kind: u8, body: &[u8]) {
        let mut strings = body.split(|byte| *byte == 0);
        let mut next = || strings.next().unwrap_or_default();
        match kind {
            b'P' => {
                let name = next().to_vec();
                let sql = String::from_utf8_lossy(next()).into_owned();
                self.prepared.insert(name, sql);
            }
            b'B' => {
                let portal = next().to_vec();
                let sql = self.prepared.get(next()).cloned().unwrap_or_default();
                self.portals.insert(portal, sql);
            }
            b'E' => {
                let sql = self.portals.get(next()).cloned().unwrap_or_default();
                self.executed.push(sql);
            }
            b'Q' => self
                .executed
                .push(String::from_utf8_lossy(next()).into_owned()),
            _ => {}
        }
    }
}

/// A message's length counts itself and not the letter before it.
fn length_at(bytes: &[u8], offset: usize) -> Option<usize> {
    let length = bytes.get(offset..)?.first_chunk()?;
    usize::try_from(u32::from_be_bytes(*length)).ok()
}

/// The first word of each statement.
fn commands(sql: &str) -> impl Iterator<Item = String> {
    sql.split(';')
        .filter_map(|statement| statement.split_whitespace().next())
        .map(str::to_ascii_uppercase)
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::{ReplyKind, Session};

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[kind], &length.to_be_bytes()[..], body].concat()
    }

    fn greeted() -> Session {
        Session {
            greeted: true,
            ..Session::default()
        }
    }

    #[test]
    fn preparing_a_statement_is_not_running_it() {
        let prepare = [
            message(b'P', b"s1\0INSERT INTO t VALUES ($1)\0\0\0"),
            message(b'D', b"Ss1\0"),
            message(b'S', b""),
        ]
        .concat();
        let run = [
            message(b'B', b"\0s1\0\0\0\0\x01\0\0\0\x05money\0\0"),
            message(b'E', b"\0\0\0\0\0"),
            message(b'S', b""),
        ]
        .concat();
        let mut session = greeted();
        let mut buffer = BytesMut::from(&[prepare.clone(), run.clone()].concat()[..]);

        let first = session.next_request(&mut buffer).unwrap();
        assert_eq!(first.bytes, prepare);
        assert!(first.commands.is_empty());
        assert!(!first.contains(b"INSERT"));

        let second = session.next_request(&mut buffer).unwrap();
        assert_eq!(second.bytes, run);
        assert_eq!(second.commands, ["INSERT"]);
        assert!(second.contains(b"INTO t"), "by the statement");
        assert!(second.contains(b"money"), "by the parameter");
    }

    #[test]
    fn a_request_that_arrives_byte_by_byte_is_one_request() {
        let query = message(b'Q', b"begin; insert into t values (1)\0");
        let mut session = greeted();
        let mut buffer = BytesMut::new();
        for byte in &query[..query.len() - 1] {
            buffer.extend_from_slice(&[*byte]);
            assert!(session.next_request(&mut buffer).is_none());
        }
        buffer.extend_from_slice(&query[query.len() - 1..]);
        let request = session.next_request(&mut buffer).unwrap();
        assert_eq!(request.commands, ["BEGIN", "INSERT"]);
        assert_eq!(request.reply, ReplyKind::UntilReady);
    }

    #[test]
    fn copied_data_does_not_wait_for_a_sync() {
        let mut session = greeted();
        let mut buffer = BytesMut::from(&message(b'd', b"1\t2\n")[..]);
        let data = session.next_request(&mut buffer).unwrap();
        assert_eq!(data.reply, ReplyKind::None);
    }

    #[test]
    fn a_greeting_may_first_ask_for_encryption() {
        let mut session = Session::default();
        let mut buffer = BytesMut::from(&b"\0\0\0\x08\x04\xd2\x16\x2f"[..]);
        let ask = session.next_request(&mut buffer).unwrap();
        assert_eq!(ask.reply, ReplyKind::EncryptionByte);
        buffer.extend_from_slice(b"\0\0\0\x09\0\x03\0\0\0");
        let startup = session.next_request(&mut buffer).unwrap();
        assert_eq!(startup.reply, ReplyKind::UntilReady);
    }
}
