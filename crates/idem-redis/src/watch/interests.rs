//! [`Interests`]: who waits for which record.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use redis::{PushInfo, PushKind};
use tokio::sync::watch;

use super::invalidated;

/// Names that somebody waits for. A change that nobody is looking at is kept for each of them.
#[derive(Default)]
pub(super) struct Interests {
    by_name: Mutex<HashMap<String, Waited>>,
}

struct Waited {
    waiters: usize,
    changes: watch::Sender<()>,
}

impl Interests {
    /// Waits for a name until the interest is dropped.
    pub(super) fn register(interests: &Arc<Self>, name: &str) -> Interest {
        let mut by_name = interests.lock();
        let waited = by_name.entry(name.to_owned()).or_insert_with(|| Waited {
            waiters: 0,
            changes: watch::Sender::new(()),
        });
        waited.waiters += 1;
        Interest {
            name: name.to_owned(),
            changes: waited.changes.clone(),
            interests: Arc::clone(interests),
        }
    }

    /// Takes note of what a server said unasked.
    pub(super) fn heard(&self, info: &PushInfo) {
        match &info.kind {
            PushKind::Invalidate => match invalidated(&info.data) {
                Some(names) => self.wake(names),
                None => self.wake_all(),
            },
            PushKind::Disconnection => self.wake_all(),
            _ => {}
        }
    }

    pub(super) fn wake_all(&self) {
        for waited in self.lock().values() {
            waited.changes.send_replace(());
        }
    }

    fn wake<'a>(&self, names: impl Iterator<Item = &'a str>) {
        let by_name = self.lock();
        for waited in names.filter_map(|name| by_name.get(name)) {
            waited.changes.send_replace(());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Waited>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One waiter's interest in one name.
pub(super) struct Interest {
    name: String,
    changes: watch::Sender<()>,
    interests: Arc<Interests>,
}

impl Interest {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The changes from now on.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        let mut by_name = self.interests.lock();
        if let Some(waited) = by_name.get_mut(&self.name) {
            waited.waiters -= 1;
            if waited.waiters == 0 {
                by_name.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::*;

    fn invalidate(names: &[&str]) -> PushInfo {
        let names = names.iter().map(|name| Value::BulkString((*name).into()));
        PushInfo {
            kind: PushKind::Invalidate,
            data: vec![Value::Array(names.collect())],
        }
    }

    #[test]
    fn a_change_wakes_who_waits_for_that_name() {
        let interests = Arc::default();
        let (one, other) = (
            Interests::register(&interests, "one"),
            Interests::register(&interests, "other"),
        );
        let (first, second) = (one.changes(), one.changes());
        let others = other.changes();
        interests.heard(&invalidate(&["one", "unknown"]));
        assert!(first.has_changed().unwrap() && second.has_changed().unwrap());
        assert!(!others.has_changed().unwrap());
    }

    #[test]
    fn a_flush_and_a_broken_connection_wake_all() {
        let interests = Arc::default();
        let one = Interests::register(&interests, "one");
        for info in [
            PushInfo {
                kind: PushKind::Invalidate,
                data: vec![Value::Nil],
            },
            PushInfo {
                kind: PushKind::Disconnection,
                data: vec![],
            },
        ] {
            let changes = one.changes();
            interests.heard(&info);
            assert!(changes.has_changed().unwrap());
        }
    }

    #[test]
    fn a_name_is_forgotten_with_its_last_waiter() {
        let interests: Arc<Interests> = Arc::default();
        let first = Interests::register(&interests, "one");
        let second = Interests::register(&interests, "one");
        drop(first);
        let changes = second.changes();
        interests.heard(&invalidate(&["one"]));
        assert!(changes.has_changed().unwrap());
        drop(second);
        assert!(interests.lock().is_empty());
    }
}
