//! [`Prober`]: looks up whether an execution that vanished had its effect.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Fingerprint, IdempotencyKey, ProbeResult, RecordKey, derive::derive_key};

/// Finds out whether an abandoned execution had its effect.
///
/// Give one to [`OnAbandoned::probe`](crate::OnAbandoned::probe) where the effect can be looked up.
///
/// ```
/// use async_trait::async_trait;
/// use idem_core::{Abandonment, OnAbandoned, Policy, ProbeResult, Prober};
///
/// struct AskThePaymentProvider;
///
/// # impl AskThePaymentProvider {
/// #     async fn find(&self, _: &str) -> Result<Option<u64>, ()> { Ok(None) }
/// # }
/// #[async_trait]
/// impl Prober for AskThePaymentProvider {
///     async fn probe(&self, abandoned: &Abandonment) -> ProbeResult {
///         let key = abandoned.derive_key("charge"); // what the lost execution sent
///         match self.find(key.as_str()).await {
///             // What the work would have returned.
///             Ok(Some(charge_id)) => {
///                 ProbeResult::completed(&charge_id).unwrap_or(ProbeResult::unknown())
///             }
///             Ok(None) => ProbeResult::retry(),
///             Err(_) => ProbeResult::unknown(),
///         }
///     }
/// }
///
/// let policy = Policy::default().on_abandoned(OnAbandoned::probe(AskThePaymentProvider));
/// ```
#[async_trait]
pub trait Prober: Send + Sync {
    /// Looks for the effect: by [`Abandonment::derive_key`] at the API downstream, by a row in a
    /// ledger, by whatever the work leaves behind.
    ///
    /// Several claims may ask at once; the answers are applied by conditional writes, so the first
    /// one counts. Say [`ProbeResult::unknown`] when in doubt.
    ///
    /// The claim waits for it, for as long as a lease at most. A probe that takes longer, or panics,
    /// counts as unknown.
    async fn probe(&self, abandoned: &Abandonment) -> ProbeResult;
}

#[async_trait]
impl<P: Prober + ?Sized> Prober for Arc<P> {
    async fn probe(&self, abandoned: &Abandonment) -> ProbeResult {
        (**self).probe(abandoned).await
    }
}

/// An execution that vanished.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Abandonment {
    /// The key it held.
    pub key: RecordKey,
    /// The request it ran.
    pub fingerprint: Fingerprint,
    /// Its fencing number.
    pub attempt: u32,
    /// The last checkpoint it left.
    pub checkpoint: Option<Bytes>,
}

impl Abandonment {
    /// The key that the lost execution handed downstream for `step`; see
    /// [`Execution::derive_key`](crate::Execution::derive_key).
    #[must_use]
    pub fn derive_key(&self, step: &str) -> IdempotencyKey {
        derive_key(&self.key, &self.fingerprint, step)
    }
}
