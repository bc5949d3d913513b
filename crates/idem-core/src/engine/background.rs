//! Keeps count of background work, so that a shutdown can wait for it.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::Notify;

use super::Shared;

#[derive(Default)]
pub(crate) struct Background {
    running: AtomicUsize,
    idle: Notify,
}

impl Background {
    pub(crate) async fn wait_idle(&self) {
        loop {
            let mut idle = pin!(self.idle.notified());
            idle.as_mut().enable();
            if self.running.load(Ordering::SeqCst) == 0 {
                return;
            }
            idle.await;
        }
    }
}

impl Shared {
    /// Runs a task off the caller's path and counts it until it ends, panics or is dropped.
    pub(crate) fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        let counted = Counted::new(Arc::clone(self));
        self.spawner.spawn(async move {
            let _counted = counted;
            task.await;
        });
    }
}

/// Counts as background work until it is dropped.
pub(super) struct Counted(Arc<Shared>);

impl Counted {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        shared.background.running.fetch_add(1, Ordering::SeqCst);
        Self(shared)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let background = &self.0.background;
        if background.running.fetch_sub(1, Ordering::SeqCst) == 1 {
            background.idle.notify_waiters();
        }
    }
}
