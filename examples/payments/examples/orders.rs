//! An order is written in the same PostgreSQL transaction as the answer that tells of it.
//!
//! `DATABASE_URL=postgres://… cargo run -p payments --example orders`, and then, twice:
//! `curl -i localhost:3000/orders -H 'Idempotency-Key: order-1' --json '{"item":"tea"}'`

use std::net::Ipv4Addr;

use axum::{
    Extension, Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use idem_core::Idempotency;
use idem_http::Disposition;
use idem_postgres::{PostgresStore, Transactional, is_transient};
use idem_tower::{CommitWith, IdempotencyLayer};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Order {
    item: String,
}

#[derive(Serialize)]
struct Placed {
    id: i64,
}

/// Writes the order and hands the transaction over. The layer stores the answer in it and commits.
async fn place(
    State(db): State<Transactional>,
    Extension(commit_with): Extension<CommitWith>,
    Json(order): Json<Order>,
) -> Result<(StatusCode, Json<Placed>), Failed> {
    let mut tx = db.pool().begin().await?;
    let id = sqlx::query_scalar("INSERT INTO orders (item) VALUES ($1) RETURNING id")
        .bind(order.item)
        .fetch_one(&mut *tx)
        .await?;
    commit_with
        .hand_over(db.open_tx(tx))
        .map_err(|error| Failed(sqlx::Error::Configuration(error.into())))?;
    Ok((StatusCode::CREATED, Json(Placed { id })))
}

/// A database error. The transaction was dropped with the handler, and so rolled back.
struct Failed(sqlx::Error);

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        // A conflict or a lost connection: nothing was written, so a retry with the same key runs.
        if is_transient(&self.0) {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return (status, Extension(Disposition::Retryable)).into_response();
        }
        // The same request would fail again. The answer is stored, and every retry gets it.
        match self.0.as_database_error() {
            Some(error) if error.is_unique_violation() => StatusCode::CONFLICT.into_response(),
            Some(error) if error.is_check_violation() => {
                StatusCode::UNPROCESSABLE_ENTITY.into_response()
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let store = PostgresStore::connect(&std::env::var("DATABASE_URL")?).await?;
    store.migrate().await?;
    sqlx::query(
        "CREATE TABLE IF NOT EXISTS orders \
         (id bigint GENERATED ALWAYS AS IDENTITY, item text NOT NULL CHECK (item <> ''))",
    )
    .execute(store.pool())
    .await?;

    let idem = Idempotency::new(store.clone());
    let layer = IdempotencyLayer::global(idem.clone()).transactions();
    let app = Router::new()
        .route("/orders", post(place))
        .route_layer(layer)
        .with_state(store.transactional(&idem));
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 3000)).await?;
    axum::serve(listener, app).await?;
    Ok(())
}
