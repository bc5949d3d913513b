//! What the idempotency layer says of a request.

use std::convert::Infallible;

use axum::{extract::FromRequestParts, http::request::Parts};
use idem_core::Context;
use idem_tower::CommitWith;

use crate::ledger::Execution;

/// The run of a key, as far as there is one: some requests have no key, and need none.
#[derive(Debug)]
pub(crate) struct Run {
    context: Option<Context>,
    commit_with: Option<CommitWith>,
}

impl Run {
    /// For the books. A request without a key has no execution to note.
    pub(crate) fn execution(&self) -> Option<Execution> {
        let context = self
            .context
            .as_ref()
            .filter(|context| context.is_protected());
        context.map(|context| Execution {
            attempt: context.attempt(),
            bank_key: context.derive_key("charge").as_str().to_owned(),
        })
    }

    /// Where to hand a transaction over, to be committed together with the answer.
    pub(crate) fn commit_with(&self) -> Option<&CommitWith> {
        self.commit_with.as_ref()
    }
}

impl<S: Sync> FromRequestParts<S> for Run {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self {
            context: parts.extensions.get().cloned(),
            commit_with: parts.extensions.get().cloned(),
        })
    }
}
