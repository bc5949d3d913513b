//! [`KeptHeaders`]: which headers of an answer are stored and replayed.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Set on an answer that was stored before; the name is a knob of the [`Profile`](crate::Profile).
pub const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// `omitted` on a replay whose body was not kept.
pub const IDEMPOTENT_REPLAY_BODY: HeaderName = HeaderName::from_static("idempotent-replay-body");

/// `retryable` on an answer of idem's own that proves nothing about the request: an idempotency
/// layer further out, in this process or in a gateway, must not store it.
pub const IDEMPOTENCY_DISPOSITION: HeaderName = HeaderName::from_static("idempotency-disposition");

/// `true` on the answer of a handler that ran unprotected, because the store was out of reach and
/// the policy is [`FailOpen`](idem_core::OnOutage::FailOpen).
pub const IDEMPOTENCY_DEGRADED: HeaderName = HeaderName::from_static("idempotency-degraded");

/// Kept without being asked: they describe the answer itself, not its delivery.
const KEPT: [HeaderName; 11] = [
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

/// Describe a body, and go with it where it is not kept.
#[cfg(feature = "driver")]
const OF_BODY: [HeaderName; 6] = [
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
];

/// Never kept, whoever asks: they belong to one connection, one moment or one client.
const NEVER: [HeaderName; 17] = [
    // Hop by hop: RFC 9110, §7.6.1, and what stands in for it in the field.
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    // One moment: made anew, or wrong by the time of a replay.
    header::AGE,
    header::CONTENT_LENGTH,
    header::DATE,
    header::RETRY_AFTER,
    HeaderName::from_static("grpc-retry-pushback-ms"),
    // One client.
    header::SET_COOKIE,
    header::WWW_AUTHENTICATE,
    HeaderName::from_static("server-timing"),
];

/// Never kept either, by how they begin: rate limits, traces, and what CORS says to one origin.
const NEVER_PREFIX: [&str; 8] = [
    "access-control-",
    "ratelimit",
    "x-ratelimit",
    "x-rate-limit",
    "traceparent",
    "tracestate",
    "x-b3-",
    "x-amzn-trace",
];

/// Which headers of an answer are stored and replayed: an allow-list, or all but a few.
///
/// ```
/// use http::HeaderName;
/// use idem_http::KeptHeaders;
///
/// let kept = KeptHeaders::default().and(HeaderName::from_static("x-invoice"));
/// assert!(kept.keeps(&HeaderName::from_static("x-invoice")));
/// assert!(kept.keeps(&http::header::LOCATION));
/// assert!(!kept.and(http::header::SET_COOKIE).keeps(&http::header::SET_COOKIE));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptHeaders {
    /// Keeps all but the names.
    all: bool,
    names: Vec<HeaderName>,
}

impl Default for KeptHeaders {
    /// Content-Type, Content-Language, Content-Encoding, Content-Disposition, Location,
    /// Content-Location, ETag, Last-Modified, Link, Vary and Cache-Control.
    fn default() -> Self {
        Self {
            all: false,
            names: KEPT.to_vec(),
        }
    }
}

impl KeptHeaders {
    /// Keeps all that may be kept. For gRPC, where the headers are the handler's own metadata.
    #[must_use]
    pub fn all() -> Self {
        Self {
            all: true,
            names: Vec::new(),
        }
    }

    /// Keeps one more. What may never be kept stays unkept: hop-by-hop headers and those that
    /// `Connection` names, Set-Cookie, Date, Age, Content-Length, WWW- and Proxy-Authenticate,
    /// Retry-After, Access-Control-*, rate limits and traces.
    #[must_use]
    pub fn and(mut self, name: HeaderName) -> Self {
        if self.all {
            self.names.retain(|left_out| *left_out != name);
        } else if !self.keeps(&name) && !is_never_kept(&name) {
            self.names.push(name);
        }
        self
    }

