//! The router: the page, its data, and the two changes.

mod act;
mod guard;
mod page;
mod record;
mod stream;

use std::sync::Arc;

use axum::{
    Json, Router, middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::StatusCode;
use serde_json::json;

use crate::{
    Console,
    operate::{Kind, OperateError},
    overview::Overviews,
};

/// What all handlers share.
#[derive(Clone)]
struct App {
    console: Arc<Console>,
    overviews: Overviews,
}

pub(crate) fn of(console: Console, overviews: Overviews) -> Router {
    let app = App {
        console: Arc::new(console),
        overviews,
    };
    let data = Router::new()
        .route("/api/session", get(record::session))
        .route("/api/events", get(stream::events))
        .route("/api/record", post(record::show))
        .route("/api/resolve", post(act::resolve))
        .route("/api/release", post(act::release))
        .layer(middleware::from_fn_with_state(app.clone(), guard::data));
    Router::new()
        .route("/", get(page::index))
        .route("/app.js", get(page::script))
        .route("/app.css", get(page::style))
        .merge(data)
        .layer(middleware::map_response(guard::headers))
        .with_state(app)
}

/// An error as the page reads it.
struct Refusal(OperateError);

impl<E: Into<OperateError>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, name) = match self.0.kind {
            Kind::Failed => (StatusCode::SERVICE_UNAVAILABLE, "failed"),
            Kind::Usage => (StatusCode::BAD_REQUEST, "usage"),
            Kind::NotFound => (StatusCode::NOT_FOUND, "not-found"),
            Kind::Changed => (StatusCode::CONFLICT, "changed"),
            Kind::NotAllowed => (StatusCode::CONFLICT, "not-allowed"),
        };
        refused(status, name, &self.0.message)
    }
}

fn refused(status: StatusCode, name: &str, message: &str) -> Response {
    (status, Json(json!({ "error": name, "message": message }))).into_response()
}
