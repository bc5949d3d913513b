//! The compact binary form of an answer.
//!
//! Format 1; numbers are LEB128 varints in their shortest form:
//!
//! ```text
//! u8       format (1)
//! u8       body: 0 kept, 1 omitted, 2 kept and compressed (zstd); plus 128 with trailers
//! u16      status, big-endian
//! number   header lines
//!   u8       name: 0 spelled out, else its place in a fixed table
//!   bytes    name                 (spelled out only; number of bytes, then the bytes)
//!   bytes    value
//! number   trailer lines, then each as a header line   (with trailers only)
//! number   length of the body before compression   (compressed only)
//! rest     body
//! u32      CRC-32 (IEEE) of all before it, big-endian
//! ```

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::{
    StoredBody, StoredResponse,
    wire::{MAX_VARINT, Reader, put_bytes, put_number},
};

/// The format that is written. It and every one before it are read.
pub const FORMAT: u8 = 1;

const KEPT: u8 = 0;
const OMITTED: u8 = 1;
const COMPRESSED: u8 = 2;
const TRAILERS: u8 = 0x80;
const CHECKSUM_LEN: usize = 4;

/// Names that take one byte. Their places are part of the format: append only.
const KNOWN: [HeaderName; 11] = [
    header::CONTENT_TYPE,
    header::CONTENT_LANGUAGE,
    header::CONTENT_ENCODING,
    header::CONTENT_DISPOSITION,
    header::LOCATION,
    header::CONTENT_LOCATION,
    header::ETAG,
    header::LAST_MODIFIED,
    header::LINK,
    header::VARY,
    header::CACHE_CONTROL,
];

/// Why a payload is no stored response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoredError {
    /// Written by a newer release.
    #[error("response format {0} is not known to this release; upgrade before reading it")]
    UnknownFormat(u8),
    /// Cut short, changed, or not written by this crate at all.
    #[error("the stored response is damaged: {0}")]
    Damaged(&'static str),
    /// Compressed, and this build has the `zstd` feature turned off.
    #[error("the stored response is compressed; turn the `zstd` feature on to read it")]
    Compressed,
    /// Its body comes to more bytes than the reader allows.
    #[error("the stored response has a body of more than {0} bytes")]
    TooLarge(usize),
}

impl StoredError {
    pub(super) const CUT_SHORT: Self = Self::Damaged("it is cut short");
}

pub(super) fn encode(
    status: StatusCode,
    headers: &[(&HeaderName, &HeaderValue)],
    body: Option<&Bytes>,
    trailers: &[(&HeaderName, &HeaderValue)],
    compress_from: Option<usize>,
) -> Bytes {
    let smaller = body
        .zip(compress_from)
        .and_then(|(body, from)| compressed(headers, body, from));
    let (form, stored) = match (&smaller, body) {
        (Some(smaller), _) => (COMPRESSED, smaller.as_ref()),
        (None, Some(body)) => (KEPT, body.as_ref()),
        (None, None) => (OMITTED, [].as_slice()),
    };
    let room = capacity(headers, stored.len()) + capacity(trailers, 0);
    let mut out = BytesMut::with_capacity(room);
    out.put_u8(FORMAT);
    out.put_u8(form | if trailers.is_empty() { 0 } else { TRAILERS });
    out.put_u16(status.as_u16());
    put_headers(&mut out, headers);
    if !trailers.is_empty() {
        put_headers(&mut out, trailers);
    }
    if let (Some(_), Some(whole)) = (&smaller, body) {
        put_number(&mut out, u32::try_from(whole.len()).unwrap_or(u32::MAX));
    }
    out.put_slice(stored);
    let checksum = crc32fast::hash(&out);
    out.put_u32(checksum);
    out.freeze()
}

fn capacity(headers: &[(&HeaderName, &HeaderValue)], body_len: usize) -> usize {
    let lines: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 2 * MAX_VARINT)
        .sum();
    4 + 2 * MAX_VARINT + lines + body_len + CHECKSUM_LEN
}

fn put_headers(out: &mut BytesMut, headers: &[(&HeaderName, &HeaderValue)]) {
    let lines = u32::try_from(headers.len());
    put_number(out, lines.expect("a HeaderMap has at most 2^15 lines"));
    for (name, value) in headers {
        match KNOWN.iter().position(|known| known == *name) {
            Some(place) => out.put_u8(place as u8 + 1),
            None => {
                out.put_u8(0);
                put_bytes(out, name.as_str().as_bytes());
            }
        }
        put_bytes(out, value.as_bytes());
    }
}

