//! The knobs of a [`Profile`] as methods that chain.

use std::time::Duration;

use http::{HeaderName, Method, StatusCode};

use crate::{ErrorFormat, FingerprintRules, KeyHeader, Profile, StatusRules};

/// One method for each knob, in any order:
///
/// ```
/// use http::Method;
/// use idem_http::Profile;
///
/// let profile = Profile::ietf()
///     .optional()
///     .methods([Method::POST, Method::PUT])
///     .response_limit(64 << 10);
/// assert!(!profile.required);
/// ```
impl Profile {
    /// Refuses requests without a key, with 400.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Lets requests without a key run unprotected. One with a malformed key is refused still.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.required = false;
        self
    }

    /// Protects these methods, and ignores the key on all others.
    #[must_use]
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.methods = methods.into_iter().collect();
        self
    }

    /// Reads the key from a header of this name.
    #[must_use]
    pub fn header(mut self, name: HeaderName) -> Self {
        self.key.name = name;
        self
    }

    /// Reads the key like this.
    #[must_use]
    pub fn key(mut self, key: KeyHeader) -> Self {
        self.key = key;
        self
    }

    /// Answers another request under a known key with this status.
    #[must_use]
    pub fn mismatch(mut self, status: StatusCode) -> Self {
        self.mismatch = status;
        self
    }

    /// Marks replays with a header of this name.
    #[must_use]
    pub fn replayed(mut self, name: HeaderName) -> Self {
        self.replayed = name;
        self
    }

    /// Marks replays whose body was not kept with a header of this name.
    #[must_use]
    pub fn omitted(mut self, name: HeaderName) -> Self {
        self.omitted = name;
        self
    }

    /// Writes problems like this.
    #[must_use]
    pub fn errors(mut self, format: ErrorFormat) -> Self {
        self.errors = format;
        self
    }

    /// Takes bodies of at most this many bytes in requests with a key.
    #[must_use]
    pub fn request_limit(mut self, bytes: usize) -> Self {
        self.request_limit = bytes;
        self
    }

    /// Takes bodies of requests with a key that arrive within this time; `None` for no bound.
    #[must_use]
    pub fn request_time(mut self, longest: Option<Duration>) -> Self {
        self.request_time = longest;
        self
    }

    /// Stores bodies of at most this many bytes. A larger one is sent whole once, and stored
    /// without its body.
    #[must_use]
    pub fn response_limit(mut self, bytes: usize) -> Self {
        self.response_limit = bytes;
        self
    }

    /// Compresses stored bodies from this size on.
    #[cfg(feature = "zstd")]
    #[must_use]
    pub fn compress_from(mut self, bytes: usize) -> Self {
        self.compress_from = Some(bytes);
        self
    }

    /// Says what makes two requests the same.
    #[must_use]
    pub fn fingerprint(mut self, rules: FingerprintRules) -> Self {
        self.fingerprint = rules;
        self
    }

    /// Says which statuses let the next request run.
    #[must_use]
    pub fn statuses(mut self, rules: StatusRules) -> Self {
        self.statuses = rules;
        self
    }

    /// Stores and replays one more header.
    #[must_use]
    pub fn keep_header(mut self, name: HeaderName) -> Self {
        self.kept = self.kept.and(name);
        self
    }

    /// Sets the shortest `Retry-After` of an `in-flight` answer; one second by default, and whole
    /// seconds, rounded up, on the wire.
    #[must_use]
    pub fn in_flight_retry(mut self, after: Duration) -> Self {
        self.in_flight_retry = after;
        self
    }

    /// Sends an answer as it comes once it is not whole after this time (100 ms by default), or
    /// has more than so many bytes and no known length (64 KiB by default).
    ///
    /// Such an answer is seen before it is stored (G2). It is captured beside, up to
    /// [`response_limit`](Self::response_limit). An answer whose handler handed a transaction over
    /// is always held back until it is committed.
    #[must_use]
    pub fn stream_after(mut self, time: Duration, bytes: usize) -> Self {
        self.stream_after = time;
        self.stream_from = bytes;
        self
    }

    /// Bounds how long one execution may last, streaming included; an hour by default, `None` for
    /// no bound. Over it the work is dropped at an await and its effect counts as unknown: the
    /// answer is a stored `handler-failed`, or, where it was on its way, breaks off and is stored
    /// without its body.
    #[must_use]
    pub fn longest_run(mut self, longest: Option<Duration>) -> Self {
        self.longest_run = longest;
        self
    }

    /// Bounds how many executions may go on whose client is gone, for each layer; 1000 by default.
    /// Over it requests are answered 503 (`overloaded`) before their claim.
    ///
    /// A handler goes on when its client hangs up. Without a bound, a client that opens and resets
    /// requests (HTTP/2 rapid reset) starts handlers without end. It counts nothing on actix-web, which
    /// does not tell that a client is gone.
    #[must_use]
    pub fn abandoned_limit(mut self, executions: usize) -> Self {
        self.abandoned_limit = executions;
        self
    }

    /// Says whether the calls of `/package.Service/Method` have a key, or all those of
    /// `/package.Service/`. Has an effect in a [`Profile::grpc`] alone.
    ///
    /// # Panics
    /// When `path` is neither.
    #[cfg(feature = "grpc")]
    #[must_use]
    pub fn grpc_method(mut self, path: impl Into<String>, rule: crate::KeyRule) -> Self {
        self.grpc = self.grpc.map(|grpc| grpc.method(path, rule));
        self
    }

    /// Records answers with this `grpc-status` like this. Has an effect in a [`Profile::grpc`] alone.
    #[cfg(feature = "grpc")]
    #[must_use]
    pub fn grpc_status(mut self, code: crate::GrpcCode, disposition: crate::Disposition) -> Self {
        self.grpc = self.grpc.map(|grpc| grpc.status(code, disposition));
        self
    }
}
