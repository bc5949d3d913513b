//! [`Rejection`]: the answer to a request whose caller could not be told.

use std::{cell::RefCell, fmt};

use actix_web::{Error, HttpResponse, ResponseError, http::StatusCode};
use idem_core::error::KeyError;
use idem_http::{Problem, driver};

/// The answer to a request whose caller could not be told; the handler does not run.
///
/// Made from an [`Error`] of actix-web's, which is handed to the middleware further out as it is;
/// from a [`StatusCode`] (empty body); from a [`Problem`], which is written as all problems of the
/// route are; from a [`KeyError`] as [`Code::ScopeRefused`](crate::Code::ScopeRefused).
#[derive(Debug)]
pub struct Rejection(pub(crate) Kind);

#[derive(Debug)]
pub(crate) enum Kind {
    Error(Error),
    Driver(driver::Rejection),
}

impl From<Error> for Rejection {
    fn from(error: Error) -> Self {
        Self(Kind::Error(error))
    }
}

impl From<StatusCode> for Rejection {
    fn from(status: StatusCode) -> Self {
        let response = HttpResponse::new(status);
        Error::from(Instead::of(response)).into()
    }
}

impl From<Problem> for Rejection {
    fn from(problem: Problem) -> Self {
        Self(Kind::Driver(problem.into()))
    }
}

impl From<KeyError> for Rejection {
    fn from(error: KeyError) -> Self {
        Self(Kind::Driver(error.into()))
    }
}

/// An answer that goes as an error, because there is no request to go with.
pub(crate) struct Instead {
    status: StatusCode,
    response: RefCell<Option<HttpResponse>>,
}

impl Instead {
    pub(crate) fn of(response: HttpResponse) -> Self {
        Self {
            status: response.status(),
            response: RefCell::new(Some(response)),
        }
    }
}

impl ResponseError for Instead {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    /// Who asks again gets the status alone: a body can be sent once.
    fn error_response(&self) -> HttpResponse {
        let response = self.response.take();
        response.unwrap_or_else(|| HttpResponse::new(self.status))
    }
}

impl fmt::Display for Instead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "answered with {}", self.status)
    }
}

impl fmt::Debug for Instead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Instead").field(&self.status).finish()
    }
}
