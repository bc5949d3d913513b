//! [`Rejection`]: the answer to a request whose caller could not be told.

use std::fmt;

use bytes::Bytes;
use http::{Response, StatusCode};
use idem_core::KeyError;

use super::{Answer, AnswerBody};
use crate::{Code, Problem};

/// The answer to a request whose caller could not be told; the handler does not run.
///
/// Made from a [`StatusCode`] (empty body), a [`Problem`], or a whole [`Response`]; from a
/// [`KeyError`] as [`Code::ScopeRefused`].
pub struct Rejection(Box<Response<Bytes>>);

impl Rejection {
    pub(super) fn into_answer(self) -> Answer {
        self.0.map(AnswerBody::from)
    }
}

impl From<StatusCode> for Rejection {
    fn from(status: StatusCode) -> Self {
        let mut response = Response::default();
        *response.status_mut() = status;
        response.into()
    }
}

impl From<Response<Bytes>> for Rejection {
    fn from(response: Response<Bytes>) -> Self {
        Self(Box::new(response))
    }
}

impl From<Problem> for Rejection {
    fn from(problem: Problem) -> Self {
        problem.into_response().into()
    }
}

impl From<KeyError> for Rejection {
    fn from(error: KeyError) -> Self {
        let detail = format!("The caller's name cannot be a scope: {error}.");
        Problem::new(Code::ScopeRefused).detail(detail).into()
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rejection").field(&self.0.status()).finish()
    }
}
