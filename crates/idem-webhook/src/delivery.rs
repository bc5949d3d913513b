//! [`Delivery`]: a verified delivery, which is not in the store yet.

use bytes::Bytes;
use idem_core::{Claim, Execution, Refused, error::ClaimError, store::State};
use tokio::sync::oneshot;

use crate::{BoxError, Event, Inbox, Receipt, Verified, event::pack};

/// A verified delivery, which is not in the store yet. Choose how it is worked off:
///
/// | | answered | after a crash |
/// |---|---|---|
/// | [`accept`](Self::accept) | once the event is stored, with 202 | [`Inbox::work_off`] goes on |
/// | [`run`](Self::run) | once the handler is over, with 200 or 500 | the sender delivers again |
///
/// In both, the handler runs once at a time, on a task of its own: a sender that hangs up cancels
/// nothing. `Ok` from it means that the event never runs again; an error, that the next delivery (or
/// `work_off`) runs it again, as often as the policy allows. A panic is an error like any other to
/// `accept`; to `run` it is what [`Policy::on_panic`](idem_core::Policy::on_panic) says.
#[derive(Debug)]
#[must_use = "nothing is stored and nothing runs before `accept` or `run`"]
pub struct Delivery {
    inbox: Inbox,
    verified: Verified,
    body: Bytes,
}

/// When the sender is answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answered {
    /// The event is stored.
    Stored,
    /// The handler is over.
    Over,
}

impl Delivery {
    pub(crate) fn new(inbox: Inbox, verified: Verified, body: Bytes) -> Self {
        Self {
            inbox,
            verified,
            body,
        }
    }

    /// What is known of the event before it is claimed: its id and, for GitHub, its name.
    #[must_use]
    pub fn verified(&self) -> &Verified {
        &self.verified
    }

    /// The bytes that were delivered.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Stores the event, answers, and works it off in the background.
    ///
    /// The sender does not deliver again what was answered with 202. So call
    /// [`Inbox::work_off`] at the start of the service and from time to time: it runs what a crash
    /// or an error or a panic of the handler left.
    ///
    /// # Cancel safety
    /// Dropping the future cancels nothing.
    pub async fn accept<H, F, E>(self, handler: H) -> Receipt
    where
        H: FnOnce(Event) -> F + Send + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError> + Send + 'static,
    {
        self.detach(handler, Answered::Stored).await
    }

    /// Works the event off, and answers then. A sender waits for 10 to 30 seconds; the handler of
    /// one that does not wait goes on, and the next delivery is told what came of it.
    ///
    /// # Cancel safety
    /// Dropping the future cancels nothing.
    pub async fn run<H, F, E>(self, handler: H) -> Receipt
    where
        H: FnOnce(Event) -> F + Send + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError> + Send + 'static,
    {
        self.detach(handler, Answered::Over).await
    }

    async fn detach<H, F, E>(self, handler: H, answered: Answered) -> Receipt
    where
        H: FnOnce(Event) -> F + Send + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError> + Send + 'static,
    {
        let Some(room) = self.inbox.room() else {
            return Receipt::Overloaded;
        };
        let (answer, receipt) = oneshot::channel();
        let inbox = self.inbox.clone();
        self.inbox.0.idem.clone().detach(async move {
            let _room = room;
            // A sender that left hears of it with its next delivery.
            match self.begin(answered).await {
                Err(receipt) => {
                    let _ = answer.send(receipt);
                }
                Ok((execution, event)) if answered == Answered::Stored => {
                    let _ = answer.send(Receipt::Taken { repeat: false });
                    inbox.run_to_end(execution, event, true, handler).await;
                }
                Ok((execution, event)) => {
                    // It may have been accepted with an earlier delivery.
                    let accepted = execution.previous_checkpoint().is_some();
                    let over = inbox.run_to_end(execution, event, accepted, handler);
                    let _ = answer.send(over.await);
                }
            }
        });
        // Without a task there is no promise.
        receipt.await.unwrap_or(Receipt::Failed)
    }

    /// Claims the event, and stores it where that is what the sender is told.
    async fn begin(self, answered: Answered) -> Result<(Execution, Event), Receipt> {
        let execution = self.claim(answered).await?;
        let kind = self.verified.kind;
        if answered == Answered::Stored
            && execution.previous_checkpoint().is_none()
            && let Err(error) = execution
                .checkpoint(pack(kind.as_deref(), &self.body))
                .await
        {
            tracing::warn!(%error, "an event was not taken");
            // The handler has not begun, so the next delivery may run it.
            let _ = execution.fail_retryable().await;
            return Err(Receipt::StoreUnavailable);
        }
        let event = Event::new(self.verified.id, kind, self.body, execution.context());
        Ok((execution, event))
    }

    async fn claim(&self, answered: Answered) -> Result<Execution, Receipt> {
        let idem = match answered {
            Answered::Stored => &self.inbox.0.accepted,
            Answered::Over => &self.inbox.0.idem,
        };
        let key = self.inbox.0.scope.key(&self.verified.id);
        match idem.claim(&key, &self.verified.fingerprint).await {
            Ok(Claim::Acquired(execution)) => Ok(execution),
            Ok(Claim::Replay(_)) => Err(Receipt::Done { repeat: true }),
            Ok(Claim::ReplayFailure(_)) => Err(Receipt::GivenUp),
            Ok(Claim::Refused(Refused::InFlight { retry_after })) => {
                let in_work = Receipt::InWork { retry_after };
                if answered == Answered::Over {
                    return Err(in_work);
                }
                // The holder may be about to store it still; only what is stored is promised.
                let stored = idem.lookup(&key).await.ok().flatten();
                Err(match stored.map(|stored| stored.record.state) {
                    Some(State::InFlight { checkpoint, .. }) if checkpoint.is_some() => {
                        Receipt::Taken { repeat: true }
                    }
                    Some(State::Completed { .. }) => Receipt::Done { repeat: true },
                    _ => in_work,
                })
            }
            Ok(Claim::Refused(Refused::Mismatch)) => Err(Receipt::OtherEvent),
            Ok(Claim::Refused(Refused::Abandoned { .. } | Refused::Exhausted { .. })) => {
                Err(Receipt::GivenUp)
            }
            Err(error) => Err(refused(&error)),
        }
    }
}

/// The store gave no answer to a claim.
fn refused(error: &ClaimError) -> Receipt {
    use idem_core::store::StoreErrorKind::{Full, Unavailable, Unknown};

    tracing::warn!(%error, "an event was not taken");
    match error.source.kind() {
        Unavailable | Unknown | Full => Receipt::StoreUnavailable,
        _ => Receipt::StoreBroken,
    }
}
