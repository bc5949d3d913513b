//! [`Profile`]: all knobs of the HTTP side, and the presets.

use std::time::Duration;

use http::{HeaderName, Method, StatusCode};

use crate::{FingerprintRules, Form, IDEMPOTENT_REPLAYED, KeptHeaders, KeyHeader, StatusRules};

/// The knobs of the HTTP side, per route. Take a preset and set what differs:
///
/// ```
/// use idem_http::Profile;
///
/// let mut profile = Profile::ietf();
/// profile.required = false;
/// assert_eq!(profile.mismatch, 422);
/// ```
///
/// | knob | [`seed`](Self::seed) | [`ietf`](Self::ietf) | [`stripe`](Self::stripe) |
/// |---|---|---|---|
/// | `key.form` | lenient | strict | lenient |
/// | `required` | yes | yes | no |
/// | `methods` | POST, PATCH | POST, PATCH | POST |
/// | `mismatch` | 409 | 422 | 400 |
///
/// All others are the same in each.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Profile {
    /// Where the key is, and how it is spelled.
    pub key: KeyHeader,
    /// Whether a request without a key is refused (400) or runs unprotected.
    pub required: bool,
    /// The methods that are protected; on others the header is ignored.
    pub methods: Vec<Method>,
    /// The status of an answer to another request under a known key.
    pub mismatch: StatusCode,
    /// The header that marks a replay with `true`.
    pub replayed: HeaderName,
    /// The largest body of a request with a key, in bytes; over it the answer is 413.
    pub request_limit: usize,
    /// The largest body of an answer that is kept, in bytes. A larger one is sent whole once, and
    /// stored without its body.
    pub response_limit: usize,
    /// Bodies from this size on are stored compressed. Has an effect with the `zstd` feature
    /// alone; `None` compresses nothing.
    pub compress_from: Option<usize>,
    /// What makes two requests the same.
    pub fingerprint: FingerprintRules,
    /// Which statuses let the next request run.
    pub statuses: StatusRules,
    /// Which headers of an answer are stored.
    pub kept: KeptHeaders,
    /// The shortest `Retry-After` of an `in-flight` answer. It grows to half the age of the run,
    /// and is never longer than the lease that is left.
    pub in_flight_retry: Duration,
    /// An answer that is not whole this long after its handler returned goes out as it comes.
    pub stream_after: Duration,
    /// An answer of unknown length goes out as it comes once it has more bytes than this.
    pub stream_from: usize,
    /// How long one execution may last, streaming included. Over it the work is dropped, and the
    /// key ends as for a panic; `None` for no bound.
    pub longest_run: Option<Duration>,
    /// How many executions may go on whose client is gone. Over it requests are answered 503
    /// before their claim.
    pub abandoned_limit: usize,
}

impl Profile {
    /// Limits of both bodies where nothing else is said: 1 MiB.
    pub const DEFAULT_LIMIT: usize = 1 << 20;

    /// The default: takes every client there is, requires a key, and says 409 to a mismatch.
    #[must_use]
    pub fn seed() -> Self {
        Self {
            key: KeyHeader::default(),
            required: true,
            methods: vec![Method::POST, Method::PATCH],
            mismatch: StatusCode::CONFLICT,
            replayed: IDEMPOTENT_REPLAYED,
            request_limit: Self::DEFAULT_LIMIT,
            response_limit: Self::DEFAULT_LIMIT,
            compress_from: None,
            fingerprint: FingerprintRules::default(),
            statuses: StatusRules::default(),
            kept: KeptHeaders::default(),
            in_flight_retry: Duration::from_secs(1),
            stream_after: Duration::from_millis(100),
            stream_from: 64 << 10,
            longest_run: Some(Duration::from_secs(3600)),
            abandoned_limit: 1000,
        }
    }

    /// As draft-ietf-httpapi-idempotency-key-header-07 has it: a quoted key (§2.1), 400 without
    /// one, 422 for a mismatch, 409 in flight (§2.7).
    #[must_use]
    pub fn ietf() -> Self {
        let mut profile = Self::seed();
        profile.key.form = Form::Strict;
        profile.mismatch = StatusCode::UNPROCESSABLE_ENTITY;
        profile
    }

    /// As Stripe's API v1 has it: a bare key, optional, on POST alone, 400 for a mismatch.
    #[must_use]
    pub fn stripe() -> Self {
        let mut profile = Self::seed();
        profile.required = false;
        profile.methods = vec![Method::POST];
        profile.mismatch = StatusCode::BAD_REQUEST;
        profile
    }
}

impl Default for Profile {
    /// [`Profile::seed`].
    fn default() -> Self {
        Self::seed()
    }
}
