//! What came out of a handler, in its stored form.

use std::{
    any::Any,
    fmt,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
};

use bytes::Bytes;
use idem_core::{Failure, spi::panic_message};
use serde::Serialize;

/// What came out of a handler.
pub(crate) enum Ended {
    Completed(Bytes),
    Failed(String),
    Retryable(String),
    Released(String),
}

impl Ended {
    pub(crate) fn of<T: Serialize, E: fmt::Display>(result: Result<T, Failure<E>>) -> Self {
        match result {
            Ok(value) => match serde_json::to_vec(&value) {
                Ok(json) => Self::Completed(json.into()),
                // It ran, so it must not run again.
                Err(error) => Self::Failed(format!("its answer does not serialise: {error}")),
            },
            Err(Failure::Final(error)) => Self::Failed(error.to_string()),
            Err(Failure::Retryable(error)) => Self::Retryable(error.to_string()),
            Err(Failure::Released(error)) => Self::Released(error.to_string()),
        }
    }
}

/// Runs work to its end or its panic, and gives the panic's message.
pub(crate) async fn catching<F: Future>(work: F) -> Result<F::Output, String> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx)));
        match polled {
            Ok(poll) => poll.map(Ok),
            Err(panic) => {
                let panic: &(dyn Any + Send) = &*panic;
                Poll::Ready(Err(panic_message(panic)))
            }
        }
    })
    .await
}
