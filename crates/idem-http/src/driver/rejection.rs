//! [`Rejection`]: the answer to a request whose caller could not be told.

use std::fmt;

use bytes::Bytes;
use http::{Response, StatusCode};
use idem_core::error::KeyError;

use super::{Answer, AnswerBody, Guard};
use crate::{Code, Problem};

/// The answer to a request whose caller could not be told; the handler does not run.
///
/// Made from a [`StatusCode`] (an empty body, or in gRPC the code that says the same), a whole
/// [`Response`], or a [`Problem`], which is written as all problems of the route are; from a
/// [`KeyError`] as [`Code::ScopeRefused`].
pub struct Rejection(Kind);

enum Kind {
    Status(StatusCode),
    Problem(Problem),
    Response(Box<Response<Bytes>>),
}

impl Rejection {
    pub(super) fn into_answer(self, guard: &Guard) -> Answer {
        match self.0 {
            Kind::Status(status) => guard.bare(status).map(AnswerBody::from),
            Kind::Problem(problem) => guard.refuse(problem),
            Kind::Response(response) => response.map(AnswerBody::from),
        }
    }
}

impl From<StatusCode> for Rejection {
    fn from(status: StatusCode) -> Self {
        Self(Kind::Status(status))
    }
}

impl From<Response<Bytes>> for Rejection {
    fn from(response: Response<Bytes>) -> Self {
        Self(Kind::Response(Box::new(response)))
    }
}

impl From<Problem> for Rejection {
    fn from(problem: Problem) -> Self {
        Self(Kind::Problem(problem))
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
        let status = match &self.0 {
            Kind::Status(status) => *status,
            Kind::Problem(problem) => problem.status,
            Kind::Response(response) => response.status(),
        };
        f.debug_tuple("Rejection").field(&status).finish()
    }
}
