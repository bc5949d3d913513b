//! [`Profile`]: all settings of a protected route, with presets.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Response, StatusCode};

use crate::{
    CanonicalForm, Disposition, ErrorFormat, FingerprintRules, Form, IDEMPOTENT_REPLAY_BODY,
    IDEMPOTENT_REPLAYED, KeptHeaders, KeyHeader, Problem, StatusRules, StoredResponse,
    stripe::{self, ORIGINAL_REQUEST},
};

/// The settings of a protected route. Take a preset and set what differs:
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
/// | `errors` | problem+json | problem+json | Stripe's |
/// | `statuses` | some are retryable | some are retryable | all are final |
/// | `fingerprint` | body's bytes | body's bytes | form bodies by their canonical form |
/// | `stripe_headers` | no | no | yes |
///
/// All others are the same in each.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Profile {
    /// The header with the key, and the accepted spellings.
    pub key: KeyHeader,
    /// Whether a request without a key is refused (400) or runs unprotected.
    pub required: bool,
    /// The methods that are protected; on others the header is ignored.
    pub methods: Vec<Method>,
    /// The status of an answer to another request under a known key.
    pub mismatch: StatusCode,
    /// The header that marks a replay with `true`.
    pub replayed: HeaderName,
    /// The header that says `omitted` on a replay whose body was not kept.
    pub omitted: HeaderName,
    /// How problems are written. A route that answers them in its own words sets a hook on the
    /// layer instead.
    pub errors: ErrorFormat,
    /// Adds the headers that Stripe's API has: `Request-Id`, a new one for each answer;
    /// `Original-Request`, the `Request-Id` of the answer that was stored; and
    /// `Stripe-Should-Retry`, which says whether a repeat can bring another answer. What a handler
    /// sets stays. `Original-Request` has to be among the `kept` headers.
    pub stripe_headers: bool,
    /// The largest body of a request with a key, in bytes; over it the answer is 413.
    pub request_limit: usize,
    /// How long the body of a request with a key may take to arrive; over it the answer is 408, and
    /// nothing ran. `None` for no bound.
    pub request_time: Option<Duration>,
    /// The largest body of an answer that is kept, in bytes. A larger one is sent whole once, and
    /// stored without its body.
    pub response_limit: usize,
    /// Bodies from this size on are stored compressed. Has an effect with the `zstd` feature
    /// alone; `None` compresses nothing.
    pub compress_from: Option<usize>,
    /// Which parts of a request must not change under one key.
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
    /// key ends with a 500, whatever the policy says of a panic; `None` for no bound.
    pub longest_run: Option<Duration>,
    /// How many executions may go on whose client is gone. Over it requests are answered 503
    /// before their claim.
    pub abandoned_limit: usize,
    /// What differs on a gRPC service.
    #[cfg(feature = "grpc")]
    pub grpc: Option<crate::GrpcRules>,
}

impl Profile {
    /// Limits of both bodies where nothing else is said: 1 MiB.
    pub const DEFAULT_LIMIT: usize = 1 << 20;

    /// The default: accepts quoted and bare keys, requires a key, and answers a mismatch with 409.
    #[must_use]
    pub fn seed() -> Self {
        Self {
            key: KeyHeader::default(),
            required: true,
            methods: vec![Method::POST, Method::PATCH],
            mismatch: StatusCode::CONFLICT,
            replayed: IDEMPOTENT_REPLAYED,
            omitted: IDEMPOTENT_REPLAY_BODY,
            errors: ErrorFormat::problem_json(),
            stripe_headers: false,
            request_limit: Self::DEFAULT_LIMIT,
            request_time: None,
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
            #[cfg(feature = "grpc")]
            grpc: None,
        }
    }

    /// As draft-ietf-httpapi-idempotency-key-header-07 says: a quoted key (§2.1), 400 without one,
    /// 422 for a mismatch, 409 in flight (§2.7).
    #[must_use]
    pub fn ietf() -> Self {
        let mut profile = Self::seed();
        profile.key.form = Form::Strict;
        profile.mismatch = StatusCode::UNPROCESSABLE_ENTITY;
        profile
    }

