//! [`Context`]: what work may see and do while it runs.

use std::{fmt, sync::Arc};

use bytes::Bytes;

#[cfg(doc)]
use crate::{Execution, OnOutage};
use crate::{
    Fingerprint, IdempotencyKey, RecordKey, derive::derive_key, error::HoldError, execution::Held,
    machine::Want,
};

/// What work may see and do while it runs; cheap to clone.
///
/// ```
/// use idem_core::{Context, Failure, Fingerprint, Idempotency, RecordKey};
///
/// async fn pay(context: Context) -> Result<String, Failure<String>> {
///     // The provider runs this once, however often this work starts over.
///     let key = context.derive_key("charge");
///     let charge = format!("charged under {}", key.as_str());
///     // A successor that takes over after a crash finds this.
///     context.checkpoint(charge.clone()).await.map_err(|error| error.to_string())?;
///     Ok(charge)
/// }
///
/// # async fn example(idem: Idempotency, key: RecordKey, request: Fingerprint) {
/// let paid = idem.execute(&key, &request, pay).await;
/// # }
/// ```
#[derive(Clone)]
pub struct Context(Inner);

#[derive(Clone)]
enum Inner {
    Protected(Arc<Held>),
    Unprotected {
        key: RecordKey,
        fingerprint: Fingerprint,
    },
}

impl Context {
    pub(crate) fn protected(held: Arc<Held>) -> Self {
        Self(Inner::Protected(held))
    }

    /// For work that runs without a record, under [`OnOutage::FailOpen`](crate::OnOutage::FailOpen).
    #[must_use]
    pub fn unprotected(key: RecordKey, fingerprint: Fingerprint) -> Self {
        Self(Inner::Unprotected { key, fingerprint })
    }

    /// Whether the key is held; `false` only under [`OnOutage::FailOpen`](crate::OnOutage::FailOpen).
    #[must_use]
    pub fn is_protected(&self) -> bool {
        matches!(self.0, Inner::Protected(_))
    }

    /// The fencing number, see [`Execution::attempt`](crate::Execution::attempt); 0 when unprotected.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        match &self.0 {
            Inner::Protected(held) => held.attempt,
            Inner::Unprotected { .. } => 0,
        }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &RecordKey {
        match &self.0 {
            Inner::Protected(held) => &held.key,
            Inner::Unprotected { key, .. } => key,
        }
    }

    /// The checkpoint of the execution before; see [`Execution::previous_checkpoint`](crate::Execution::previous_checkpoint).
    #[must_use]
    pub fn previous_checkpoint(&self) -> Option<&Bytes> {
        match &self.0 {
            Inner::Protected(held) => held.resumed.as_ref(),
            Inner::Unprotected { .. } => None,
        }
    }

    /// A stable key for the next API downstream; see [`Execution::derive_key`](crate::Execution::derive_key).
    #[must_use]
    pub fn derive_key(&self, step: &str) -> IdempotencyKey {
        match &self.0 {
            Inner::Protected(held) => derive_key(&held.key, &held.fingerprint, step),
            Inner::Unprotected { key, fingerprint } => derive_key(key, fingerprint, step),
        }
    }

    /// Leaves bytes for a successor; see [`Execution::checkpoint`](crate::Execution::checkpoint). Does nothing when unprotected.
    ///
    /// # Errors
    /// As [`Execution::checkpoint`](crate::Execution::checkpoint); `Superseded` also after the execution ended.
    pub async fn checkpoint(&self, checkpoint: impl Into<Bytes>) -> Result<(), HoldError> {
        match &self.0 {
            Inner::Protected(held) => held.step(Want::Checkpoint(checkpoint.into())).await,
            Inner::Unprotected { .. } => Ok(()),
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("key", self.key())
            .field("attempt", &self.attempt())
            .field("protected", &self.is_protected())
            .finish()
    }
}