    /// Keeps one less.
    #[must_use]
    pub fn without(mut self, name: &HeaderName) -> Self {
        self.names.retain(|known| known != name);
        if self.all {
            self.names.push(name.clone());
        }
        self
    }

    /// Whether a header of this name is kept, unless `Connection` names it.
    #[must_use]
    pub fn keeps(&self, name: &HeaderName) -> bool {
        match self.all {
            true => !self.names.contains(name) && !is_never_kept(name),
            false => self.names.contains(name),
        }
    }

    /// The lines of an answer that are stored, each apart and byte for byte, in their order.
    pub fn select<'a>(&self, headers: &'a HeaderMap) -> Vec<(&'a HeaderName, &'a HeaderValue)> {
        let mut kept: Vec<_> = headers
            .iter()
            .filter(|(name, _)| self.keeps(name))
            .collect();
        if headers.contains_key(header::CONNECTION) {
            kept.retain(|(name, _)| !named_by_connection(headers, name));
        }
        kept
    }
}

/// The lines of an answer that are stored when its body is not: without those that describe the
/// body's bytes, such as `Content-Encoding`.
#[cfg(feature = "driver")]
pub(crate) fn drop_body_headers(kept: &mut Vec<(&HeaderName, &HeaderValue)>) {
    kept.retain(|(name, _)| !OF_BODY.contains(name));
}

/// Whether a trailer field is stored: all but those that may be no trailers or are never kept.
#[cfg(feature = "driver")]
pub(crate) fn keeps_trailer(name: &HeaderName) -> bool {
    !is_never_kept(name)
}

fn is_never_kept(name: &HeaderName) -> bool {
    let begins = |prefix: &&str| name.as_str().starts_with(prefix);
    NEVER.contains(name) || NEVER_PREFIX.iter().any(begins)
}

/// RFC 9110, §7.6.1: a header that `Connection` lists ends at the next hop.
fn named_by_connection(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .any(|option| option.trim().eq_ignore_ascii_case(name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stay_apart_and_bytes_stay_as_they_are() {
        let mut headers = HeaderMap::new();
        headers.append(header::LINK, HeaderValue::from_static("</a>; rel=next"));
        headers.append(header::LINK, HeaderValue::from_static("</b>; rel=prev"));
        headers.append(header::ETAG, HeaderValue::from_bytes(b"\"\xff\"").unwrap());
        headers.append("x-other", HeaderValue::from_static("not listed"));
        let kept = KeptHeaders::default().select(&headers);
        let kept: Vec<_> = kept
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_bytes()))
            .collect();
        assert_eq!(
            kept,
            [
                ("link", b"</a>; rel=next".as_slice()),
                ("link", b"</b>; rel=prev"),
                ("etag", b"\"\xff\""),
            ]
        );
    }

    #[test]
    fn what_belongs_to_one_delivery_is_never_kept_even_when_asked_for() {
        let asked = [
            "connection",
            "keep-alive",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "proxy-authenticate",
            "www-authenticate",
            "set-cookie",
            "date",
            "age",
            "content-length",
            "retry-after",
            "ratelimit",
            "ratelimit-policy",
            "x-ratelimit-remaining",
            "traceparent",
            "tracestate",
            "access-control-allow-origin",
        ];
        for name in asked {
            let name = HeaderName::from_static(name);
            for kept in [KeptHeaders::default(), KeptHeaders::all()] {
                assert!(!kept.and(name.clone()).keeps(&name), "{name}");
            }
        }
    }

    #[test]
    fn what_connection_names_is_not_kept() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONNECTION, HeaderValue::from_static("close, ETag"));
        headers.insert(header::ETAG, HeaderValue::from_static("\"1\""));
        assert!(KeptHeaders::default().select(&headers).is_empty());
    }

    #[test]
    fn a_listed_header_can_be_left_out() {
        for kept in [KeptHeaders::default(), KeptHeaders::all()] {
            let without = kept.without(&header::LINK);
            assert!(!without.keeps(&header::LINK));
            assert!(without.and(header::LINK).keeps(&header::LINK));
        }
    }
}
