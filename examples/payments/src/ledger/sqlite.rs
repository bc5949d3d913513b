//! Books in SQLite, in the file where the keys are.

use idem_sqlite::Transactional;
use sqlx::{Sqlite, SqlitePool, Transaction};

use super::{Kind, LedgerError, Posting, Transfer, row::transfer};
use crate::merchant::Merchant;

/// With the lock of the file from the start: a transaction that reads first may be refused when it
/// writes.
const BEGIN: &str = "BEGIN IMMEDIATE";

const TABLE: &str = "CREATE TABLE IF NOT EXISTS transfers (
    id TEXT PRIMARY KEY,
    merchant TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('payment', 'refund')),
    amount INTEGER NOT NULL CHECK (amount > 0),
    currency TEXT NOT NULL,
    description TEXT,
    status TEXT NOT NULL,
    -- The run of the key; null for a request without one. Not unique: that it comes once is what
    -- the page wants to show, and a table that refused a second charge would hide it.
    attempt INTEGER,
    bank_key TEXT,
    created_at TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS transfers_of_merchant ON transfers (merchant, kind, id)";

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
pub(crate) struct SqliteLedger {
    transactional: Transactional,
}

/// A transfer that is to be written.
pub(super) struct Unwritten {
    transactional: Transactional,
    merchant: Merchant,
}

impl SqliteLedger {
    /// Makes the table where it is missing.
    pub(crate) async fn open(transactional: Transactional) -> sqlx::Result<Self> {
        let ledger = Self { transactional };
        sqlx::raw_sql(TABLE).execute(ledger.pool()).await?;
        Ok(ledger)
    }

    fn pool(&self) -> &SqlitePool {
        self.transactional.pool()
    }

    /// Nothing is written yet: while a transaction is open, nobody else can write to the file.
    pub(super) fn post(&self, merchant: &Merchant, transfer: Transfer) -> Posting {
        let unwritten = Unwritten {
            transactional: self.transactional.clone(),
            merchant: merchant.clone(),
        };
        Posting::later(transfer, unwritten)
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
            .fetch_optional(self.pool())
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
            .fetch_all(self.pool())
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
        let mut tx = self.pool().begin_with(BEGIN).await?;
        let row = sqlx::query(select!("AND id = ?"))
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
        let transactional = self.transactional.clone();
        Ok(Some(Posting::in_sqlite(transfer, transactional, tx)))
    }
}

impl Unwritten {
    /// Begins a transaction and writes it there.
    pub(super) async fn write(
        self,
        transfer: &Transfer,
    ) -> sqlx::Result<(Transactional, Transaction<'static, Sqlite>)> {
        let mut tx = self.transactional.pool().begin_with(BEGIN).await?;
        let execution = transfer.execution.as_ref();
        sqlx::query(INSERT)
            .bind(self.merchant.as_str())
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
        Ok((self.transactional, tx))
    }
}
