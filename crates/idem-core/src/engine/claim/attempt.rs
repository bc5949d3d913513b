//! One claim on its way: performs what the machine says, and gives back what may be claimed unseen.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::future::select;

use crate::{
    Claim, Execution, Idempotency, RecordKey,
    engine::call::{Budget, MAX_ROUNDS, endless, in_place},
    execution::Held,
    machine::{Claimed, Claiming, Holding, Reply, Request},
    observe,
    store::StoreError,
};

/// One claim on its way. Dropped while the outcome of a write is not known, because the caller went
/// away or gave up, it gives the claim back: otherwise a key that never ran would stay locked for a
/// whole lease.
pub(super) struct Attempt<'a> {
    engine: &'a Idempotency,
    key: &'a RecordKey,
    claiming: Claiming,
    /// An ending of this process that the key waits for.
    behind: Option<Arc<Held>>,
    /// For asking again; most claims never do.
    budget: Option<Box<Budget>>,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(engine: &'a Idempotency, key: &'a RecordKey, request: Request) -> Self {
        Self {
            engine,
            key,
            claiming: Claiming::new(request),
            behind: None,
            budget: None,
        }
    }

    /// Waits for the next attempt at an ending of this process, within the budget for asking the
    /// store. What has ended does not run again even where that is zero: see [`grace`](Self::grace).
    pub(super) async fn wait_for(&mut self, ending: Arc<Held>) {
        let longest = self.engine.policy().retry_budget;
        self.budget = Some(Box::new(Budget::new(longest).started()));
        let ending = self.behind.insert(ending);
        let mut changed = pin!(ending.changed());
        changed.as_mut().enable();
        self.engine.shared().keeper.hurry(self.key);
        if !ending.is_over() {
            select(changed, pin!(tokio::time::sleep(longest))).await;
        }
    }

    /// How long a holder is trusted still whose lease is over.
    fn grace(&self) -> Duration {
        match &self.behind {
            // It has ended, and this process knows how: nobody may take it over.
            Some(ending) if !ending.is_over() && !ending.unseen => ending.lease(),
            _ => self.engine.grace(),
        }
    }

    pub(super) async fn run(&mut self) -> Result<Claim, StoreError> {
        for _ in 0..MAX_ROUNDS {
            let op = self.claiming.next();
            let (reply, error) = in_place!(self.engine.perform(self.key, op));
            let wrote = reply == Reply::Applied;
            let claim = match self.claiming.on_reply(reply, self.grace()) {
                Claimed::Again => continue,
                Claimed::Later => {
                    // Boxed: claims that wait for nothing do not carry the room for it.
                    Box::pin(self.retry(error)).await?;
                    continue;
                }
                Claimed::Own(holding) => self.acquired(holding),
                Claimed::Replay(payload) => Claim::Replay(payload),
                Claimed::ReplayFailure(payload) => Claim::ReplayFailure(payload),
                Claimed::Refused(refused) => Claim::Refused(refused),
            };
            if wrote && matches!(claim, Claim::Replay(_) | Claim::ReplayFailure(_)) {
                // A prober's answer was stored.
                self.engine.shared().waiters.wake(self.key);
            }
            return Ok(claim);
        }
        Err(endless())
    }

    /// Waits before asking again; hands the error back when the budget is spent.
    async fn retry(&mut self, error: Option<StoreError>) -> Result<(), StoreError> {
        let total = self.engine.policy().retry_budget;
        let budget = self
            .budget
            .get_or_insert_with(|| Box::new(Budget::new(total)));
        let error = error.unwrap_or_else(endless);
        budget.retry(self.engine, self.key, error).await
    }

    fn acquired(&self, holding: Holding) -> Claim {
        let attempt = holding.record().attempt;
        if attempt > 1 {
            observe::took_over(self.key, attempt);
        }
        let (engine, key) = (self.engine.clone(), self.key.clone());
        Claim::Acquired(Execution::new(engine, key, holding))
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if let Some(holding) = self.claiming.give_up() {
            self.engine.disown(self.key, holding);
        }
    }
}
