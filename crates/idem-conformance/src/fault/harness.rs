//! A [`FaultStore`] as the harness' way to lose calls and replies.

use std::sync::Arc;

use async_trait::async_trait;
use idem_core::store::Store;

use super::{CallFault, FaultStore};
use crate::{Fault, Faults, Skipped};

#[async_trait]
impl<S: Store + 'static> Faults for FaultStore<S> {
    async fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.clone())
    }

    async fn truth(&self) -> Arc<dyn Store> {
        self.inner().clone()
    }

    async fn inject(&self, fault: Fault) -> Result<(), Skipped> {
        match fault {
            Fault::LoseReply => self.on_next_call(CallFault::LoseReply),
            Fault::LoseRequest => self.on_next_call(CallFault::LoseRequest),
            // The first call is applied and the others are not: callers have to cope with either.
            Fault::Hang => {
                self.on_next_call(CallFault::HangAfter);
                self.on_every_call(CallFault::Hang);
            }
            Fault::Down => self.on_every_call(CallFault::Refuse),
        }
        Ok(())
    }

    async fn heal(&self) {
        FaultStore::heal(self);
    }
}
