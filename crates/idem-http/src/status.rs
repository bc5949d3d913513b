//! Which answers are final, and which let the next request run.

use http::StatusCode;

/// How an answer is recorded.
///
/// By default its status decides ([`StatusRules`]). A handler that knows better puts one of these
/// into its response's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// Stored: every repeat gets this answer, and nothing runs again.
    Final,
    /// Stored without its body: every repeat gets the status and the headers, and nothing runs
    /// again. For answers that are too large or too private to keep.
    FinalWithoutBody,
    /// Certainly without effect: not stored, the next request with the same fingerprint runs.
    Retryable,
}

/// Which statuses are retryable; all others are final.
///
/// An effect may have happened behind a 500, 502 or 504, so those are final. 401, 403, 408, 425,
/// 429 and 503 say by their definition (RFC 9110, §15.5 and §15.6; RFC 6585; RFC 8470) that the
/// request was turned away before it was acted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusRules {
    retryable: Vec<StatusCode>,
}

impl Default for StatusRules {
    fn default() -> Self {
        Self {
            retryable: vec![
                StatusCode::UNAUTHORIZED,
                StatusCode::FORBIDDEN,
                StatusCode::REQUEST_TIMEOUT,
                StatusCode::TOO_EARLY,
                StatusCode::TOO_MANY_REQUESTS,
                StatusCode::SERVICE_UNAVAILABLE,
            ],
        }
    }
}

impl StatusRules {
    /// Stores every answer of a handler, whatever its status, as Stripe does once an endpoint has
    /// begun to run. A handler can still say [`Ending::Retryable`].
    #[must_use]
    pub fn all_final() -> Self {
        Self {
            retryable: Vec::new(),
        }
    }

    /// Lets the next request run after this status.
    #[must_use]
    pub fn retryable(mut self, status: StatusCode) -> Self {
        if !self.retryable.contains(&status) {
            self.retryable.push(status);
        }
        self
    }

    /// Stores and replays this status.
    #[must_use]
    pub fn stored(mut self, status: StatusCode) -> Self {
        self.retryable.retain(|known| *known != status);
        self
    }

    /// How an answer with this status is recorded.
    #[must_use]
    pub fn ending(&self, status: StatusCode) -> Ending {
        match self.retryable.contains(&status) {
            true => Ending::Retryable,
            false => Ending::Final,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_turned_away_is_retryable_and_what_may_have_happened_is_final() {
        let rules = StatusRules::default();
        let retryable = [401, 403, 408, 425, 429, 503];
        for code in 200..600 {
            let ending = rules.ending(StatusCode::from_u16(code).unwrap());
            let expected = match retryable.contains(&code) {
                true => Ending::Retryable,
                false => Ending::Final,
            };
            assert_eq!(ending, expected, "{code}");
        }
    }

    #[test]
    fn every_status_can_be_final() {
        let rules = StatusRules::all_final();
        for code in 200..600 {
            let ending = rules.ending(StatusCode::from_u16(code).unwrap());
            assert_eq!(ending, Ending::Final, "{code}");
        }
    }

    #[test]
    fn a_route_can_move_a_status_either_way() {
        let rules = StatusRules::default()
            .retryable(StatusCode::CONFLICT)
            .stored(StatusCode::FORBIDDEN);
        assert_eq!(rules.ending(StatusCode::CONFLICT), Ending::Retryable);
        assert_eq!(rules.ending(StatusCode::FORBIDDEN), Ending::Final);
    }
}
