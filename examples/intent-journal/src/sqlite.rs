//! A journal in SQLite: a row for each intent.

use anyhow::Result;
use async_trait::async_trait;
use idem::{
    IdempotencyKey,
    http::client::{Entry, Journal},
};
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteSynchronous},
};

/// A table. In a service of yours, it is in the database of the orders, and an entry is written in the
/// transaction that makes the order.
pub(crate) struct Table(SqlitePool);

impl Table {
    pub(crate) async fn open(url: &str) -> Result<Self> {
        let options: SqliteConnectOptions = url.parse()?;
        let options = options
            .create_if_missing(true)
            .synchronous(SqliteSynchronous::Full);
        let pool = SqlitePool::connect_with(options).await?;
        sqlx::query(
            "CREATE TABLE IF NOT EXISTS intents (
                key TEXT PRIMARY KEY, first_sent_ms INTEGER NOT NULL, request BLOB NOT NULL
            ) STRICT",
        )
        .execute(&pool)
        .await?;
        Ok(Self(pool))
    }
}

#[async_trait]
impl Journal for Table {
    type Error = anyhow::Error;

    async fn write(&self, entry: &Entry) -> Result<()> {
        sqlx::query("INSERT INTO intents VALUES (?, ?, ?)")
            .bind(entry.key.as_str())
            .bind(i64::try_from(entry.first_sent_ms)?)
            .bind(entry.request.to_vec())
            .execute(&self.0)
            .await?;
        Ok(())
    }

    async fn remove(&self, key: &IdempotencyKey) -> Result<()> {
        sqlx::query("DELETE FROM intents WHERE key = ?")
            .bind(key.as_str())
            .execute(&self.0)
            .await?;
        Ok(())
    }

    async fn open(&self) -> Result<Vec<Entry>> {
        let rows: Vec<(String, i64, Vec<u8>)> =
            sqlx::query_as("SELECT key, first_sent_ms, request FROM intents")
                .fetch_all(&self.0)
                .await?;
        let entry = |(key, first_sent_ms, request): (String, i64, Vec<u8>)| {
            Ok(Entry {
                key: IdempotencyKey::new(key)?,
                first_sent_ms: u64::try_from(first_sent_ms)?,
                request: request.into(),
            })
        };
        rows.into_iter().map(entry).collect()
    }
}
