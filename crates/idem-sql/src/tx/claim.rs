//! Claiming within a transaction.

use std::time::Duration;

use idem_core::{
    Bytes, Context, Fingerprint, IdempotencyKey, RecordKey, Refused,
    error::Superseded,
    machine::{Claimed, Claiming, Ending, Held, Holding, Op, Reply, Want},
    store::StoreError,
};
use tokio::time::Instant;

use super::{Broken, CommitError, Completion, Conn, Transactional, TxStore, completion::Holder};

/// Operations of the machine for one wish: each time somebody else's write went through.
const MAX_ROUNDS: usize = 1000;

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

impl<S: TxStore> Transactional<S> {
    /// Claims a key within a transaction of the caller's: the first step of what
    /// [`once_in_tx`](Self::once_in_tx) does, for code that has a transaction already.
    ///
    /// In PostgreSQL the transaction also holds one of the database's advisory locks until it ends,
    /// numbered by a hash of the key. In SQLite begin it with `BEGIN IMMEDIATE`, and keep it short.
    ///
    /// A duplicate waits for the transaction that holds the key, as long as the store's lock timeout
    /// says; see [`once_in_tx`](Self::once_in_tx). After [`InFlight`](Refused::InFlight) the
    /// transaction may be of no use any more: roll it back.
    ///
    /// # Errors
    /// When the statement failed: roll the transaction back. A conflict with another transaction has
    /// to be tried again in a new one: at REPEATABLE READ or SERIALIZABLE a duplicate that waited is
    /// told so.
    ///
    /// # Cancel safety
    /// Roll the transaction back after dropping the future.
    pub async fn claim_in_tx(
        &self,
        tx: &mut Conn<S>,
        key: &RecordKey,
        fingerprint: &Fingerprint,
    ) -> Result<InTx, StoreError> {
        let wait = self.store.lock_timeout();
        match self
            .try_claim_in_tx(tx, key, fingerprint, wait, false)
            .await
        {
            Err(Broken::Contended(_)) => Ok(InTx::Refused(Refused::InFlight { retry_after: wait })),
            claimed => claimed.map_err(Broken::into_store_error),
        }
    }

    pub(super) async fn try_claim_in_tx(
        &self,
        tx: &mut Conn<S>,
        key: &RecordKey,
        fingerprint: &Fingerprint,
        wait: Duration,
        mut begun: bool,
    ) -> Result<InTx, Broken> {
        let request = self.engine.request(fingerprint);
        let mut claiming = Claiming::in_transaction(request);
        for _ in 0..MAX_ROUNDS {
            let op = claiming.next();
            let reply = self.perform_in_tx(tx, key, op, wait, begun).await?;
            begun = false;
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
        Err(Broken::raced())
    }

    /// Performs an operation of a claim.
    async fn perform_in_tx(
        &self,
        tx: &mut Conn<S>,
        key: &RecordKey,
        op: Op<'_>,
        wait: Duration,
        begun: bool,
    ) -> Result<Reply, Broken> {
        Ok(match op {
            Op::Create(record) => {
                let ttl = self.engine.ttl(&record.state);
                let created = self.store.create_in_tx(tx, key, record, ttl, wait, begun);
                created.await?.into()
            }
            Op::Update(write) => {
                let ttl = self.engine.ttl(&write.record.state);
                let updated = self.store.update_in_tx(tx, key, write, ttl, wait);
                updated.await?.into()
            }
            Op::Delete(_) | Op::Get | Op::Probe(_) => {
                unreachable!("a claim in a transaction creates and updates")
            }
        })
    }

    /// Drives a holding that wants to end. `own` says that this transaction holds the row already.
    pub(super) async fn end_holding(
        &self,
        tx: &mut Conn<S>,
        key: &RecordKey,
        holding: &mut Holding,
        own: bool,
    ) -> Result<Held, Broken> {
        for _ in 0..MAX_ROUNDS {
            let Some(Op::Update(write)) = holding.next() else {
                break;
            };
            let ttl = self.engine.ttl(&write.record.state);
            let reply = self.store.end_in_tx(tx, key, write, ttl, own).await?.into();
            match holding.on_reply(reply) {
                Held::Again | Held::Later | Held::Kept => {}
                held => return Ok(held),
            }
        }
        Err(Broken::raced())
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
        tx: &mut Conn<S>,
        once: Once,
        answer: impl Into<Bytes>,
    ) -> Result<Completion<S>, CommitError> {
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
