//! What all services of one layer share.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use idem_core::{Idempotency, IdempotencyKey};
use idem_http::{Code, Problem, Profile, StoredResponse, encode_answer};

use crate::scope::ScopeOf;

/// Turns a problem into its answer.
pub(crate) type OnError = Arc<dyn Fn(Problem) -> Response<Bytes> + Send + Sync>;

/// When to ask again after the store was out of reach: nobody knows, so soon.
pub(crate) const STORE_RETRY_AFTER: Duration = Duration::from_secs(1);

pub(crate) struct Config {
    pub(crate) idem: Idempotency,
    pub(crate) profile: Profile,
    /// In place of the profile's format.
    pub(crate) on_error: Option<OnError>,
    /// Whether handlers may hand a transaction over.
    pub(crate) transactions: bool,
    pub(crate) scope: ScopeOf,
}

/// What a request's head says about it.
pub(crate) enum Admission {
    /// Not protected: its method is not, or it has no key and needs none.
    Pass,
    /// To be run once for this key.
    Protect(IdempotencyKey),
    /// Not to be run.
    Refuse(Problem),
}

impl Config {
    pub(crate) fn admit<B>(&self, request: &Request<B>) -> Admission {
        let profile = &self.profile;
        if !profile.methods.contains(request.method()) {
            return Admission::Pass;
        }
        match profile.key.read(request.headers()) {
            Ok(Some(key)) => Admission::Protect(key),
            Ok(None) if !profile.required => Admission::Pass,
            Ok(None) => Admission::Refuse(Problem::new(Code::KeyMissing).detail(format!(
                "Send the header {} with one key per intent, and the same key with every repeat.",
                profile.key.name
            ))),
            Err(why) => Admission::Refuse(
                Problem::new(Code::KeyMalformed)
                    .detail(format!("The header {} is no key: {why}.", profile.key.name)),
            ),
        }
    }

    pub(crate) fn answer(&self, problem: Problem) -> Response<Bytes> {
        match &self.on_error {
            Some(on_error) => on_error(problem),
            None => self.profile.problem(&problem),
        }
    }

    pub(crate) fn replay(&self, payload: &Bytes) -> Result<Response<Bytes>, Problem> {
        match StoredResponse::decode(payload) {
            Ok(stored) => Ok(self.profile.replay(stored)),
            Err(error) => {
                tracing::error!(%error, "a stored answer cannot be replayed; nothing ran");
                Err(Problem::new(Code::RecordUnreadable))
            }
        }
    }

    /// What is stored of an answer; `None` for a body that is not kept.
    pub(crate) fn payload(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: Option<&Bytes>,
    ) -> Bytes {
        let Profile {
            kept,
            compress_from,
            ..
        } = &self.profile;
        encode_answer(status, &kept.select(headers), body, *compress_from)
    }

    /// What is stored of an answer of this layer's own.
    pub(crate) fn stored(&self, response: &Response<Bytes>) -> Bytes {
        self.payload(response.status(), response.headers(), Some(response.body()))
    }
}

/// The store gave no answer to a claim.
pub(crate) fn store_problem(error: &idem_core::ClaimError) -> Problem {
    use idem_core::StoreErrorKind::{Config, Corrupt, Full, TooLarge, Unavailable, Unknown};

    match error.source.kind() {
        Unavailable | Unknown | Full => {
            tracing::warn!(%error, "a request was refused");
            Problem::new(Code::StoreUnavailable).retry_after(STORE_RETRY_AFTER)
        }
        Corrupt | Config | TooLarge => {
            tracing::error!(%error, "a request was refused");
            Problem::new(Code::RecordUnreadable)
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("idem", &self.idem)
            .field("profile", &self.profile)
            .finish_non_exhaustive()
    }
}
