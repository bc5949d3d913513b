//! Claiming a key.

mod attempt;

use std::{pin::pin, time::Duration};

use attempt::Attempt;
use bytes::Bytes;
use tracing::Instrument;

use super::{Idempotency, call::in_place, keeper::MAX_PENDING};
use crate::{
    Execution, Fingerprint, OnBusy, RecordKey, Refused,
    error::ClaimError,
    machine::Request,
    observe::{self, Shape},
    store::StoreError,
};

/// What became of a claim.
///
/// Deliberately not `#[non_exhaustive]`: each outcome asks for something else of the caller.
///
/// ```
/// use idem_core::{Claim, Fingerprint, Idempotency, RecordKey, error::Superseded};
///
/// # async fn example(
/// #     idem: Idempotency, key: RecordKey, print: Fingerprint,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// match idem.claim(&key, &print).await? {
///     Claim::Acquired(execution) => {
///         // Do the work, then say how it ended.
///         execution.complete("done").await?;
///     }
///     Claim::Replay(answer) => println!("answered before: {answer:?}"),
///     Claim::ReplayFailure(failure) => println!("failed before: {failure:?}"),
///     Claim::Refused(refused) => println!("not now: {refused}"),
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "an acquired execution holds its key until it is ended"]
pub enum Claim {
    /// The caller has the right, and the duty, to run.
    Acquired(Execution),
    /// It ran before; this is its stored answer, byte for byte (G2).
    Replay(Bytes),
    /// It failed for good before; this is the stored failure.
    ReplayFailure(Bytes),
    /// It does not run, and there is no answer: the key is in flight, or belongs to another request,
    /// or has to be settled by hand.
    Refused(Refused),
}

impl Claim {
    pub(crate) fn outcome(&self) -> &'static str {
        match self {
            Self::Acquired(_) => "acquired",
            Self::Replay(_) => "replay",
            Self::ReplayFailure(_) => "replay-failure",
            Self::Refused(refused) => refused.name(),
        }
    }
}

impl Idempotency {
    /// Claims a key for a request: one round trip in the common case.
    ///
    /// A store that fails or does not answer is asked again under the same token until the
    /// policy's retry budget is spent. Under [`OnBusy::Wait`] a busy key is waited for.
    ///
    /// # Errors
    /// [`ClaimError`] when the store gave no answer; nothing runs (G6). A claim that may have gone
    /// through unnoticed is taken back in the background.
    ///
    /// # Cancel safety
    /// Dropping the future takes back, in the background, a claim that may have gone through.
    pub async fn claim(
        &self,
        key: &RecordKey,
        fingerprint: &Fingerprint,
    ) -> Result<Claim, ClaimError> {
        let measures = self.measures();
        let span = observe::claim_span(key, measures);
        // Pinned before it is wrapped: moving it would cost more than claiming in memory does.
        let claiming = pin!(async {
            let timer = measures.start(Shape::Claim);
            let mut claim = in_place!(self.claim_once(key, fingerprint));
            timer.stop();
            if let (Ok(Claim::Refused(Refused::InFlight { retry_after })), OnBusy::Wait(max)) =
                (&claim, self.policy().on_busy)
            {
                let left = *retry_after;
                let timer = measures.start(Shape::Wait);
                claim = Box::pin(self.claim_waiting(key, fingerprint, max, left)).await;
                timer.stop();
            }
            observe::claimed(&span, &claim);
            claim
        });
        claiming.instrument(span.clone()).await
    }

    pub(super) async fn claim_once(
        &self,
        key: &RecordKey,
        fingerprint: &Fingerprint,
    ) -> Result<Claim, ClaimError> {
        let keeper = &self.shared().keeper;
        let mut attempt = Attempt::new(self, key, self.request(fingerprint));
        if keeper.endings() >= MAX_PENDING {
            let source = StoreError::unavailable(
                "too many endings wait for the store to take them; nothing new is begun",
            );
            return Err(ClaimError { source });
        }
        if let Some(ending) = keeper.pending(key) {
            Box::pin(attempt.wait_for(ending)).await;
        }
        in_place!(attempt.run()).map_err(|source| ClaimError { source })
    }

    /// How long a holder is trusted still whose lease is over, because this process could not reach
    /// the store for a while: for stores that claim within a transaction of the user's.
    #[must_use]
    pub fn grace(&self) -> Duration {
        self.shared().outage.grace(self.policy().lease)
    }

    /// A wish to run under this engine's policy, with a token of its own: for stores that claim
    /// within a transaction of the user's.
    #[must_use]
    pub fn request(&self, fingerprint: &Fingerprint) -> Request {
        let policy = self.policy();
        Request {
            fingerprint: *fingerprint,
            token: self.shared().entropy.token(),
            sent: 0,
            created_at: self.shared().wall_clock.stamp(),
            lease: policy.lease,
            lapsed: policy.lapsed_rule(),
            max_attempts: policy.max_attempts,
        }
    }
}
