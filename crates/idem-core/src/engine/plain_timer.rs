//! [`Timer`] without the feature `rt`: runtimes cannot be told apart, so no timer is kept for the
//! next call.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Sleep;

/// Goes off once, after a time.
pub(super) struct Timer {
    sleep: Pin<Box<Sleep>>,
}

impl Timer {
    /// # Panics
    /// As [`tokio::time::sleep`], outside of a runtime that has a clock.
    pub(super) fn start(limit: Duration) -> Self {
        Self {
            sleep: Box::pin(tokio::time::sleep(limit)),
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.sleep.as_mut().poll(cx)
    }
}
