//! What payments and refunds have in common.

use axum::{body::Bytes, response::Response};

use crate::{
    app::App,
    ledger::{Kind, Transfer},
    merchant::Merchant,
    order,
    problem::Problem,
    run::Run,
};

/// Moves money: first the delay, then the transfer, then the trouble that was asked for.
pub(crate) async fn create(
    app: &App,
    merchant: &Merchant,
    kind: Kind,
    run: &Run,
    body: &Bytes,
) -> Result<Response, Problem> {
    let (order, sandbox) = order::parse(body)?;
    tracing::info!(merchant = merchant.as_str(), "at work");
    sandbox.delay().await;
    let transfer = Transfer::new(kind, order, run.execution());
    let posting = app.ledger.post(merchant, transfer).await?;
    let id = &*posting.transfer().id;
    tracing::info!(merchant = merchant.as_str(), id, "money moved");
    sandbox.delay_answer().await;
    let transfer = posting.settle(run).await?;
    Ok(sandbox.answer(&transfer))
}

/// One of this merchant's transfers.
pub(crate) async fn find(
    app: &App,
    merchant: &Merchant,
    kind: Kind,
    id: &str,
) -> Result<Transfer, Problem> {
    let found = app.ledger.find(merchant, kind, id).await?;
    found.ok_or_else(|| unknown(kind, id))
}

/// 404. What belongs to another merchant is as unknown as what never was.
pub(crate) fn unknown(kind: Kind, id: &str) -> Problem {
    Problem::not_found(format!("There is no {} `{id}`", kind.name()))
}
