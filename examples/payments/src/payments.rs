//! `/v1/payments`.

use axum::{
    Extension, Json,
    extract::{Path, State},
    response::Response,
};
use serde::Serialize;

use crate::{
    app::App,
    body::JsonBody,
    ledger::{Kind, Status, Transfer},
    merchant::Merchant,
    order,
    problem::Problem,
    run::Run,
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

/// Charges. Runs once per key: that is the layer's business, and none of it is here.
pub(crate) async fn create(
    State(app): State<App>,
    Extension(merchant): Extension<Merchant>,
    run: Run,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    transfers::create(&app, &merchant, Kind::Payment, &run, &body).await
}

/// Lists what was charged.
pub(crate) async fn list(
    State(app): State<App>,
    Extension(merchant): Extension<Merchant>,
) -> Result<Json<Payments>, Problem> {
    let payments = app.ledger.list(&merchant, Kind::Payment).await?;
    Ok(Json(Payments {
        merchant: merchant.as_str().to_owned(),
        charges_executed: payments.len(),
        payments,
    }))
}

/// Looks one up.
pub(crate) async fn show(
    State(app): State<App>,
    Extension(merchant): Extension<Merchant>,
    Path(id): Path<String>,
) -> Result<Json<Transfer>, Problem> {
    let found = transfers::find(&app, &merchant, Kind::Payment, &id).await?;
    Ok(Json(found))
}

/// `PATCH` and `PUT`: describes one. A patch takes a key, as a payment does; a put is repeatable by
/// nature and needs none.
pub(crate) async fn describe(
    State(app): State<App>,
    Extension(merchant): Extension<Merchant>,
    Path(id): Path<String>,
    run: Run,
    JsonBody(body): JsonBody,
) -> Result<Json<Transfer>, Problem> {
    let description = order::parse_description(&body)?;
    let describe = |payment: &mut Transfer| payment.description = description;
    change(&app, &merchant, &id, &run, describe).await
}

/// Voids one; it stays on the books.
pub(crate) async fn void(
    State(app): State<App>,
    Extension(merchant): Extension<Merchant>,
    Path(id): Path<String>,
    run: Run,
) -> Result<Json<Transfer>, Problem> {
    let void = |payment: &mut Transfer| payment.status = Status::Voided;
    change(&app, &merchant, &id, &run, void).await
}

async fn change(
    app: &App,
    merchant: &Merchant,
    id: &str,
    run: &Run,
    change: impl FnOnce(&mut Transfer) + Send,
) -> Result<Json<Transfer>, Problem> {
    let changed = app.ledger.change(merchant, Kind::Payment, id, change);
    let posting = changed
        .await?
        .ok_or_else(|| transfers::unknown(Kind::Payment, id))?;
    Ok(Json(posting.settle(run).await?))
}
