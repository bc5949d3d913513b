//! The bridge from the blocking work in here to callers on a runtime.

use std::panic;

/// Runs `work` on a thread that may block, so that tasks of the caller's runtime go on meanwhile.
/// Dropping the future does not stop the work.
pub(crate) async fn unblock<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(failed) => panic::resume_unwind(failed.into_panic()),
    }
}
