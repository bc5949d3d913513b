//! Which answers are final, and which let the next request run.

use http::StatusCode;

/// How an answer is recorded.
///
/// By default its status decides ([`StatusRules`]). A handler that knows better puts one of these
/// into its response's extensions:
///
/// ```
/// use http::{Response, StatusCode};
/// use idem_http::Disposition;
///
/// /// The card processor was never asked, so a repeat may run.
/// fn processor_is_down() -> Response<&'static str> {
///     let mut response = Response::new("try again");
///     *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
///     response.extensions_mut().insert(Disposition::Retryable);
///     response
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Disposition {
    /// Stored: every repeat gets this answer, and nothing runs again.
    Final,
    /// Stored without its body: every repeat gets the status and the headers, and nothing runs
    /// again. For answers that are too large or too private to keep.
    FinalWithoutBody,
    /// Without effect: not stored, the next request with the same fingerprint runs.
    Retryable,
    /// Refused before anything happened, such as for a wrong one-time password or a failed
    /// validation: not stored, and the next request runs whatever its fingerprint. So a client may
    /// send a corrected body under the same key.
    ///
    /// Not after a crash in the middle of an earlier attempt that may have had its effect: a
    /// corrected request has other keys downstream. Ask the attempt number of the run.
    Release,
}

impl Disposition {
    /// Whether an answer is stored, so that nothing runs again.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Final | Self::FinalWithoutBody)
    }
}

/// Which statuses are retryable or release the key; all others are final.
///
/// What is answered after the handler began proves nothing about its effect: a timeout layer
/// inside answers 408 or 503 after cutting the handler off half-way. So only statuses that refuse
/// a request by their definition are retryable: 401, 403 (RFC 9110, §15.5), 425 (RFC 8470) and 429
/// (RFC 6585). A handler that answers 503 before it has done anything says so with
/// [`Disposition::Retryable`]; a route all of whose 408 and 503 are such takes
/// [`StatusRules::wide`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusRules {
    not_final: Vec<(StatusCode, Disposition)>,
}

impl Default for StatusRules {
    fn default() -> Self {
        Self::all_final()
            .retryable(StatusCode::UNAUTHORIZED)
            .retryable(StatusCode::FORBIDDEN)
            .retryable(StatusCode::TOO_EARLY)
            .retryable(StatusCode::TOO_MANY_REQUESTS)
    }
}

impl StatusRules {
    /// Stores every answer of a handler, whatever its status, as Stripe does once an endpoint has
    /// begun to run. A handler can still say [`Disposition::Retryable`].
    #[must_use]
    pub fn all_final() -> Self {
        Self {
            not_final: Vec::new(),
        }
    }

    /// The default, with 408 and 503 retryable as well. Only for routes where nothing inside of the
    /// layer answers so after the effect may have happened: no timeout layer, no proxy, no handler
    /// that gives up half-way.
    ///
    /// ```
    /// use http::StatusCode;
    /// use idem_http::{Disposition, StatusRules};
    ///
    /// let busy = StatusCode::SERVICE_UNAVAILABLE;
    /// assert_eq!(StatusRules::default().disposition(busy), Disposition::Final);
    /// assert_eq!(StatusRules::wide().disposition(busy), Disposition::Retryable);
    /// ```
    #[must_use]
    pub fn wide() -> Self {
        Self::default()
            .retryable(StatusCode::REQUEST_TIMEOUT)
            .retryable(StatusCode::SERVICE_UNAVAILABLE)
    }

    /// Lets the next request with the same fingerprint run after this status.
    #[must_use]
    pub fn retryable(self, status: StatusCode) -> Self {
        self.with(status, Disposition::Retryable)
    }

    /// Lets any next request run after this status; see [`Disposition::Release`]. For routes whose
    /// handlers answer so only before they do anything.
    ///
    /// ```
    /// use http::StatusCode;
    /// use idem_http::{Disposition, StatusRules};
    ///
    /// let invalid = StatusCode::UNPROCESSABLE_ENTITY;
    /// let rules = StatusRules::default().released(invalid);
    /// assert_eq!(rules.disposition(invalid), Disposition::Release);
    /// ```
    #[must_use]
    pub fn released(self, status: StatusCode) -> Self {
        self.with(status, Disposition::Release)
    }

    /// Stores and replays this status.
    #[must_use]
    pub fn stored(mut self, status: StatusCode) -> Self {
        self.not_final.retain(|(known, _)| *known != status);
        self
    }

    /// How an answer with this status is recorded.
    #[must_use]
    pub fn disposition(&self, status: StatusCode) -> Disposition {
        let rule = self.not_final.iter().find(|(known, _)| *known == status);
        rule.map_or(Disposition::Final, |(_, disposition)| *disposition)
    }

    /// The last rule for a status counts.
    fn with(self, status: StatusCode, disposition: Disposition) -> Self {
        let mut rules = self.stored(status);
        rules.not_final.push((status, disposition));
        rules
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retryable(rules: &StatusRules) -> Vec<u16> {
        let is_retryable = |code: &u16| {
            let status = StatusCode::from_u16(*code).unwrap();
            rules.disposition(status) == Disposition::Retryable
        };
        (200..600).filter(is_retryable).collect()
    }

    #[test]
    fn only_what_refuses_by_its_definition_is_retryable() {
        assert_eq!(retryable(&StatusRules::default()), [401, 403, 425, 429]);
    }

    #[test]
    fn the_wide_preset_adds_408_and_503() {
        let wide = retryable(&StatusRules::wide());
        assert_eq!(wide, [401, 403, 408, 425, 429, 503]);
    }

    #[test]
    fn every_status_can_be_final() {
        let rules = StatusRules::all_final();
        for code in 200..600 {
            let disposition = rules.disposition(StatusCode::from_u16(code).unwrap());
            assert_eq!(disposition, Disposition::Final, "{code}");
        }
    }

    #[test]
    fn a_route_can_move_a_status_either_way() {
        let rules = StatusRules::default()
            .retryable(StatusCode::CONFLICT)
            .stored(StatusCode::FORBIDDEN)
            .released(StatusCode::UNAUTHORIZED);
        assert_eq!(retryable(&rules), [409, 425, 429]);
        let released = rules.disposition(StatusCode::UNAUTHORIZED);
        assert_eq!(released, Disposition::Release);
    }
}
