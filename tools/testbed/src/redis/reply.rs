//! The serialization protocol of Redis: where a frame ends, and what a reply says.

use std::fmt;

/// A reply, in the second version of the protocol, which is what [`RespClient`](super::RespClient)
/// speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A status such as `OK`.
    Status(String),
    /// An error: its code and its words.
    Error(String),
    /// A number.
    Integer(i64),
    /// A string of bytes.
    Bulk(Vec<u8>),
    /// Several replies.
    Array(Vec<Self>),
    /// Nothing.
    Nil,
}

impl Reply {
    /// The status, number or (lossily decoded) string, if it is one of those.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Status(text) => Some(text.clone()),
            Self::Integer(number) => Some(number.to_string()),
            Self::Bulk(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            Self::Error(_) | Self::Array(_) | Self::Nil => None,
        }
    }

    /// The elements of an array; none of anything else.
    #[must_use]
    pub fn elements(&self) -> &[Self] {
        match self {
            Self::Array(elements) => elements,
            _ => &[],
        }
    }

    /// Takes a whole reply off the front of `bytes`, once it is there.
    pub(crate) fn take(bytes: &mut Vec<u8>) -> Result<Option<Self>, Malformed> {
        let Some(length) = frame_length(bytes)? else {
            return Ok(None);
        };
        let frame: Vec<u8> = bytes.drain(..length).collect();
        let (reply, _) = Self::parse(&frame)?;
        Ok(Some(reply))
    }

    /// Reads the reply at the front of a buffer that is known to hold it whole.
    fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let (kind, head, rest) = head(bytes)?.ok_or(Malformed)?;
        let text = || String::from_utf8_lossy(head).into_owned();
        match kind {
            b'+' => Ok((Self::Status(text()), rest)),
            b'-' => Ok((Self::Error(text()), rest)),
            b':' => Ok((Self::Integer(number(head)?), rest)),
            b'$' => match usize::try_from(number(head)?) {
                Err(_) => Ok((Self::Nil, rest)),
                Ok(length) => {
                    let bulk = rest.get(..length).ok_or(Malformed)?.to_vec();
                    Ok((Self::Bulk(bulk), rest.get(length + 2..).ok_or(Malformed)?))
                }
            },
            b'*' => match usize::try_from(number(head)?) {
                Err(_) => Ok((Self::Nil, rest)),
                Ok(count) => Self::parse_elements(count, rest),
            },
            _ => Err(Malformed),
        }
    }

    fn parse_elements(count: usize, mut rest: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let mut elements = Vec::new();
        for _ in 0..count {
            let (element, after) = Self::parse(rest)?;
            elements.push(element);
            rest = after;
        }
        Ok((Self::Array(elements), rest))
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => write!(f, "{error}"),
            Self::Nil => write!(f, "(nil)"),
            Self::Array(elements) => f
                .debug_list()
                .entries(elements.iter().map(ToString::to_string))
                .finish(),
            Self::Status(_) | Self::Integer(_) | Self::Bulk(_) => {
                write!(f, "{}", self.text().unwrap_or_default())
            }
        }
    }
}

/// What came is not this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the serialization protocol of Redis")]
pub(crate) struct Malformed;

/// How many bytes the frame at the front of `bytes` has, in either version of the protocol; none
/// while its end has not arrived.
pub(crate) fn frame_length(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let mut rest = bytes;
    let mut values_left = 1_usize;
    while values_left > 0 {
        let Some((kind, head, after)) = head(rest)? else {
            return Ok(None);
        };
        rest = after;
        values_left -= 1;
        match kind {
            b'+' | b'-' | b':' | b',' | b'#' | b'_' | b'(' => {}
            b'$' | b'=' | b'!' => {
                // A negative length is the nil of the second version.
                let body = usize::try_from(number(head)?).map_or(0, |length| length + 2);
                let Some(after) = rest.get(body..) else {
                    return Ok(None);
                };
                rest = after;
            }
            b'*' | b'~' | b'>' => values_left += elements(head)?,
            b'%' => values_left += elements(head)? * 2,
            // Attributes stand before the value that they describe.
            b'|' => values_left += elements(head)? * 2 + 1,
            _ => return Err(Malformed),
        }
    }
    Ok(Some(bytes.len() - rest.len()))
}

/// A value's kind, the rest of its first line, and what comes behind that line.
type Head<'a> = (u8, &'a [u8], &'a [u8]);

/// Splits the first line into its kind and the rest of it.
fn head(bytes: &[u8]) -> Result<Option<Head<'_>>, Malformed> {
    let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else {
        return Ok(None);
    };
    let (kind, line) = bytes[..end].split_first().ok_or(Malformed)?;
    Ok(Some((*kind, line, &bytes[end + 2..])))
}

fn number(digits: &[u8]) -> Result<i64, Malformed> {
    std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .ok_or(Malformed)
}

fn elements(digits: &[u8]) -> Result<usize, Malformed> {
    Ok(usize::try_from(number(digits)?).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::{Malformed, Reply, frame_length};

    #[test]
    fn a_frame_ends_where_its_last_value_ends() {
        for frame in [
            &b"+OK\r\n"[..],
            b"$3\r\na\r\n\r\n",
            b"$-1\r\n",
            b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n",
            b"*-1\r\n",
            b"*0\r\n",
            b"%1\r\n+k\r\n_\r\n",
            b"|1\r\n+ttl\r\n:3\r\n$1\r\nv\r\n",
            b">2\r\n+message\r\n#t\r\n",
        ] {
            let mut longer = frame.to_vec();
            longer.extend_from_slice(b"+NEXT\r\n");
            assert_eq!(frame_length(&longer), Ok(Some(frame.len())));
            for cut in 0..frame.len() {
                assert_eq!(frame_length(&frame[..cut]), Ok(None), "{frame:?} at {cut}");
            }
        }
    }

    #[test]
    fn what_is_not_the_protocol_is_said_to_be_so() {
        assert_eq!(frame_length(b"HTTP/1.1 200 OK\r\n"), Err(Malformed));
        assert_eq!(frame_length(b"$x\r\n"), Err(Malformed));
        assert_eq!(frame_length(b"\r\n"), Err(Malformed));
    }

    #[test]
    fn a_reply_is_read_whole_and_leaves_the_next_one() {
        let mut bytes = b"*3\r\n$1\r\n\x00\r\n:-7\r\n$-1\r\n+OK\r\n".to_vec();
        let first = Reply::take(&mut bytes).unwrap().unwrap();
        let expected = vec![Reply::Bulk(vec![0]), Reply::Integer(-7), Reply::Nil];
        assert_eq!(first, Reply::Array(expected));
        let second = Reply::take(&mut bytes).unwrap().unwrap();
        assert_eq!(second, Reply::Status("OK".to_owned()));
        assert_eq!(Reply::take(&mut bytes), Ok(None));
    }
}
