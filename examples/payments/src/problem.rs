//! This service's own refusals, as problem details (RFC 9457). Those of the idempotency layer come
//! from the layer.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use idem_tower::Disposition;
use serde::Serialize;

/// An answer that says what went wrong and what to send instead.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub(crate) struct Problem(Box<Members>);

#[derive(Debug, Clone, Serialize)]
struct Members {
    /// The type is "as the status says"; `code` tells more, and is what a program should read.
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    charged: Option<String>,
    /// Nothing was done, so the next request with the key may run.
    #[serde(skip)]
    retryable: bool,
}

/// One member of the request, and what is wrong with it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FieldError {
    pub(crate) field: &'static str,
    pub(crate) message: String,
}

impl Problem {
    /// What these answers are.
    pub(crate) const CONTENT_TYPE: HeaderValue =
        HeaderValue::from_static("application/problem+json");

    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Members {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Unknown"),
            status: status.as_u16(),
            code,
            detail: detail.into(),
            errors: Vec::new(),
            charged: None,
            retryable: false,
        }))
    }

    /// 401.
    pub(crate) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    /// 404.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// 405.
    pub(crate) fn method_not_allowed() -> Self {
        let detail =
            "There is no such method on this resource; the Allow header lists those there are";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
    }

    /// 400: the body is not JSON, or not a JSON object.
    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "body-malformed", detail)
    }

    /// The body did not arrive: too large, or cut off.
    pub(crate) fn unreadable(status: StatusCode, detail: impl Into<String>) -> Self {
        Self::new(status, "body-unreadable", detail)
    }

    /// 415.
    pub(crate) fn not_json() -> Self {
        let detail = "Send the body as `Content-Type: application/json`";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", detail)
    }

    /// 503: nothing was written. The idempotency layer stores a bare 503, because it proves nothing.
    pub(crate) fn books_unavailable() -> Self {
        let detail = "The books cannot be reached, so nothing was written. Send the request again";
        let mut problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "books-unavailable", detail);
        problem.0.retryable = true;
        problem
    }

    /// 500: something may have been written.
    pub(crate) fn books_failed() -> Self {
        let detail = "The books may have been written: look at them before you send it again";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "books-failed", detail)
    }

    /// 422: members of the body are not what they have to be.
    pub(crate) fn invalid(errors: Vec<FieldError>) -> Self {
        let lines: Vec<String> = errors
            .iter()
            .map(|error| format!("`{}` {}", error.field, error.message))
            .collect();
        let mut problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid-request",
            lines.join("; "),
        );
        problem.0.errors = errors;
        problem
    }

    /// What the sandbox was asked to answer with, after `id` was charged.
    pub(crate) fn asked_for(status: StatusCode, id: &str) -> Self {
        let detail =
            format!("The sandbox was asked for this status; `{id}` had gone through before");
        let mut problem = Self::new(status, "sandbox", detail);
        problem.0.charged = Some(id.to_owned());
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).expect("it came from a StatusCode");
        let retryable = self.0.retryable;
        let mut response = (status, Json(self)).into_response();
        if retryable {
            response.extensions_mut().insert(Disposition::Retryable);
        }
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, Self::CONTENT_TYPE);
        response
    }
}
