//! Books in MySQL or MariaDB, next to the keys.

use std::time::Duration;

use idem_mysql::Transactional;
use sqlx::{MySql, MySqlPool, Transaction, mysql::MySqlPoolOptions};

use super::{Kind, LedgerError, Posting, Transfer, row::transfer};
use crate::merchant::Merchant;

/// How many payments may be half-way at once. They hold a connection each, of a pool of their own:
/// slow ones never keep keys from being claimed and renewed.
const CONNECTIONS: u32 = 20;

/// How long a payment waits for one.
const PATIENCE: Duration = Duration::from_secs(5);

/// Strings are compared byte by byte, as everywhere in this program.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS transfers (
    id VARCHAR(64) PRIMARY KEY,
    merchant VARCHAR(255) NOT NULL,
    kind VARCHAR(16) NOT NULL,
    amount BIGINT NOT NULL,
    currency VARCHAR(8) NOT NULL,
    description TEXT,
    status VARCHAR(32) NOT NULL,
    -- The run of the key; null for a request without one. Not unique: that it comes once is what
    -- the page wants to show, and a table that refused a second charge would hide it.
    attempt BIGINT,
    bank_key VARCHAR(255),
    created_at VARCHAR(32) NOT NULL,
    KEY transfers_of_merchant (merchant, kind, id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";

/// One merchant's transfers of a kind.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, amount, currency, description, status, attempt, bank_key, created_at ",
            "FROM transfers WHERE merchant = ? AND kind = ? ",
            $rest
        )
    };
}

const INSERT: &str = "INSERT INTO transfers \
    (merchant, kind, id, amount, currency, description, status, attempt, bank_key, created_at) \
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

const UPDATE: &str = "UPDATE transfers SET description = ?, status = ? \
    WHERE merchant = ? AND kind = ? AND id = ?";

/// The table of transfers.
#[derive(Debug)]
pub(crate) struct MySqlLedger {
    pool: MySqlPool,
    transactional: Transactional,
}

impl MySqlLedger {
    /// Connects, and makes the table where it is missing.
    pub(crate) async fn open(url: &str, transactional: Transactional) -> sqlx::Result<Self> {
        let pool = MySqlPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(PATIENCE)
            .connect(url)
            .await?;
        sqlx::raw_sql(TABLE).execute(&pool).await?;
        Ok(Self {
            pool,
            transactional,
        })
    }

    async fn begin(&self) -> sqlx::Result<Transaction<'static, MySql>> {
        self.pool.begin().await
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
        let row = sqlx::query(select!("AND id = ?"))
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
        let row = sqlx::query(select!("AND id = ? FOR UPDATE"))
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
            .bind(&transfer.description)
            .bind(transfer.status.as_str())
            .bind(merchant.as_str())
            .bind(kind.name())
            .bind(id)
            .execute(&mut *tx)
            .await?;
        Ok(Some(self.posting(transfer, tx)))
    }

    fn posting(&self, transfer: Transfer, tx: Transaction<'static, MySql>) -> Posting {
        Posting::in_mysql(transfer, self.transactional.clone(), tx)
    }
}
