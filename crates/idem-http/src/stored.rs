//! [`StoredResponse`]: the part of an answer that every repeat gets.

mod codec;
mod wire;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, response};

use crate::{IDEMPOTENT_REPLAY_BODY, KeptHeaders};

pub use codec::{FORMAT, StoredError};

/// The payload that `idem-tower` stores: status, allow-listed headers, and the body unless it was
/// too large.
///
/// Make one by hand to settle a halted key, or to answer a probe, with what the repeat should get:
///
/// ```
/// use http::{HeaderValue, StatusCode, header};
/// use idem_core::{Bytes, Resolution};
/// use idem_http::StoredResponse;
///
/// let answer = StoredResponse::new(StatusCode::CREATED, Bytes::from_static(b"{\"id\":17}"))
///     .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
/// assert_eq!(StoredResponse::decode(&answer.encode())?, answer);
/// # Ok::<(), idem_http::StoredError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: StoredBody,
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
        }
    }

    /// What is to be stored of an answer.
    #[must_use]
    pub fn of(head: &response::Parts, body: StoredBody, kept: &KeptHeaders) -> Self {
        Self {
            status: head.status,
            headers: kept.select(&head.headers),
            body,
        }
    }

    /// Adds a header line.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
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
        codec::encode(self, None)
    }

    /// The bytes to store, with a body of at least `threshold` bytes compressed where that makes
    /// it smaller and it is not encoded already.
    #[cfg(feature = "zstd")]
    #[must_use]
    pub fn encode_compressed(&self, threshold: usize) -> Bytes {
        codec::encode(self, Some(threshold))
    }

    /// Reads what [`encode`](Self::encode) wrote, in this release or an earlier one.
    ///
    /// # Errors
    /// [`StoredError`] for damaged bytes, and for a format of a newer release. Never panics.
    pub fn decode(payload: &Bytes) -> Result<Self, StoredError> {
        codec::decode(payload)
    }

    /// The answer to send, marked with `replayed` (say `Idempotent-Replayed: true`) and, where the
    /// body was not kept, with `Idempotent-Replay-Body: omitted`.
    #[must_use]
    pub fn into_replay(self, replayed: HeaderName) -> Response<Bytes> {
        let mut headers = HeaderMap::with_capacity(self.headers.len() + 2);
        for (name, value) in self.headers {
            headers.append(name, value);
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

#[cfg(test)]
mod tests;
