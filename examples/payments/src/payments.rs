//! `/v1/payments`.

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
    ledger::{Kind, Status, Transfer},
    merchant::Merchant,
    order,
    problem::Problem,
    transfers,
};

/// `GET /v1/payments`.
#[derive(Debug, Serialize)]
pub(crate) struct Payments {
    merchant: String,
    /// How often money was really moved, whatever was answered.
    charges_executed: usize,
    payments: Vec<Transfer>,
}

/// Charges. Runs once per key: everything else is the layer's business, and none of it is here.
pub(crate) async fn create(
    State(app): State<App>,
    Extension(merchant): Extension<Merchant>,
    running: Option<Extension<Running>>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    transfers::create(&app, &merchant, Kind::Payment, running, &body).await
}

/// Lists what was charged.
pub(crate) async fn list(
    State(app): State<App>,
    Extension(merchant): Extension<Merchant>,
) -> Json<Payments> {
    let payments = app.ledger.list(&merchant, Kind::Payment);
    Json(Payments {
        merchant: merchant.as_str().to_owned(),
        charges_executed: payments.len(),
        payments,
    })
}

/// Looks one up.
pub(crate) async fn show(
    State(app): State<App>,
    Extension(merchant): Extension<Merchant>,
    Path(id): Path<String>,
) -> Result<Json<Transfer>, Problem> {
    transfers::find(&app, &merchant, Kind::Payment, &id).map(Json)
}

/// `PATCH` and `PUT`: describes one. A patch takes a key, as a payment does; a put is repeatable by
/// nature and needs none.
pub(crate) async fn describe(
    State(app): State<App>,
    Extension(merchant): Extension<Merchant>,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json<Transfer>, Problem> {
    let description = order::parse_description(&body)?;
    app.ledger
        .change(&merchant, Kind::Payment, &id, |payment| {
            payment.description = description;
        })
        .map(Json)
        .ok_or_else(|| transfers::unknown(Kind::Payment, &id))
}

/// Voids one; it stays on the books.
pub(crate) async fn void(
    State(app): State<App>,
    Extension(merchant): Extension<Merchant>,
    Path(id): Path<String>,
) -> Result<Json<Transfer>, Problem> {
    app.ledger
        .change(&merchant, Kind::Payment, &id, |payment| {
            payment.status = Status::Voided;
        })
        .map(Json)
        .ok_or_else(|| transfers::unknown(Kind::Payment, &id))
}
