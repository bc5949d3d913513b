//! The messages of a body: a flag, four bytes of length, and the bytes.

use std::io::{self, Read};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Uri, header};
use idem_core::spi::FingerprintBuilder;

use super::GRPC_ENCODING;
use crate::{NotCanonical, StoredResponse};

/// Messages go into a fingerprint in parts of this size, so that a compressed one is never held whole.
const PART: usize = 64 << 10;

const PREFIX: usize = 5;

struct Message<'a> {
    compressed: bool,
    data: &'a [u8],
}

/// The messages of a whole body.
fn messages(mut body: &[u8]) -> impl Iterator<Item = Result<Message<'_>, NotCanonical>> {
    std::iter::from_fn(move || {
        if body.is_empty() {
            return None;
        }
        let cut = next(&mut body);
        if cut.is_none() {
            body = &[];
        }
        Some(cut.ok_or(NotCanonical::Grpc(
            "its messages are not framed as gRPC has it",
        )))
    })
}

fn next<'a>(body: &mut &'a [u8]) -> Option<Message<'a>> {
    let (prefix, rest) = body.split_first_chunk::<PREFIX>()?;
    let [flag @ 0..=1, length @ ..] = *prefix else {
        return None;
    };
    let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
    let (data, rest) = rest.split_at_checked(length)?;
    *body = rest;
    Some(Message {
        compressed: flag == 1,
        data,
    })
}

/// Counts the path, the codec, and each message by its content. A message in an encoding that is not
/// known here counts by its compressed bytes.
pub(crate) fn count_call(
    print: FingerprintBuilder,
    target: &Uri,
    headers: &HeaderMap,
) -> FingerprintBuilder {
    print
        .field("path", target.path().as_bytes())
        .field("codec", codec(headers).as_bytes())
}

pub(crate) fn count_messages(
    mut print: FingerprintBuilder,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<FingerprintBuilder, NotCanonical> {
    let encoding = encoding(headers);
    // The limit of the body bounds the first.
    let (mut plain, mut expanded) = (usize::MAX, StoredResponse::DECODED_LIMIT);
    for message in messages(body) {
        let message = message?;
        print = print.field("message", b"");
        print = match (message.compressed, decoder(encoding, message.data)) {
            (false, _) => count_parts(print, message.data, &mut plain)?,
            (true, Some(decoder)) => count_parts(print, decoder, &mut expanded)?,
            (true, None) => print
                .field("encoding", encoding)
                .field("opaque", message.data),
        };
    }
    Ok(print)
}

fn count_parts(
    mut print: FingerprintBuilder,
    mut data: impl Read,
    left: &mut usize,
) -> Result<FingerprintBuilder, NotCanonical> {
    let mut part = Vec::new();
    loop {
        part.clear();
        let read = data.by_ref().take(PART as u64).read_to_end(&mut part);
        read.map_err(|_| NotCanonical::Grpc("a message cannot be decompressed"))?;
        if part.is_empty() {
            return Ok(print);
        }
        let rest = left.checked_sub(part.len());
        *left = rest.ok_or(NotCanonical::Grpc(
            "its messages are too large without compression",
        ))?;
        print = print.field("part", &part);
    }
}

/// `application/grpc` is short for `application/grpc+proto`.
fn codec(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE);
    let value = value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    match essence.to_ascii_lowercase().as_str() {
        "application/grpc" => "application/grpc+proto".to_owned(),
        other => other.to_owned(),
    }
}

fn encoding(headers: &HeaderMap) -> &[u8] {
    headers
        .get(GRPC_ENCODING)
        .map_or(b"", |value| value.as_bytes())
}

fn decoder<'a>(encoding: &[u8], data: &'a [u8]) -> Option<Box<dyn Read + 'a>> {
    match encoding {
        b"gzip" => Some(Box::new(flate2::bufread::MultiGzDecoder::new(data))),
        b"deflate" => Some(Box::new(Deflate(flate2::bufread::ZlibDecoder::new(data)))),
        #[cfg(feature = "zstd")]
        b"zstd" => {
            let decoder = zstd::stream::read::Decoder::with_buffer(data);
            decoder
                .ok()
                .map(|decoder| Box::new(decoder) as Box<dyn Read>)
        }
        _ => None,
    }
}

/// Refuses what comes after the end: it would not count.
struct Deflate<'a>(flate2::bufread::ZlibDecoder<&'a [u8]>);

impl Read for Deflate<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        match read == 0 && !buffer.is_empty() && !self.0.get_ref().is_empty() {
            true => Err(io::ErrorKind::InvalidData.into()),
            false => Ok(read),
        }
    }
}

/// The messages without their compression, which was chosen for one client. `None` where there is
/// none, or it is not known here, or they come to more than `limit` bytes.
pub(crate) fn expanded(headers: &HeaderMap, body: &[u8], limit: usize) -> Option<Bytes> {
    let encoding = encoding(headers);
    if encoding.is_empty() || encoding == b"identity" {
        return None;
    }
    let mut out = BytesMut::with_capacity(body.len());
    for message in messages(body) {
        let message = message.ok()?;
        let mut data = Vec::new();
        match message.compressed {
            false => data.extend_from_slice(message.data),
            true => {
                let room = limit.checked_sub(out.len())? as u64;
                let decoder = decoder(encoding, message.data)?;
                decoder.take(room + 1).read_to_end(&mut data).ok()?;
            }
        }
        out.put_u8(0);
        out.put_u32(u32::try_from(data.len()).ok()?);
        out.put_slice(&data);
    }
    (out.len() <= limit).then(|| out.freeze())
}

#[cfg(test)]
mod tests;
