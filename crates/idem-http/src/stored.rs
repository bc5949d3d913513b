//! [`StoredResponse`]: the part of an answer that every repeat gets.

mod codec;
mod wire;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use crate::IDEMPOTENT_REPLAY_BODY;

pub use codec::{FORMAT, StoredError};

/// The payload that `idem-tower` stores: status, allow-listed headers, and the body unless it was
/// too large.
///
/// Make one by hand to settle a halted key, or to answer a probe, with what the repeat should get:
///
/// ```
/// use http::{HeaderValue, StatusCode, header};
/// use idem_core::{Bytes, ProbeResult, Resolution};
/// use idem_http::StoredResponse;
///
/// let answer = StoredResponse::new(StatusCode::CREATED, Bytes::from_static(b"{\"id\":17}"))
///     .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
/// let by_hand = Resolution::completed_raw(answer.encode());
/// let probed = ProbeResult::completed_raw(answer.encode());
/// assert_eq!(StoredResponse::decode(&answer.encode())?, answer);
/// # Ok::<(), idem_http::StoredError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: StoredBody,
    trailers: Vec<(HeaderName, HeaderValue)>,
}

/// What is left of a body.
#[derive(Clone, PartialEq, Eq)]
pub enum StoredBody {
    /// All of it.
    Kept(Bytes),
    /// Nothing: it outgrew the limit, or its handler asked not to keep it.
    Omitted,
}

impl std::fmt::Debug for StoredBody {
    /// Its size: contents never reach a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kept(body) => write!(f, "Kept({} bytes)", body.len()),
            Self::Omitted => f.write_str("Omitted"),
        }
    }
}

impl StoredResponse {
    /// An answer without headers.
    #[must_use]
    pub fn new(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: StoredBody::Kept(body.into()),
            trailers: Vec::new(),
        }
    }

    /// Adds a header line.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Adds a trailer line, sent after the body.
    #[must_use]
    pub fn trailer(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.trailers.push((name, value));
        self
    }

    /// The lines that are sent after the body.
    #[must_use]
    pub fn trailers(&self) -> HeaderMap {
        let mut trailers = HeaderMap::with_capacity(self.trailers.len());
        for (name, value) in &self.trailers {
            trailers.append(name.clone(), value.clone());
        }
        trailers
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The body, or that it was not kept.
    #[must_use]
    pub fn body(&self) -> &StoredBody {
        &self.body
    }

    /// The bytes to store.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        self.encode_compressed(None)
    }

    /// The bytes to store, with a body from this size on compressed where that makes it smaller
    /// and it is not encoded already. Has an effect with the crate feature `zstd` alone.
    #[must_use]
    pub fn encode_compressed(&self, compress_from: Option<usize>) -> Bytes {
        let headers: Vec<_> = self.headers.iter().map(|(n, v)| (n, v)).collect();
        let body = match &self.body {
            StoredBody::Kept(body) => Some(body),
            StoredBody::Omitted => None,
        };
        let trailers: Vec<_> = self.trailers.iter().map(|(n, v)| (n, v)).collect();
        encode_answer(self.status, &headers, body, &trailers, compress_from)
    }

    /// Reads what [`encode`](Self::encode) wrote, in this release or an earlier one.
    ///
    /// A compressed body may come to 64 MiB; see [`decode_within`](Self::decode_within).
    ///
    /// # Errors
    /// [`StoredError`] for damaged bytes, and for a format of a newer release. Never panics.
    pub fn decode(payload: &Bytes) -> Result<Self, StoredError> {
        Self::decode_within(payload, Self::DECODED_LIMIT)
    }

    /// The largest body that [`decode`](Self::decode) decompresses: 64 MiB.
    pub const DECODED_LIMIT: usize = 64 << 20;

    /// [`decode`](Self::decode) with another limit for a compressed body, in bytes.
    ///
    /// # Errors
    /// As [`decode`](Self::decode), and [`StoredError::TooLarge`] over the limit.
    pub fn decode_within(payload: &Bytes, limit: usize) -> Result<Self, StoredError> {
        codec::decode(payload, limit)
    }

    /// The answer to send, marked with `replayed` (say `Idempotent-Replayed: true`) and, where the
    /// body was not kept, with `Idempotent-Replay-Body: omitted`. Its [`trailers`](Self::trailers)
    /// are announced in the header `Trailer`, and are the sender's to send.
    #[must_use]
    pub fn into_replay(self, replayed: HeaderName) -> Response<Bytes> {
        let mut headers = HeaderMap::with_capacity(self.headers.len() + 2);
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        for (name, _) in &self.trailers {
            headers.append(header::TRAILER, HeaderValue::from(name.clone()));
        }
        headers.insert(replayed, HeaderValue::from_static("true"));
        let body = match self.body {
            StoredBody::Kept(body) => body,
            StoredBody::Omitted => {
                headers.insert(IDEMPOTENT_REPLAY_BODY, HeaderValue::from_static("omitted"));
                Bytes::new()
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = headers;
        response
    }
}

/// [`StoredResponse::encode_compressed`] of an answer in parts, without a copy of them; `None` for
/// a body that is not kept.
#[must_use]
pub fn encode_answer(
    status: StatusCode,
    headers: &[(&HeaderName, &HeaderValue)],
    body: Option<&Bytes>,
    trailers: &[(&HeaderName, &HeaderValue)],
    compress_from: Option<usize>,
) -> Bytes {
    codec::encode(status, headers, body, trailers, compress_from)
}

#[cfg(test)]
mod tests;
