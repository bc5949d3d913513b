//! Settling a halted key by hand.

use super::Idempotency;
use crate::{RecordKey, Resolution, ResolveError, Updated, machine};

impl Idempotency {
    /// Settles a key whose execution vanished: what an operator does after looking into it.
    ///
    /// Only a key that is in flight with its lease over can be settled. The holder, should it be
    /// alive after all, is superseded from then on.
    ///
    /// # Errors
    /// [`ResolveError::NotResolvable`] says what else the key is; [`ResolveError::Changed`] when somebody
    /// else settled it meanwhile, or, after a lost reply, claimed it once it was settled;
    /// [`ResolveError::Store`] when the store did not answer.
    ///
    /// # Cancel safety
    /// Dropped half-way, the key may or may not be settled: look it up.
    pub async fn resolve(
        &self,
        key: &RecordKey,
        resolution: Resolution,
    ) -> Result<(), ResolveError> {
        let found = self.lookup(key).await.map_err(ResolveError::Store)?;
        let token = self.shared().entropy.token();
        let write = machine::resolve(found.as_ref(), token, resolution)?;
        let ttl = machine::ttl(&write.record.state, self.policy().retention);
        let update = || {
            self.shared()
                .store
                .update(key, write.expected, &write.record, ttl)
        };
        match self
            .retrying(key, update)
            .await
            .map_err(ResolveError::Store)?
        {
            Updated::Conflict(Some(found)) if found.record.version != write.record.version => {
                Err(ResolveError::Changed)
            }
            Updated::Conflict(None) => Err(ResolveError::Changed),
            Updated::Done | Updated::Conflict(Some(_)) => {
                self.shared().waiters.wake(key);
                Ok(())
            }
        }
    }
}
