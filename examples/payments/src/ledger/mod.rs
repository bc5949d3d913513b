//! What was really charged: the bank's side of the story.

mod error;
mod memory;
mod mysql;
mod postgres;
mod posting;
mod row;
mod sqlite;
mod transfer;

pub(crate) use error::LedgerError;
pub(crate) use memory::MemoryLedger;
pub(crate) use mysql::MySqlLedger;
pub(crate) use postgres::PostgresLedger;
pub(crate) use posting::Posting;
pub(crate) use sqlite::SqliteLedger;
pub(crate) use transfer::{Execution, Kind, Order, Status, Transfer};

use crate::merchant::Merchant;

/// Everybody's transfers.
#[derive(Debug)]
pub(crate) enum Ledger {
    /// On its own: what is written is there at once, whatever becomes of the request.
    Memory(MemoryLedger),
    /// In the database where the keys are: what is written commits together with the answer.
    Postgres(PostgresLedger),
    /// In the database where the keys are, likewise.
    MySql(MySqlLedger),
    /// In the file where the keys are, likewise.
    Sqlite(SqliteLedger),
}

impl Ledger {
    /// Moves the money, every time it is called. That it is called once per intent is what idem
    /// is for.
    pub(crate) async fn post(
        &self,
        merchant: &Merchant,
        transfer: Transfer,
    ) -> Result<Posting, LedgerError> {
        match self {
            Self::Memory(ledger) => {
                ledger.post(merchant, &transfer);
                Ok(Posting::done(transfer))
            }
            Self::Postgres(ledger) => ledger.post(merchant, transfer).await,
            Self::MySql(ledger) => ledger.post(merchant, transfer).await,
            Self::Sqlite(ledger) => Ok(ledger.post(merchant, transfer)),
        }
    }

    /// One transfer of this merchant's.
    pub(crate) async fn find(
        &self,
        merchant: &Merchant,
        kind: Kind,
        id: &str,
    ) -> Result<Option<Transfer>, LedgerError> {
        match self {
            Self::Memory(ledger) => Ok(ledger.find(merchant, kind, id)),
            Self::Postgres(ledger) => ledger.find(merchant, kind, id).await,
            Self::MySql(ledger) => ledger.find(merchant, kind, id).await,
            Self::Sqlite(ledger) => ledger.find(merchant, kind, id).await,
        }
    }

    /// All transfers of this merchant's, oldest first.
    pub(crate) async fn list(
        &self,
        merchant: &Merchant,
        kind: Kind,
    ) -> Result<Vec<Transfer>, LedgerError> {
        match self {
            Self::Memory(ledger) => Ok(ledger.list(merchant, kind)),
            Self::Postgres(ledger) => ledger.list(merchant, kind).await,
            Self::MySql(ledger) => ledger.list(merchant, kind).await,
            Self::Sqlite(ledger) => ledger.list(merchant, kind).await,
        }
    }

    /// Changes the description or the status of a transfer, if there is one of this id.
    pub(crate) async fn change(
        &self,
        merchant: &Merchant,
        kind: Kind,
        id: &str,
        change: impl FnOnce(&mut Transfer) + Send,
    ) -> Result<Option<Posting>, LedgerError> {
        match self {
            Self::Memory(ledger) => {
                let changed = ledger.change(merchant, kind, id, change);
                Ok(changed.map(Posting::done))
            }
            Self::Postgres(ledger) => ledger.change(merchant, kind, id, change).await,
            Self::MySql(ledger) => ledger.change(merchant, kind, id, change).await,
            Self::Sqlite(ledger) => ledger.change(merchant, kind, id, change).await,
        }
    }
}