pub(super) fn decode(payload: &Bytes, limit: usize) -> Result<StoredResponse, StoredError> {
    match payload.first() {
        None => return Err(StoredError::Damaged("it is empty")),
        Some(&FORMAT) => {}
        Some(&other) => return Err(StoredError::UnknownFormat(other)),
    }
    let body_end = payload
        .len()
        .checked_sub(CHECKSUM_LEN)
        .ok_or(StoredError::CUT_SHORT)?;
    let (bytes, checksum) = payload.split_at(body_end);
    if crc32fast::hash(bytes).to_be_bytes() != checksum {
        return Err(StoredError::Damaged("its checksum does not match"));
    }
    let mut reader = Reader(&bytes[1..]);
    let form = reader.byte()?;
    let status = u16::from_be_bytes([reader.byte()?, reader.byte()?]);
    let status =
        StatusCode::from_u16(status).map_err(|_| StoredError::Damaged("its status is none"))?;
    let headers = lines(&mut reader)?;
    let trailers = match form & TRAILERS {
        0 => Vec::new(),
        _ => lines(&mut reader)?,
    };
    if form & TRAILERS != 0 && trailers.is_empty() {
        return Err(StoredError::Damaged("it announces trailers and has none"));
    }
    let body = match form & !TRAILERS {
        KEPT => StoredBody::Kept(payload.slice(body_end - reader.0.len()..body_end)),
        OMITTED if reader.0.is_empty() => StoredBody::Omitted,
        OMITTED => return Err(StoredError::Damaged("it has bytes left over")),
        COMPRESSED => {
            let len = reader.number()? as usize;
            StoredBody::Kept(decompressed(reader.0, len, limit)?)
        }
        _ => return Err(StoredError::Damaged("its body has no known form")),
    };
    Ok(StoredResponse {
        status,
        headers,
        body,
        trailers,
    })
}

fn lines(reader: &mut Reader<'_>) -> Result<Vec<(HeaderName, HeaderValue)>, StoredError> {
    let lines = reader.number()? as usize;
    // Each line takes two bytes at least: a number that lies does not get its memory.
    let mut headers = Vec::with_capacity(lines.min(reader.0.len() / 2));
    for _ in 0..lines {
        let name = match reader.byte()? {
            0 => HeaderName::from_bytes(reader.bytes()?)
                .map_err(|_| StoredError::Damaged("a header name in it is none"))?,
            place => KNOWN
                .get(usize::from(place) - 1)
                .cloned()
                .ok_or(StoredError::Damaged("a header name in it is unknown"))?,
        };
        let value = HeaderValue::from_bytes(reader.bytes()?)
            .map_err(|_| StoredError::Damaged("a header value in it is none"))?;
        headers.push((name, value));
    }
    Ok(headers)
}

#[cfg(feature = "zstd")]
fn compressed(
    headers: &[(&HeaderName, &HeaderValue)],
    body: &Bytes,
    from: usize,
) -> Option<Vec<u8>> {
    let encoded = headers
        .iter()
        .any(|(name, _)| *name == header::CONTENT_ENCODING);
    if encoded || body.len() < from || u32::try_from(body.len()).is_err() {
        return None;
    }
    let smaller = zstd::bulk::compress(body, zstd::DEFAULT_COMPRESSION_LEVEL).ok()?;
    (smaller.len() < body.len()).then_some(smaller)
}

#[cfg(not(feature = "zstd"))]
fn compressed(_: &[(&HeaderName, &HeaderValue)], _: &Bytes, _: usize) -> Option<Vec<u8>> {
    None
}

/// Memory grows with what really comes out, up to the limit, and never by what a stored length
/// claims.
#[cfg(feature = "zstd")]
fn decompressed(bytes: &[u8], len: usize, limit: usize) -> Result<Bytes, StoredError> {
    use std::io::Read;

    const BROKEN: StoredError = StoredError::Damaged("its compressed body is broken");
    if len > limit {
        return Err(StoredError::TooLarge(limit));
    }
    let mut body = Vec::new();
    zstd::Decoder::with_buffer(bytes)
        .and_then(|decoder| decoder.take(len as u64 + 1).read_to_end(&mut body))
        .map_err(|_| BROKEN)?;
    if body.len() != len {
        return Err(BROKEN);
    }
    Ok(body.into())
}

#[cfg(not(feature = "zstd"))]
fn decompressed(_: &[u8], _: usize, _: usize) -> Result<Bytes, StoredError> {
    Err(StoredError::Compressed)
}
