//! [`Unprotected`]: a handler that runs without a record.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use http::{Extensions, HeaderValue, Response};
use idem_core::{Context, Fingerprint, IdempotencyKey, Scope};

use super::{CommitWith, Guard, Reply, ReplyTo};
use crate::IDEMPOTENCY_DEGRADED;

/// A handler that is to run without a record: its request has no key and needs none, or the store
/// is out of reach and the policy says to run all the same.
#[derive(Debug)]
pub struct Unprotected {
    guard: Guard,
    context: Context,
    commit_with: Option<CommitWith>,
    degraded: bool,
}

impl Guard {
    /// For a request without a key. A handler that asks for a key to hand on gets one that is drawn
    /// at random.
    pub(super) fn without_key(&self) -> Unprotected {
        let key = Scope::global().key(&IdempotencyKey::random());
        let print = Fingerprint::of("idem-http/without-key", b"");
        self.run_unprotected(Context::unprotected(key, print), false)
    }

    /// For a request whose key could not be claimed.
    pub(super) fn degraded(&self, context: Context) -> Unprotected {
        self.run_unprotected(context, true)
    }

    fn run_unprotected(&self, context: Context, degraded: bool) -> Unprotected {
        Unprotected {
            guard: self.clone(),
            context,
            commit_with: self.0.transactions.then(CommitWith::default),
            degraded,
        }
    }
}

impl Unprotected {
    /// What the handler may see: it says that it is not protected.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Puts that, and where to hand a transaction over, into a request's extensions.
    pub fn extend(&self, extensions: &mut Extensions) {
        extensions.insert(self.context.clone());
        if let Some(commit_with) = &self.commit_with {
            extensions.insert(commit_with.clone());
        }
    }

    /// Whether the handler's answer has to come through [`drive`](Self::drive): it may hand a
    /// transaction over, or its answer is to be marked. Else the handler can be called as if there
    /// were no layer.
    #[must_use]
    pub fn is_driven(&self) -> bool {
        self.degraded || self.commit_with.is_some()
    }

    /// Runs the handler, commits what it handed over, and replies with its answer. A panic is
    /// answered with 500 (`handler-failed`).
    ///
    /// # Cancel safety
    /// Dropping the future drops the handler, and rolls back what it handed over.
    pub async fn drive<F, S, X>(self, work: F, reply: ReplyTo<S, X>)
    where
        F: Future<Output = Result<Response<S>, X>>,
    {
        let ran = AssertUnwindSafe(work).catch_unwind().await;
        reply.send(match ran {
            Ok(Ok(response)) => Ok(self.finish(response).await),
            Ok(Err(error)) => Err(error),
            Err(_) => {
                let failed = self.guard.handler_failed();
                Ok(Reply::Answer(failed.map(Into::into)))
            }
        });
    }

    async fn finish<S>(self, response: Response<S>) -> Reply<S> {
        let (mut head, body) = response.into_parts();
        self.guard.disown(&mut head);
        let transaction = self.commit_with.as_ref().and_then(CommitWith::close);
        let is_final = self.guard.disposition(&head).is_final();
        if let Some(transaction) = transaction.filter(|_| is_final)
            && let Err(error) = transaction.commit_unprotected().await
        {
            return Reply::Answer(self.guard.not_committed(&error));
        }
        self.guard.mark_as_first(&mut head.headers);
        if self.degraded {
            let degraded = HeaderValue::from_static("true");
            head.headers.insert(IDEMPOTENCY_DEGRADED, degraded);
        }
        Reply::Passed(Response::from_parts(head, body))
    }
}
