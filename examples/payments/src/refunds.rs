//! `/v1/refunds`.

use axum::{
    Extension, Json,
    extract::{Path, State},
    response::Response,
};
use idem_core::Running;
use serde::Serialize;

use crate::{
    app::App,
    body::JsonBody,
    ledger::{Kind, Transfer},
    merchant::Merchant,
    problem::Problem,
    transfers,
};

/// `GET /v1/refunds`.
#[derive(Debug, Serialize)]
pub(crate) struct Refunds {
    merchant: String,
    /// How often money was really moved back, whatever was answered.
    refunds_executed: usize,
    refunds: Vec<Transfer>,
}

/// Refunds. Runs once per key.
pub(crate) async fn create(
    State(app): State<App>,
    Extension(merchant): Extension<Merchant>,
    running: Option<Extension<Running>>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    transfers::create(&app, &merchant, Kind::Refund, running, &body).await
}

/// Lists what was refunded.
pub(crate) async fn list(
    State(app): State<App>,
    Extension(merchant): Extension<Merchant>,
) -> Json<Refunds> {
    let refunds = app.ledger.list(&merchant, Kind::Refund);
    Json(Refunds {
        merchant: merchant.as_str().to_owned(),
        refunds_executed: refunds.len(),
        refunds,
    })
}

/// Looks one up.
pub(crate) async fn show(
    State(app): State<App>,
    Extension(merchant): Extension<Merchant>,
    Path(id): Path<String>,
) -> Result<Json<Transfer>, Problem> {
    transfers::find(&app, &merchant, Kind::Refund, &id).map(Json)
}
