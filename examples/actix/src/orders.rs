//! The handler, and its table.

use actix_web::{HttpResponse, ResponseError, http::StatusCode, web};
use idem::{
    actix::{CommitWith, Disposition, NotTaken},
    sqlite::{Transactional, is_transient},
};
use serde::Deserialize;

use crate::merchant::Merchant;

#[derive(Deserialize)]
pub(crate) struct Order {
    item: String,
}

pub(crate) async fn create_table(db: &Transactional) -> sqlx::Result<()> {
    let table = "CREATE TABLE IF NOT EXISTS orders \
                 (id INTEGER PRIMARY KEY, merchant TEXT NOT NULL, item TEXT NOT NULL)";
    sqlx::query(table).execute(db.pool()).await?;
    Ok(())
}

/// Writes the order and hands the transaction over. The middleware stores the answer in it and commits.
pub(crate) async fn place(
    db: web::Data<Transactional>,
    merchant: web::ReqData<Merchant>,
    commit_with: CommitWith,
    order: web::Json<Order>,
) -> Result<HttpResponse, Failed> {
    if order.item.is_empty() {
        return Ok(refused());
    }
    let mut tx = db.pool().begin_with("BEGIN IMMEDIATE").await?;
    let id: i64 =
        sqlx::query_scalar("INSERT INTO orders (merchant, item) VALUES (?, ?) RETURNING id")
            .bind(&merchant.0)
            .bind(&order.item)
            .fetch_one(&mut *tx)
            .await?;
    commit_with
        .hand_over(db.open_tx(tx))
        .map_err(Failed::Late)?;
    let placed = format!("{{\"id\":{id}}}");
    Ok(HttpResponse::Created()
        .content_type("application/json")
        .body(placed))
}

/// Nothing was written: the key is free for a corrected order.
fn refused() -> HttpResponse {
    let mut answer = HttpResponse::UnprocessableEntity();
    answer.extensions_mut().insert(Disposition::Release);
    answer.body("an order needs an item")
}

/// The transaction was dropped with the handler, and so rolled back.
#[derive(Debug)]
pub(crate) enum Failed {
    Database(sqlx::Error),
    Late(NotTaken),
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Database(_) => f.write_str("the order was not placed"),
            Self::Late(why) => write!(f, "the order was not placed: {why}"),
        }
    }
}

impl ResponseError for Failed {
    /// A conflict or a lost file lock: a retry with the same key runs. Everything else would fail
    /// again, and every retry gets the stored 500.
    fn error_response(&self) -> HttpResponse {
        match self {
            Self::Database(error) if is_transient(error) => {
                let mut answer = HttpResponse::ServiceUnavailable();
                answer.extensions_mut().insert(Disposition::Retryable);
                answer.body(self.to_string())
            }
            _ => HttpResponse::build(StatusCode::INTERNAL_SERVER_ERROR).body(self.to_string()),
        }
    }
}
