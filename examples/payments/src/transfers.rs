//! What payments and refunds have in common.

use axum::{Extension, body::Bytes, response::Response};
use idem_core::Running;

use crate::{
    app::App,
    ledger::{Execution, Kind, Transfer},
    merchant::Merchant,
    order,
    problem::Problem,
};

/// Moves money: first the delay, then the transfer, then the trouble that was asked for.
pub(crate) async fn create(
    app: &App,
    merchant: &Merchant,
    kind: Kind,
    running: Option<Extension<Running>>,
    body: &Bytes,
) -> Result<Response, Problem> {
    let (order, sandbox) = order::parse(body)?;
    tracing::info!(merchant = merchant.as_str(), "at work");
    sandbox.delay().await;
    let transfer = app
        .ledger
        .execute(merchant, kind, order, execution(running));
    tracing::info!(
        merchant = merchant.as_str(),
        id = transfer.id,
        "money moved"
    );
    Ok(sandbox.answer(&transfer))
}

/// What the layer says of this run; nothing when the request came without a key, which some
/// profiles allow.
fn execution(running: Option<Extension<Running>>) -> Option<Execution> {
    running.map(|Extension(running)| Execution {
        attempt: running.attempt(),
        bank_key: running.derive_key("charge").as_str().to_owned(),
    })
}

/// One of this merchant's transfers.
pub(crate) fn find(
    app: &App,
    merchant: &Merchant,
    kind: Kind,
    id: &str,
) -> Result<Transfer, Problem> {
    app.ledger
        .find(merchant, kind, id)
        .ok_or_else(|| unknown(kind, id))
}

/// 404. What belongs to another merchant is as unknown as what never was.
pub(crate) fn unknown(kind: Kind, id: &str) -> Problem {
    Problem::not_found(format!("There is no {} `{id}`", kind.name()))
}
