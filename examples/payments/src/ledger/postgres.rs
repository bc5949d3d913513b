//! Books in PostgreSQL, next to the keys.

use std::time::Duration;

use idem_postgres::Transactional;
use sqlx::{PgPool, Postgres, Transaction, postgres::PgPoolOptions};

use super::{Kind, LedgerError, Posting, Transfer, row::transfer};
use crate::merchant::Merchant;

/// How many payments may be half-way at once. They hold a connection each, of a pool of their own:
/// slow ones never keep keys from being claimed and renewed.
const CONNECTIONS: u32 = 20;

/// How long a payment waits for one.
const PATIENCE: Duration = Duration::from_secs(5);

/// The keys' leases are renewed while a payment is half-way. At a stricter level a transaction
/// could not then change the record of its key.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// At most one process migrates at a time; the number is this example's own.
const LOCK: &str = "SELECT pg_advisory_xact_lock(4705119023816154)";

/// One merchant's transfers of a kind.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, amount, currency, description, status, attempt, bank_key, ",
            r#"to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') "#,
            "AS created_at FROM payments.transfers WHERE merchant = $1 AND kind = $2 ",
            $rest
        )
    };
}

const INSERT: &str = "INSERT INTO payments.transfers \
    (merchant, kind, id, amount, currency, description, status, attempt, bank_key, created_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, CAST($10::text AS timestamptz))";

const UPDATE: &str = "UPDATE payments.transfers SET description = $4, status = $5 \
    WHERE merchant = $1 AND kind = $2 AND id = $3";

/// The table of transfers, in the schema `payments`.
#[derive(Debug)]
pub(crate) struct PostgresLedger {
    pool: PgPool,
    transactional: Transactional,
}

impl PostgresLedger {
    /// Connects, and makes the table where it is missing.
    pub(crate) async fn open(url: &str, transactional: Transactional) -> sqlx::Result<Self> {
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(PATIENCE)
            .connect(url)
            .await?;
        let ledger = Self {
            pool,
            transactional,
        };
        ledger.migrate().await?;
        Ok(ledger)
    }

    async fn migrate(&self) -> sqlx::Result<()> {
        let mut tx = self.begin().await?;
        sqlx::raw_sql(LOCK).execute(&mut *tx).await?;
        let transfers = sqlx::raw_sql(include_str!("transfers.sql"));
        transfers.execute(&mut *tx).await?;
        tx.commit().await
    }

    async fn begin(&self) -> sqlx::Result<Transaction<'static, Postgres>> {
        self.pool.begin_with(BEGIN).await
    }

    pub(super) async fn post(
        &self,
        merchant: &Merchant,
        transfer: Transfer,
    ) -> Result<Posting, LedgerError> {
        let mut tx = self.begin().await?;
        let execution = transfer.execution.as_ref();
        sqlx::query(INSERT)
            .bind(merchant.as_str())
            .bind(transfer.object.name())
            .bind(&transfer.id)
            .bind(transfer.amount.get().cast_signed())
            .bind(transfer.currency.as_str())
            .bind(&transfer.description)
            .bind(transfer.status.as_str())
            .bind(execution.map(|execution| i64::from(execution.attempt)))
            .bind(execution.map(|execution| &execution.bank_key))
            .bind(&transfer.created_at)
            .execute(&mut *tx)
            .await?;
        Ok(self.posting(transfer, tx))
    }

    pub(super) async fn find(
        &self,
        merchant: &Merchant,
        kind: Kind,
        id: &str,
    ) -> Result<Option<Transfer>, LedgerError> {
        let row = sqlx::query(select!("AND id = $3"))
            .bind(merchant.as_str())
            .bind(kind.name())
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map(|row| transfer(kind, &row)).transpose()?)
    }

    pub(super) async fn list(
        &self,
        merchant: &Merchant,
        kind: Kind,
    ) -> Result<Vec<Transfer>, LedgerError> {
        let rows = sqlx::query(select!("ORDER BY id"))
            .bind(merchant.as_str())
            .bind(kind.name())
            .fetch_all(&self.pool)
            .await?;
        let transfers = rows.iter().map(|row| transfer(kind, row));
        Ok(transfers.collect::<sqlx::Result<_>>()?)
    }

    pub(super) async fn change(
        &self,
        merchant: &Merchant,
        kind: Kind,
        id: &str,
        change: impl FnOnce(&mut Transfer) + Send,
    ) -> Result<Option<Posting>, LedgerError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query(select!("AND id = $3 FOR UPDATE"))
            .bind(merchant.as_str())
            .bind(kind.name())
            .bind(id)
            .fetch_optional(&mut *tx)
            .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let mut transfer = transfer(kind, &row)?;
        change(&mut transfer);
        sqlx::query(UPDATE)
            .bind(merchant.as_str())
            .bind(kind.name())
            .bind(id)
            .bind(&transfer.description)
            .bind(transfer.status.as_str())
            .execute(&mut *tx)
            .await?;
        Ok(Some(self.posting(transfer, tx)))
    }

    fn posting(&self, transfer: Transfer, tx: Transaction<'static, Postgres>) -> Posting {
        Posting::in_postgres(transfer, self.transactional.clone(), tx)
    }
}
