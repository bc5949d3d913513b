//! An ending that is not lost when its caller goes away.

use std::sync::Arc;

use super::{End, Held};
use crate::{StoreError, engine::EndFailure};

/// An ending on its way: never dropped in silence.
pub(super) struct EndGuard {
    held: Arc<Held>,
    end: Option<End>,
}

impl EndGuard {
    pub(super) fn new(held: Arc<Held>, end: End) -> Self {
        Self {
            held,
            end: Some(end),
        }
    }

    pub(super) fn try_end(&mut self) -> impl Future<Output = Result<(), EndFailure>> + Send {
        let end = self.end.as_mut();
        self.held
            .try_end(end.expect("it is taken out when the guard goes"))
    }

    pub(super) fn disarm(mut self) {
        self.end = None;
    }

    pub(super) fn hand_over(mut self, error: Option<&StoreError>) {
        if let Some(end) = self.end.take() {
            let held = Arc::clone(&self.held);
            held.engine.clone().end_in_background(held, end, error);
        }
    }
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            let held = Arc::clone(&self.held);
            held.engine.clone().end_in_background(held, end, None);
        }
    }
}
