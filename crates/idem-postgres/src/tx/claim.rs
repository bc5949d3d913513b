//! Claiming within a transaction.

use std::time::Duration;

use idem_core::{
    Bytes, Created, Fingerprint, IdempotencyKey, Record, RecordKey, Running, StoreError, Updated,
    machine::{self, Decision, Ending, Holding, Request, Write},
};
use sqlx::PgConnection;
use tokio::time::Instant;

use super::{CommitError, Completion, Transactional, completion::Holder, statements::Broken};

/// What became of a claim within a transaction.
#[derive(Debug)]
#[must_use = "an acquired claim holds its key until the transaction ends"]
pub enum InTx {
    /// The caller runs, in this transaction.
    Acquired(Once),
    /// It ran before; this is its stored answer, byte for byte (G2).
    Replay(Bytes),
    /// It failed for good before; this is the stored failure.
    ReplayFailure(Bytes),
    /// Another execution is in flight.
    InFlight {
        /// Lease left, or how long its row was waited for already.
        retry_after: Duration,
    },
    /// The key belongs to another request (G4).
    Mismatch,
    /// An execution that claimed outside of its transaction vanished, and the policy says to halt
    /// or to ask a prober, which needs [`Idempotency::claim`](idem_core::Idempotency::claim).
    Abandoned {
        /// The lost execution's fencing number.
        attempt: u32,
    },
    /// The key has had all the attempts that the policy allows.
    Exhausted {
        /// How many it had.
        attempts: u32,
    },
}

/// A key that is held by a row of a transaction, and by nothing else: rolled back, it was never
/// claimed.
#[derive(Debug)]
#[must_use = "the transaction has to store how it ended before it commits"]
pub struct Once {
    key: RecordKey,
    holding: Holding,
}

impl Once {
    /// The key that is held.
    #[must_use]
    pub fn key(&self) -> &RecordKey {
        &self.key
    }

    /// The fencing number; see [`Execution::attempt`](idem_core::Execution::attempt).
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.holding.record().attempt
    }

    /// A stable key for the next API downstream; see
    /// [`Execution::derive_key`](idem_core::Execution::derive_key).
    #[must_use]
    pub fn derive_key(&self, step: &str) -> IdempotencyKey {
        let fingerprint = self.holding.record().fingerprint;
        Running::unprotected(self.key.clone(), fingerprint).derive_key(step)
    }
}

impl Transactional {
    /// Claims a key within a transaction of the caller's: the first step of what
    /// [`once_in_tx`](Self::once_in_tx) does, for code that has a transaction already.
    ///
    /// The transaction also holds one of the database's advisory locks until it ends, numbered by a
    /// hash of the key: should the application use that very number, the two wait for each other.
    ///
    /// A duplicate waits for the transaction that holds the key, as long as the store's
    /// [`lock_timeout`](crate::PostgresConfig::lock_timeout) says; see
    /// [`once_in_tx`](Self::once_in_tx) for the one exception. After
    /// [`InFlight`](InTx::InFlight) the transaction may be of no use any more: roll it back.
    ///
    /// # Errors
    /// When the statement failed: roll the transaction back. At REPEATABLE READ or SERIALIZABLE a
    /// duplicate that waited is told SQLSTATE 40001, as any other conflict of that level, and has
    /// to be tried again in a new transaction.
    ///
    /// # Cancel safety
    /// Roll the transaction back after dropping the future.
    pub async fn claim_in_tx(
        &self,
        tx: &mut PgConnection,
        key: &RecordKey,
        fingerprint: &Fingerprint,
    ) -> Result<InTx, StoreError> {
        let wait = self.lock_timeout();
        match self.try_claim_in_tx(tx, key, fingerprint, wait).await {
            Err(broken) if broken.is_contended() => Ok(InTx::InFlight { retry_after: wait }),
            claimed => claimed.map_err(Broken::into_store_error),
        }
    }

    pub(super) async fn try_claim_in_tx(
        &self,
        tx: &mut PgConnection,
        key: &RecordKey,
        fingerprint: &Fingerprint,
        wait: Duration,
    ) -> Result<InTx, Broken> {
        let request = self.engine.request(fingerprint);
        self.claim_rounds(tx, key, request, wait).await
    }

    async fn claim_rounds(
        &self,
        tx: &mut PgConnection,
        key: &RecordKey,
        mut request: Request,
        wait: Duration,
    ) -> Result<InTx, Broken> {
        loop {
            let first = machine::first(&mut request);
            let mut found = match self.create_in_tx(tx, key, &first, wait).await? {
                Created::New => return Ok(acquired(key, first)),
                Created::Exists(found) => Some(found),
            };
            // Every round, somebody else's write went through; a key that is gone is created.
            while let Some(there) = found {
                let write = match machine::decide(&mut request, &there) {
                    Decision::TakeOver(write) => write,
                    Decision::Own => return Ok(acquired(key, there.record)),
                    refusal => return Ok(refused(refusal)),
                };
                found = match self.update_in_tx(tx, key, &write, wait).await? {
                    Updated::Done => return Ok(acquired(key, write.record)),
                    Updated::Conflict(found) => found,
                };
            }
        }
    }

    /// Stores the answer of a claim within the same transaction.
    ///
    /// # Errors
    /// [`CommitError`]: roll the transaction back.
    ///
    /// # Cancel safety
    /// Roll the transaction back after dropping the future.
    pub async fn complete_once_in_tx(
        &self,
        tx: &mut PgConnection,
        mut once: Once,
        answer: impl Into<Bytes>,
    ) -> Result<Completion, CommitError> {
        let began = Instant::now();
        let write: Write = once.holding.end(Ending::Complete(answer.into()));
        match self.end_in_tx(tx, &once.key, &write, true).await {
            Ok(Updated::Done) => Ok(Completion {
                transactional: self.clone(),
                key: once.key,
                write,
                holder: Holder::Once,
                began,
            }),
            // Its retention was over before it was there.
            Ok(Updated::Conflict(_)) => Err(CommitError::Superseded(idem_core::Superseded)),
            Err(broken) => Err(CommitError::RolledBack(broken.into_store_error())),
        }
    }
}

fn acquired(key: &RecordKey, record: Record) -> InTx {
    InTx::Acquired(Once {
        key: key.clone(),
        holding: Holding::new(record),
    })
}

fn refused(decision: Decision) -> InTx {
    match decision {
        Decision::Replay(payload) => InTx::Replay(payload),
        Decision::ReplayFailure(payload) => InTx::ReplayFailure(payload),
        Decision::Busy { retry_after } => InTx::InFlight { retry_after },
        Decision::Abandoned { attempt, .. } => InTx::Abandoned { attempt },
        Decision::Exhausted { attempts } => InTx::Exhausted { attempts },
        Decision::Mismatch | Decision::Own | Decision::TakeOver(_) => InTx::Mismatch,
    }
}
