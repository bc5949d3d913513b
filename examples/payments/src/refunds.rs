//! `/v1/refunds`.

use axum::{
    Extension, Json,
    extract::{Path, State},
    response::Response,
};
use serde::Serialize;

use crate::{
    app::App,
    body::JsonBody,
    ledger::{Kind, Transfer},
    merchant::Merchant,
    problem::Problem,
    run::Run,
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
    run: Run,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    transfers::create(&app, &merchant, Kind::Refund, &run, &body).await
}

/// Lists what was refunded.
pub(crate) async fn list(
    State(app): State<App>,
    Extension(merchant): Extension<Merchant>,
) -> Result<Json<Refunds>, Problem> {
    let refunds = app.ledger.list(&merchant, Kind::Refund).await?;
    Ok(Json(Refunds {
        merchant: merchant.as_str().to_owned(),
        refunds_executed: refunds.len(),
        refunds,
    }))
}

/// Looks one up.
pub(crate) async fn show(
    State(app): State<App>,
    Extension(merchant): Extension<Merchant>,
    Path(id): Path<String>,
) -> Result<Json<Transfer>, Problem> {
    let found = transfers::find(&app, &merchant, Kind::Refund, &id).await?;
    Ok(Json(found))
}