    /// As Stripe's API v1 has it. The official clients work with a service in this profile: they
    /// raise the right class of error, and send again when it helps.
    ///
    /// - The key is bare, optional, and read on POST alone.
    /// - Another request under a known key: 400 with the type `idempotency_error`. In flight: 409
    ///   with the code `idempotency_key_in_use`.
    /// - Errors are `{"error": {"type", "code", "message"}}`. Write your handlers' own errors like
    ///   that as well: a Node client takes any other body for a success.
    /// - Whatever a handler answers is stored, also 401, 429 and 503: a layer that authenticates or
    ///   limits rates belongs outside. A handler that refuses a request before it does anything can
    ///   say so with [`Disposition::Retryable`].
    /// - `Request-Id`, `Original-Request`, `Stripe-Should-Retry` and `Idempotent-Replayed`.
    #[must_use]
    pub fn stripe() -> Self {
        let mut profile = Self::seed();
        profile.required = false;
        profile.methods = vec![Method::POST];
        profile.mismatch = StatusCode::BAD_REQUEST;
        profile.errors = ErrorFormat::stripe();
        profile.statuses = StatusRules::all_final();
        profile.fingerprint = FingerprintRules::new().form(CanonicalForm::default());
        profile.stripe_headers = true;
        profile.kept = profile.kept.and(ORIGINAL_REQUEST);
        profile
    }

    /// For gRPC services, such as tonic's. `idem-tower` has a layer in this profile.
    ///
    /// - The key is in the metadata entry `idempotency-key`, with or without quotes, and required
    ///   where [`grpc_method`](Self::grpc_method) does not say otherwise.
    /// - Problems are answers of trailers alone: [`ErrorFormat::grpc`].
    /// - `grpc-status` decides whether the next call may run: [`GrpcRules`](crate::GrpcRules).
    /// - All metadata of an answer is kept, and its messages without compression, so that each client
    ///   can read a replay.
    /// - A call counts by its path and its messages: [`FingerprintRules::grpc`].
    /// - The messages of a call come to at most 4 MiB and arrive within 30 seconds, and those of an
    ///   answer are kept up to 4 MiB.
    #[cfg(feature = "grpc")]
    #[must_use]
    pub fn grpc() -> Self {
        /// A message of the usual 4 MiB, and what stands before it.
        const LIMIT: usize = (4 << 20) + 5;

        let mut profile = Self::seed();
        profile.methods = vec![Method::POST];
        profile.errors = ErrorFormat::grpc();
        profile.kept = KeptHeaders::all();
        profile.fingerprint = FingerprintRules::grpc();
        profile.request_limit = LIMIT;
        profile.request_time = Some(Duration::from_secs(30));
        profile.response_limit = LIMIT;
        profile.grpc = Some(crate::GrpcRules::default());
        profile
    }

    /// The response that tells a problem.
    #[must_use]
    pub fn problem(&self, problem: &Problem) -> Response<Bytes> {
        self.errors.response(problem)
    }

    /// Adds the headers of this profile to a handler's answer, before it is stored as `disposition` says
    /// and sent.
    pub fn mark_first(
        &self,
        status: StatusCode,
        headers: &mut HeaderMap,
        disposition: Disposition,
    ) {
        if self.stripe_headers {
            stripe::mark_first(status, headers, disposition);
        }
    }

    /// The response that repeats a stored answer, marked as such.
    #[must_use]
    pub fn replay(&self, stored: StoredResponse) -> Response<Bytes> {
        let mut response = stored.into_replay(self.replayed.clone(), self.omitted.clone());
        #[cfg(feature = "grpc")]
        if self.grpc.is_some() {
            return crate::grpc::replay(response, &self.replayed, &self.omitted);
        }
        if self.stripe_headers {
            stripe::mark_replay(response.headers_mut());
        }
        response
    }
}

impl Default for Profile {
    /// [`Profile::seed`].
    fn default() -> Self {
        Self::seed()
    }
}
