//! [`RetryRules`]: when to send again, how long to wait, and how the server speaks.

use std::{borrow::Cow, time::Duration};

use http::HeaderName;

use super::{KeyForm, RetryBudget};
use crate::{Code, IDEMPOTENCY_KEY, IDEMPOTENT_REPLAYED};

/// When an intent is sent again, how long it waits before, and how the server's answers are read.
///
/// The defaults suit a server behind `idem-tower`, and understand Stripe's API and the answers of
/// draft-ietf-httpapi-idempotency-key-header-07 as well. Methods chain in any order:
///
/// ```
/// use std::time::Duration;
/// use http::HeaderName;
/// use idem_http::client::{KeyForm, RetryRules};
///
/// let rules = RetryRules::default()
///     .header(HeaderName::from_static("x-request-key"))
///     .key_form(KeyForm::Bare)
///     .most_sendings(4)
///     .longest_retry_after(Duration::from_secs(20))
///     .replay_mark(HeaderName::from_static("x-replayed"), "1")
///     .in_flight_code("request_in_progress");
/// # let _ = rules;
/// ```
///
/// | knob | default |
/// |---|---|
/// | [`header`](Self::header) | `Idempotency-Key` |
/// | [`key_form`](Self::key_form) | [`KeyForm::AsGiven`] |
/// | [`first_pause`](Self::first_pause) | 200 ms |
/// | [`longest_pause`](Self::longest_pause) | 30 s |
/// | [`longest_retry_after`](Self::longest_retry_after) | 5 min |
/// | [`most_sendings`](Self::most_sendings) | 8 |
/// | [`retention`](Self::retention) | 24 h |
/// | [`margin`](Self::margin) | 1 min |
/// | [`budget`](Self::budget) | [`RetryBudget::default`] |
/// | [`replay_mark`](Self::replay_mark) | `Idempotent-Replayed: true` |
/// | [`in_flight_code`](Self::in_flight_code) | `in-flight`, `idempotency_key_in_use` |
/// | [`bare_conflict_is_in_flight`](Self::bare_conflict_is_in_flight) | no |
/// | [`nothing_ran_type`](Self::nothing_ran_type) | [`Code::StoreUnavailable`]'s `type` |
/// | [`trust_certificates`](Self::trust_certificates) | yes |
#[derive(Debug, Clone)]
pub struct RetryRules {
    pub(super) header: HeaderName,
    pub(super) key_form: KeyForm,
    pub(super) first_pause: Duration,
    pub(super) longest_pause: Duration,
    pub(super) longest_retry_after: Duration,
    pub(super) most_sendings: u32,
    pub(super) retention: Duration,
    pub(super) margin: Duration,
    pub(super) budget: RetryBudget,
    pub(super) replay_mark: (HeaderName, Cow<'static, str>),
    pub(super) in_flight_codes: Vec<Cow<'static, str>>,
    pub(super) bare_conflict_is_in_flight: bool,
    pub(super) nothing_ran_types: Vec<Cow<'static, str>>,
    pub(super) trust_certificates: bool,
}

impl Default for RetryRules {
    /// See the table above. Each call makes a budget of its own, and clones share it.
    fn default() -> Self {
        Self {
            header: IDEMPOTENCY_KEY,
            key_form: KeyForm::default(),
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(30),
            longest_retry_after: Duration::from_secs(300),
            most_sendings: 8,
            retention: Duration::from_secs(24 * 3600),
            margin: Duration::from_secs(60),
            budget: RetryBudget::default(),
            replay_mark: (IDEMPOTENT_REPLAYED, Cow::Borrowed("true")),
            in_flight_codes: vec![
                Cow::Borrowed(Code::InFlight.as_str()),
                Cow::Borrowed("idempotency_key_in_use"),
            ],
            bare_conflict_is_in_flight: false,
            nothing_ran_types: vec![Cow::Owned(Code::StoreUnavailable.type_uri())],
            trust_certificates: true,
        }
    }
}

impl RetryRules {
    /// The header that carries the key. Some APIs call it `X-Idempotency-Key` or
    /// `PayPal-Request-Id`.
    #[must_use]
    pub fn header(mut self, name: HeaderName) -> Self {
        self.header = name;
        self
    }

