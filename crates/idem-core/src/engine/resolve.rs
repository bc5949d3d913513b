//! Settling an abandoned key by hand.

use super::{
    Idempotency,
    call::{Budget, MAX_ROUNDS, endless},
};
use crate::{
    RecordKey, Resolution,
    error::ResolveError,
    machine::{Resolved, Resolving},
    store::Version,
};

impl Idempotency {
    /// Settles a key whose execution vanished: what an operator does after looking into it.
    ///
    /// Only a key that is in flight with its lease over can be settled. Its holder, if it is alive
    /// after all, is superseded from then on.
    ///
    /// ```
    /// use idem_core::{Idempotency, RecordKey, Resolution, error::ResolveError};
    ///
    /// # async fn example(idem: Idempotency, key: RecordKey) -> Result<(), Box<dyn std::error::Error>> {
    /// let charge_id = 17_u64; // found in the provider's dashboard
    /// match idem.resolve(&key, Resolution::completed(&charge_id)?).await {
    ///     Ok(()) => println!("every repeat is answered with {charge_id} from now on"),
    ///     Err(ResolveError::NotResolvable(reason)) => println!("nothing to settle: {reason}"),
    ///     Err(error) => println!("look again: {error}"),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ResolveError::NotResolvable`] says what else the key is. [`ResolveError::Changed`] when somebody
    /// else settled it meanwhile, or, after a lost reply, claimed it once it was settled.
    /// [`ResolveError::Store`] when the store did not answer.
    ///
    /// # Cancel safety
    /// Dropped half-way, the key may or may not be settled: look it up.
    pub async fn resolve(
        &self,
        key: &RecordKey,
        resolution: Resolution,
    ) -> Result<(), ResolveError> {
        let resolving = Resolving::new(self.shared().entropy.token(), resolution);
        self.settle(key, resolving).await
    }

    /// [`resolve`](Self::resolve), if the record still has the version that somebody looked at.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve), and [`ResolveError::Changed`] when it has another version.
    pub async fn resolve_version(
        &self,
        key: &RecordKey,
        seen: Version,
        resolution: Resolution,
    ) -> Result<(), ResolveError> {
        let resolving = Resolving::new(self.shared().entropy.token(), resolution);
        self.settle(key, resolving.if_still(seen)).await
    }

    async fn settle(&self, key: &RecordKey, mut resolving: Resolving) -> Result<(), ResolveError> {
        let mut budget = Budget::new(self.policy().retry_budget);
        for _ in 0..MAX_ROUNDS {
            let (reply, error) = self.perform(key, resolving.next()).await;
            match resolving.on_reply(reply) {
                Resolved::Again => {}
                Resolved::Later => {
                    let error = error.unwrap_or_else(endless);
                    let retried = budget.retry(self, key, error).await;
                    retried.map_err(ResolveError::Store)?;
                }
                Resolved::Done => {
                    self.shared().waiters.wake(key);
                    return Ok(());
                }
                Resolved::NotResolvable(reason) => return Err(reason.into()),
                Resolved::Changed => return Err(ResolveError::Changed),
            }
        }
        Err(ResolveError::Store(endless()))
    }
}
