//! [`Posting`]: a transfer that is on the books, and whether it stays there.

use sqlx::{MySql, Postgres, Sqlite, Transaction};

use super::{LedgerError, Transfer, sqlite::Unwritten};
use crate::run::Run;

/// A transfer that is not yet settled. Dropped instead, it is not on the books, where these have
/// transactions.
#[must_use = "what is not settled may be rolled back"]
pub(crate) struct Posting {
    transfer: Transfer,
    open: Open,
}

/// What there is to commit.
enum Open {
    Nothing,
    Postgres(idem_postgres::Transactional, Transaction<'static, Postgres>),
    MySql(idem_mysql::Transactional, Transaction<'static, MySql>),
    /// To be written in a transaction that is as short as can be: nobody else can write meanwhile.
    Unwritten(Unwritten),
    Sqlite(idem_sqlite::Transactional, Transaction<'static, Sqlite>),
}

impl Posting {
    /// It is there for good.
    pub(super) fn done(transfer: Transfer) -> Self {
        let open = Open::Nothing;
        Self { transfer, open }
    }

    /// It is there once the transaction is committed.
    pub(super) fn in_postgres(
        transfer: Transfer,
        transactional: idem_postgres::Transactional,
        tx: Transaction<'static, Postgres>,
    ) -> Self {
        let open = Open::Postgres(transactional, tx);
        Self { transfer, open }
    }

    /// It is there once the transaction is committed.
    pub(super) fn in_mysql(
        transfer: Transfer,
        transactional: idem_mysql::Transactional,
        tx: Transaction<'static, MySql>,
    ) -> Self {
        let open = Open::MySql(transactional, tx);
        Self { transfer, open }
    }

    /// It is there once the transaction is committed.
    pub(super) fn in_sqlite(
        transfer: Transfer,
        transactional: idem_sqlite::Transactional,
        tx: Transaction<'static, Sqlite>,
    ) -> Self {
        let open = Open::Sqlite(transactional, tx);
        Self { transfer, open }
    }

    /// It is to be written when it is settled.
    pub(super) fn later(transfer: Transfer, unwritten: Unwritten) -> Self {
        let open = Open::Unwritten(unwritten);
        Self { transfer, open }
    }

    pub(crate) fn transfer(&self) -> &Transfer {
        &self.transfer
    }

    /// Commits it: in a run under a key together with the stored answer, which is the layer's to
    /// do; else at once.
    pub(crate) async fn settle(self, run: &Run) -> Result<Transfer, LedgerError> {
        let Self { transfer, open } = self;
        let open = match open {
            Open::Unwritten(unwritten) => {
                let (transactional, tx) = unwritten.write(&transfer).await?;
                Open::Sqlite(transactional, tx)
            }
            open => open,
        };
        match (open, run.commit_with()) {
            (Open::Postgres(transactional, tx), Some(record)) => {
                record.hand_over(transactional.open_tx(tx))?;
            }
            (Open::MySql(transactional, tx), Some(record)) => {
                record.hand_over(transactional.open_tx(tx))?;
            }
            (Open::Sqlite(transactional, tx), Some(record)) => {
                record.hand_over(transactional.open_tx(tx))?;
            }
            (Open::Postgres(_, tx), None) => tx.commit().await.map_err(LedgerError::Unknown)?,
            (Open::MySql(_, tx), None) => tx.commit().await.map_err(LedgerError::Unknown)?,
            (Open::Sqlite(_, tx), None) => tx.commit().await.map_err(LedgerError::Unknown)?,
            (Open::Nothing | Open::Unwritten(_), _) => {}
        }
        Ok(transfer)
    }
}
