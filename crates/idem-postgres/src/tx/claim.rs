//! Claiming within a transaction.

use std::time::Duration;

use idem_core::{
    Bytes, Context, Fingerprint, IdempotencyKey, RecordKey, Refused,
    error::Superseded,
    machine::{Claimed, Claiming, Ending, Held, Holding, Request, Want},
    store::StoreError,
};
use sqlx::PgConnection;
use tokio::time::Instant;

use super::{
    CommitError, Completion, Transactional,
    completion::Holder,
    statements::{Broken, MAX_ROUNDS, raced},
};

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
    /// It does not run, and there is no answer. [`Refused::Abandoned`] says that an execution which
    /// claimed outside of its transaction vanished, and that the policy says to halt or to ask a
    /// prober, which needs [`Idempotency::claim`](idem_core::Idempotency::claim).
    Refused(Refused),
}

/// A key that is held by a row of a transaction, and by nothing else: rolled back, it was never
/// claimed.
#[derive(Debug)]
#[must_use = "the transaction has to store how it ended before it commits"]
pub struct Once {
    key: RecordKey,
    holding: Box<Holding>,
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
        Context::unprotected(self.key.clone(), fingerprint).derive_key(step)
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
    /// [`InFlight`](Refused::InFlight) the transaction may be of no use any more: roll it back.
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
            Err(broken) if broken.is_contended() => {
                Ok(InTx::Refused(Refused::InFlight { retry_after: wait }))
            }
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
        request: Request,
        wait: Duration,
    ) -> Result<InTx, Broken> {
        let mut claiming = Claiming::in_transaction(request);
        for _ in 0..MAX_ROUNDS {
            let reply = self.perform_in_tx(tx, key, claiming.next(), wait).await?;
            return Ok(match claiming.on_reply(reply, self.engine.grace()) {
                // Somebody else's write went through.
                Claimed::Again | Claimed::Later => continue,
                Claimed::Own(holding) => InTx::Acquired(Once {
                    key: key.clone(),
                    holding: Box::new(holding),
                }),
                Claimed::Replay(payload) => InTx::Replay(payload),
                Claimed::ReplayFailure(payload) => InTx::ReplayFailure(payload),
                Claimed::Refused(refused) => InTx::Refused(refused),
            });
        }
        Err(raced())
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
        once: Once,
        answer: impl Into<Bytes>,
    ) -> Result<Completion, CommitError> {
        let began = Instant::now();
        let Once { key, mut holding } = once;
        let want = Want::end(Ending::Complete(answer.into()));
        let ended = match holding.want(want) {
            Ok(()) => self.end_holding(tx, &key, &mut holding, true).await,
            Err(Superseded) => Ok(Held::Superseded),
        };
        match ended {
            Ok(Held::Ended(_)) => Ok(Completion {
                transactional: self.clone(),
                key,
                holder: Holder::Once(holding),
                began,
            }),
            // Its retention was over before it was there.
            Ok(_) => Err(CommitError::Superseded(Superseded)),
            Err(broken) => Err(CommitError::RolledBack(broken.into_store_error())),
        }
    }
}
