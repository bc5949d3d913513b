//! A table that handlers write to, in transactions of its own.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use idem_core::{
    Execution,
    error::{CommitError, Superseded},
    machine,
    spi::OpenTransaction,
};

/// A table in memory.
#[derive(Clone, Default)]
pub struct Table {
    rows: Arc<Mutex<Vec<usize>>>,
    /// What the next commit fails with.
    trouble: Arc<Mutex<Option<CommitError>>>,
    /// What another execution stores before the next commit.
    pub winner: Arc<Mutex<Option<Bytes>>>,
}

impl Table {
    pub fn insert(&self, row: usize) -> Transaction {
        Transaction {
            table: self.clone(),
            row,
        }
    }

    pub fn rows(&self) -> Vec<usize> {
        self.rows.lock().unwrap().clone()
    }

    pub fn fail_once(&self, error: CommitError) {
        *self.trouble.lock().unwrap() = Some(error);
    }
}

/// A row that is not committed yet.
pub struct Transaction {
    table: Table,
    row: usize,
}

#[async_trait]
impl OpenTransaction for Transaction {
    async fn end(
        self: Box<Self>,
        execution: Execution,
        ending: machine::Ending,
    ) -> Result<(), CommitError> {
        let winner = self.table.winner.lock().unwrap().take();
        if let Some(answer) = winner {
            execution.complete(answer).await?;
            return Err(CommitError::Superseded(Superseded));
        }
        let trouble = self.table.trouble.lock().unwrap().take();
        if let Some(error) = trouble {
            execution.fail_retryable().await?;
            return Err(error);
        }
        if ending.is_final() {
            self.table.rows.lock().unwrap().push(self.row);
        }
        execution.end(ending).await?;
        Ok(())
    }

    async fn commit_unprotected(self: Box<Self>) -> Result<(), CommitError> {
        let trouble = self.table.trouble.lock().unwrap().take();
        match trouble {
            Some(error) => Err(error),
            None => {
                self.table.rows.lock().unwrap().push(self.row);
                Ok(())
            }
        }
    }
}