    /// How the key is spelled in the header.
    #[must_use]
    pub fn key_form(mut self, form: KeyForm) -> Self {
        self.key_form = form;
        self
    }

    /// The pause after the first sending. It doubles with each sending; of each pause, the second
    /// half is random.
    #[must_use]
    pub fn first_pause(mut self, pause: Duration) -> Self {
        self.first_pause = pause;
        self
    }

    /// The longest pause that doubling leads to.
    #[must_use]
    pub fn longest_pause(mut self, pause: Duration) -> Self {
        self.longest_pause = pause;
        self
    }

    /// The longest `Retry-After` that is waited for. When the server asks for more, the intent
    /// gives up with [`StopReason::RetryAfterTooLong`](super::StopReason::RetryAfterTooLong), and
    /// can be resumed after that time.
    #[must_use]
    pub fn longest_retry_after(mut self, longest: Duration) -> Self {
        self.longest_retry_after = longest;
        self
    }

    /// How many times an intent is sent in all, the first sending included. Zero counts as one.
    #[must_use]
    pub fn most_sendings(mut self, most: u32) -> Self {
        self.most_sendings = most;
        self
    }

    /// How long the server remembers a key, by the server's documentation. A repeat after that
    /// time would run a second time, so none is sent.
    #[must_use]
    pub fn retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// How long before the end of the retention the last repeat is sent.
    ///
    /// It allows for the time that a sending needs to arrive, and for the difference between the
    /// clock of the machine that sent first and that of the machine that resumes. With a retention
    /// that is shorter than the margin nothing is sent twice.
    #[must_use]
    pub fn margin(mut self, margin: Duration) -> Self {
        self.margin = margin;
        self
    }

    /// The bound on the repeats of all intents that share this budget.
    #[must_use]
    pub fn budget(mut self, budget: RetryBudget) -> Self {
        self.budget = budget;
        self
    }

    /// The header, and its value, that mark a stored answer. The case of the value is ignored.
    ///
    /// A stored answer never changes, so a marked answer of any status ends the intent.
    #[must_use]
    pub fn replay_mark(mut self, name: HeaderName, value: impl Into<Cow<'static, str>>) -> Self {
        self.replay_mark = (name, value.into());
        self
    }

    /// One more error code that means *the first request with this key has not ended*.
    ///
    /// It is looked for in a JSON body as `code` and as `error.code`.
    #[must_use]
    pub fn in_flight_code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.in_flight_codes.push(code.into());
        self
    }

    /// Whether a 409 without a code and without `Retry-After` means *in flight*. Without this, it
    /// is a refusal.
    ///
    /// Set it for a server that answers 422 to another request under the key (as the draft says)
    /// and has no other use for 409. A 409 with `Retry-After`, with a known code, or with the title
    /// of the draft's example (§2.7) means *in flight* in any case.
    #[must_use]
    pub fn bare_conflict_is_in_flight(mut self, yes: bool) -> Self {
        self.bare_conflict_is_in_flight = yes;
        self
    }

    /// One more problem `type` that certifies that a request did not run.
    ///
    /// Only an idempotency layer can know that, so an answer counts only as
    /// `application/problem+json` with this `type` and the code `store-unavailable`. Needed where
    /// the server's problem types have a base of their own.
    #[must_use]
    pub fn nothing_ran_type(mut self, uri: impl Into<Cow<'static, str>>) -> Self {
        self.nothing_ran_types.push(uri.into());
        self
    }

    /// Whether an answer can prove that a request did not run. Without this, only a connection that
    /// was never made is proof.
    ///
    /// A certificate is about one delivery to the server. Turn it off behind a proxy that delivers
    /// one POST several times by itself: the first delivery can have run when the last one is
    /// answered with `store-unavailable`. The same goes for a service that hands on the problems of
    /// another service as its own.
    #[must_use]
    pub fn trust_certificates(mut self, yes: bool) -> Self {
        self.trust_certificates = yes;
        self
    }
}
