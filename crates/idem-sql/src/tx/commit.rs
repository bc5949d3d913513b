//! Committing, and finding out whether a commit went through whose reply was lost.

use idem_core::{
    Execution, RecordKey,
    error::Superseded,
    machine::{Claiming, Ending, Held, Holding, Landed, Op, Reply, Want},
    store::StoreError,
};
use tokio::time::timeout;

use super::{
    CommitError, Completion, Transactional, Tx, TxStore, completion::Holder, patience::Patience,
};
use crate::Stage;

/// What the record says of a transaction.
enum Verdict {
    Committed,
    RolledBack,
}

impl<S: TxStore> Completion<S> {
    /// Commits a transaction whose last statement succeeded, and lets go of the turn that it had: what
    /// follows may need one.
    pub(super) async fn commit_as_it_is<T>(
        self,
        tx: Tx<'_, S>,
        turn: T,
    ) -> Result<(), CommitError> {
        let limit = self.transactional.store.commit_timeout();
        let committed = timeout(limit, tx.commit()).await;
        drop(turn);
        match committed {
            Ok(Ok(())) => {
                self.committed().await;
                Ok(())
            }
            // The database said no: a deferred constraint, a conflict at SERIALIZABLE, a full disk.
            Ok(Err(error)) if S::is_refusal(&error) => self.was_rolled_back(error).await,
            Ok(Err(error)) => self.find_out(S::store_error(error, Stage::Sent)).await,
            Err(_) => {
                let silence = format!("the database did not answer within {limit:?}");
                self.find_out(StoreError::unknown(silence)).await
            }
        }
    }

    pub(super) async fn was_rolled_back(self, error: sqlx::Error) -> Result<(), CommitError> {
        self.let_go().await;
        let error = S::store_error(error, Stage::Connecting);
        Err(CommitError::RolledBack(error))
    }

    /// Finds out what became of a transaction whose commit was sent and not answered.
    ///
    /// It may still be on its way, so looking at the record is not enough: it takes a write that
    /// waits for the transaction to end, and is told what it left. Ask within the retention: past it
    /// a record that is not there proves nothing.
    ///
    /// # Errors
    /// As [`commit`](Self::commit); `lost` is what is known of the failure.
    ///
    /// # Cancel safety
    /// As [`commit`](Self::commit).
    pub async fn find_out(self, lost: StoreError) -> Result<(), CommitError> {
        metrics::counter!("idem_tx_commits_in_doubt_total").increment(1);
        let Self {
            transactional,
            key,
            holder,
            began,
        } = self;
        let is_over = || began.elapsed() >= transactional.engine.policy().retention_time();
        match holder {
            Holder::Execution(execution) => {
                let settling = transactional.settle_execution(execution, lost.clone());
                match settling.await {
                    Err(CommitError::Superseded(_)) if is_over() => Err(CommitError::Unknown(lost)),
                    settled => settled,
                }
            }
            Holder::Once(holding) => {
                match transactional.look_behind(&key, *holding, &lost).await? {
                    Verdict::Committed => Ok(()),
                    Verdict::RolledBack if is_over() => Err(CommitError::Unknown(lost)),
                    Verdict::RolledBack => Err(CommitError::RolledBack(lost)),
                }
            }
        }
    }
}

impl<S: TxStore> Transactional<S> {
    /// Tries to make the key free: that works if and only if the transaction is rolled back.
    async fn settle_execution(
        &self,
        execution: Execution,
        lost: StoreError,
    ) -> Result<(), CommitError> {
        match self.make_free(&execution).await {
            Some(Held::Ended(Landed::Retryable)) => {
                execution.ended().await;
                Err(CommitError::RolledBack(lost))
            }
            Some(Held::Ended(_)) => {
                execution.ended().await;
                Ok(())
            }
            Some(_) => {
                execution.ended().await;
                Err(CommitError::Superseded(Superseded))
            }
            None => {
                // Goes on in the background, where a commit that went through stands.
                let _ = execution.fail_retryable().await;
                Err(CommitError::Unknown(lost))
            }
        }
    }

    /// What became of the execution; `None` when the server could not be asked.
    async fn make_free(&self, execution: &Execution) -> Option<Held> {
        let mut holding = execution.holding().await;
        holding.reopen();
        holding.want(Want::end(Ending::Retry)).ok()?;
        let mut patience = Patience::new(self.engine.policy().lease_time());
        loop {
            let Some(Op::Update(write)) = holding.next() else {
                return None;
            };
            let ttl = self.engine.ttl(&write.record.state);
            let update = self
                .store
                .update(execution.key(), write.expected, &write.record, ttl);
            let (reply, error) = match update.await {
                Ok(updated) => (Reply::from(updated), None),
                Err(error) => (Reply::Failed(error.kind()), Some(error)),
            };
            match (holding.on_reply(reply), error) {
                (Held::Later, Some(error)) if !error.kind().is_transient() => return None,
                (Held::Later, _) if !patience.pause().await => return None,
                (Held::Again | Held::Later | Held::Kept, _) => {}
                (held, _) => return Some(held),
            }
        }
    }

    /// Asks for the row in a transaction that leaves no trace, behind the one that may hold it.
    async fn look_behind(
        &self,
        key: &RecordKey,
        mut holding: Holding,
        lost: &StoreError,
    ) -> Result<Verdict, CommitError> {
        holding.reopen();
        let mut patience = Patience::new(self.engine.policy().lease_time());
        loop {
            match self.look_once(key, holding.clone()).await {
                Ok(verdict) => return Ok(verdict),
                Err(error) if error.kind().is_transient() && patience.pause().await => {}
                Err(_) => return Err(CommitError::Unknown(lost.clone())),
            }
        }
    }

    async fn look_once(
        &self,
        key: &RecordKey,
        mut holding: Holding,
    ) -> Result<Verdict, StoreError> {
        let request = self.engine.request(&holding.record().fingerprint);
        let mut probe = Claiming::in_transaction(request);
        let Op::Create(claim) = probe.next() else {
            unreachable!("a claim begins with a create")
        };
        let ttl = self.engine.ttl(&claim.state);
        let found = self.store.settled(key, claim, ttl).await?;
        Ok(match holding.on_read(found) {
            Held::Ended(_) => Verdict::Committed,
            _ => Verdict::RolledBack,
        })
    }
}
