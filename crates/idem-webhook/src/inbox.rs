//! [`Inbox`]: an endpoint's deliveries over an engine.

use std::{fmt, num::NonZeroU32, sync::Arc};

use bytes::Bytes;
use http::HeaderMap;
use idem_core::{
    Idempotency, OnBusy, Scope,
    error::{KeyError, PolicyError},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Delivery, Invalid, Verifier};

/// An inbox that cannot be made.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum InboxError {
    /// The sender's or the endpoint's name is no name of a scope.
    #[error("the sender's or the endpoint's name is refused: {0}")]
    Name(#[from] KeyError),
    /// The engine's policy is refused.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// The deliveries of one sender to one endpoint, over an engine. Cheap to clone.
///
/// Events are told apart by their id, within the sender and the endpoint.
///
/// ```
/// use bytes::Bytes;
/// use http::{HeaderMap, Response};
/// use idem_core::Idempotency;
/// use idem_webhook::{BoxError, Event, Inbox, InboxError, Verifier};
///
/// fn billing(idem: &Idempotency, secret: &str) -> Result<Inbox, Box<dyn std::error::Error>> {
///     Ok(Inbox::new(idem, "stripe", "billing", Verifier::stripe([secret])?)?)
/// }
///
/// async fn work_off(event: Event) -> Result<(), BoxError> {
///     println!("{} {:?}", event.id().as_str(), event.body());
///     Ok(())
/// }
///
/// /// In any framework: the headers and the bytes of a request, to its answer.
/// async fn hook(inbox: &Inbox, headers: &HeaderMap, body: Bytes) -> Response<Bytes> {
///     match inbox.verify(headers, body) {
///         Ok(delivery) => delivery.accept(work_off).await.into_response(),
///         Err(invalid) => invalid.into_response(),
///     }
/// }
/// ```
///
/// The engine's policy counts, with three exceptions: a busy key is always answered at once; nothing
/// runs while the store is out of reach, because the sender delivers again; and an event that was taken
/// by [`accept`](Delivery::accept) runs again after a panic, because the sender does not. Set the
/// retention to longer than the sender goes on delivering (Stripe: three days) and longer than the
/// service may be down: an event that was taken and not worked off is forgotten with its record.
#[derive(Clone)]
pub struct Inbox(pub(crate) Arc<Shared>);

#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) idem: Idempotency,
    /// The same for events that their sender does not deliver again.
    pub(crate) accepted: Idempotency,
    pub(crate) scope: Scope,
    verifier: Verifier,
    body_limit: usize,
    room: Arc<Semaphore>,
}

impl Inbox {
    /// The largest body where nothing else is said: 1 MiB.
    pub const DEFAULT_BODY_LIMIT: usize = 1 << 20;

    /// How many events are worked off at once where nothing else is said.
    pub const DEFAULT_AT_ONCE: usize = 1000;

    /// How many attempts an event has that was taken by [`accept`](Delivery::accept), where the policy
    /// sets no limit.
    pub const DEFAULT_ATTEMPTS: NonZeroU32 = NonZeroU32::new(1000).expect("it is not zero");

    /// An inbox for what `sender` delivers to `endpoint`. Two endpoints of one sender get the same
    /// events under the same ids, so each works them off for itself.
    ///
    /// # Errors
    /// [`InboxError`] for a name that cannot be part of a [`Scope`], such as an empty one.
    pub fn new(
        idem: &Idempotency,
        sender: &str,
        endpoint: &str,
        verifier: Verifier,
    ) -> Result<Self, InboxError> {
        let policy = idem.policy().clone().on_busy(OnBusy::Reject);
        let attempts = policy.attempts_limit().unwrap_or(Self::DEFAULT_ATTEMPTS);
        Ok(Self(Arc::new(Shared {
            accepted: idem.with_policy(policy.clone().max_attempts(attempts))?,
            idem: idem.with_policy(policy)?,
            scope: Scope::new("webhook")?.child(sender)?.child(endpoint)?,
            verifier,
            body_limit: Self::DEFAULT_BODY_LIMIT,
            room: Arc::new(Semaphore::new(Self::DEFAULT_AT_ONCE)),
        })))
    }

    fn with(mut self, set: impl FnOnce(&mut Shared)) -> Self {
        set(Arc::make_mut(&mut self.0));
        self
    }

    /// The largest body that is taken, in bytes; over it the answer is 413. It is stored until the
    /// event is worked off, so it has to fit into the store as well.
    #[must_use]
    pub fn body_limit(self, bytes: usize) -> Self {
        self.with(|shared| shared.body_limit = bytes)
    }

    /// How many events are worked off at once in this process. Over it deliveries are answered
    /// with 503, and nothing of them is stored.
    #[must_use]
    pub fn at_once(self, events: usize) -> Self {
        self.with(|shared| shared.room = Arc::new(Semaphore::new(events)))
    }

    /// Verifies a delivery. The store is not asked.
    ///
    /// # Errors
    /// [`Invalid`]: what is wrong, and the status to answer with.
    pub fn verify(&self, headers: &HeaderMap, body: Bytes) -> Result<Delivery, Invalid> {
        if body.len() > self.0.body_limit {
            return Err(self.too_large());
        }
        let verified = self.0.verifier.verify(headers, &body)?;
        Ok(Delivery::new(self.clone(), verified, body))
    }

    #[cfg(any(feature = "axum", feature = "actix"))]
    pub(crate) fn limit(&self) -> usize {
        self.0.body_limit
    }

    pub(crate) fn too_large(&self) -> Invalid {
        Invalid::BodyTooLarge {
            limit: self.0.body_limit,
        }
    }

    pub(crate) fn room(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.room).try_acquire_owned().ok()
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("scope", &self.0.scope)
            .field("verifier", &self.0.verifier)
            .field("body_limit", &self.0.body_limit)
            .finish_non_exhaustive()
    }
}
