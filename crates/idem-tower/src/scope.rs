//! Whose key it is: the extractor that every layer has to be given.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{Response, StatusCode, request::Parts};
use idem_core::{KeyError, Scope};
use idem_http::{Code, Problem};

/// Reads the scope of a request.
pub(crate) type ScopeOf = Arc<dyn Fn(&Parts) -> Result<Scope, Refusal> + Send + Sync>;

/// The answer to a request whose caller could not be told; the handler does not run.
///
/// Made from a [`StatusCode`] (empty body), a [`Problem`], or a whole [`Response`]; from a
/// [`KeyError`] as [`Code::ScopeRefused`].
pub struct Refusal(Box<Response<Bytes>>);

impl Refusal {
    pub(crate) fn into_response(self) -> Response<Bytes> {
        *self.0
    }
}

impl From<StatusCode> for Refusal {
    fn from(status: StatusCode) -> Self {
        let mut response = Response::default();
        *response.status_mut() = status;
        response.into()
    }
}

impl From<Response<Bytes>> for Refusal {
    fn from(response: Response<Bytes>) -> Self {
        Self(Box::new(response))
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        problem.into_response().into()
    }
}

impl From<KeyError> for Refusal {
    fn from(error: KeyError) -> Self {
        let detail = format!("The caller's name cannot be a scope: {error}.");
        Problem::new(Code::ScopeRefused).detail(detail).into()
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Refusal").field(&self.0.status()).finish()
    }
}
