//! [`Posting`]: a transfer that is on the books, and whether it stays there.

use idem_postgres::Transactional;
use sqlx::{Postgres, Transaction};

use super::{LedgerError, Transfer};
use crate::run::Run;

/// A transfer that is written, and not yet settled. Dropped instead, it is rolled back where the
/// books have transactions.
#[must_use = "what is not settled may be rolled back"]
pub(crate) struct Posting {
    transfer: Transfer,
    open: Option<Open>,
}

struct Open {
    transactional: Transactional,
    tx: Transaction<'static, Postgres>,
}

impl Posting {
    /// It is there for good.
    pub(super) fn done(transfer: Transfer) -> Self {
        Self {
            transfer,
            open: None,
        }
    }

    /// It is there once the transaction is committed.
    pub(super) fn open(
        transfer: Transfer,
        transactional: Transactional,
        tx: Transaction<'static, Postgres>,
    ) -> Self {
        Self {
            transfer,
            open: Some(Open { transactional, tx }),
        }
    }

    pub(crate) fn transfer(&self) -> &Transfer {
        &self.transfer
    }

    /// Commits it: in a run under a key together with the stored answer, which is the layer's to
    /// do; else at once.
    pub(crate) async fn settle(self, run: &Run) -> Result<Transfer, LedgerError> {
        if let Some(Open { transactional, tx }) = self.open {
            match run.commit_with() {
                Some(record) => record.hand_over(transactional.open_tx(tx))?,
                None => tx.commit().await.map_err(LedgerError::Unknown)?,
            }
        }
        Ok(self.transfer)
    }
}
