//! What an intent is told, and what it says.

use std::time::Duration;

use http::{HeaderMap, StatusCode};

/// What came of one sending.
#[derive(Debug, Clone, Copy)]
pub enum Sent<'a> {
    /// An answer, with all of its body.
    Answered {
        /// Its status.
        status: StatusCode,
        /// Its headers; for a gRPC answer its trailers as well, which say how the call ended.
        headers: &'a HeaderMap,
        /// Its body. It is not looked at for a 2xx. With no body, or with a part of it, fewer
        /// answers are understood, and none is taken for more than it says.
        body: &'a [u8],
    },
    /// Certainly nothing left the client: no connection was made.
    ///
    /// Do not use it for a failed connection behind a redirect or after a repeat by a library
    /// below, because an earlier connection may have delivered the request.
    NotSent,
    /// It may have arrived: a timeout, a connection that broke, or a body that broke off.
    Lost,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// This answer is the outcome of the intent, be it good or bad.
    Done,
    /// Send the same bytes again after this time.
    SendAgain(Duration),
    /// Stop: there is no answer that is the outcome.
    GiveUp(GaveUp),
}

/// Why an intent has no outcome, and whether it is safe to start over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GaveUp {
    /// No sending ran. It is safe to start over with a new key.
    ///
    /// Every sending either never left the client, or was answered by the server's idempotency
    /// layer with a certificate that it did not run: `application/problem+json` with the `type` and
    /// the code of [`store-unavailable`](crate::Code::StoreUnavailable). It is not proof behind a
    /// proxy that delivers one request several times, see
    /// [`RetryRules::trust_certificates`](super::RetryRules::trust_certificates).
    #[error("gave up: {0}; nothing was run, so it is safe to start over with a new key")]
    NothingRan(StopReason),
    /// At least one sending may have run.
    #[error(
        "gave up: {0}; the outcome is unknown, because it may have been run; look it up before \
         starting over, since a new key would run it a second time"
    )]
    OutcomeUnknown(StopReason),
}

impl GaveUp {
    /// Why nothing is sent any more.
    #[must_use]
    pub fn reason(self) -> StopReason {
        match self {
            Self::NothingRan(reason) | Self::OutcomeUnknown(reason) => reason,
        }
    }
}

/// Why nothing is sent any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StopReason {
    /// The server's answer is final, and does not say what became of an earlier sending: a 401 or
    /// 404 after a lost answer, or the code `outcome-unknown`.
    #[error("the last answer is final and does not tell what became of the request")]
    Unanswered,
    /// [`RetryRules::most_sendings`](super::RetryRules::most_sendings) is reached.
    #[error("it was sent as many times as the rules allow")]
    SendingsSpent,
    /// The next sending could arrive when the server has forgotten the key, see
    /// [`RetryRules::retention`](super::RetryRules::retention).
    #[error("the server may forget its key before another sending arrives")]
    RetentionOver,
    /// The server asks for a longer pause than
    /// [`RetryRules::longest_retry_after`](super::RetryRules::longest_retry_after). Resume the
    /// intent after this time.
    #[error("the server asks to wait for {0:?}")]
    RetryAfterTooLong(Duration),
    /// The [`RetryBudget`](super::RetryBudget) has no repeat left.
    #[error("the retry budget is spent")]
    BudgetSpent,
    /// The request could not be sent, and another try would fail in the same way: an invalid URL,
    /// or a body that cannot be sent a second time.
    #[error("it cannot be sent again")]
    NotSendable,
}
