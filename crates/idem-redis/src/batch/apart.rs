//! [`Apart`]: the records that a large request was sent for.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::Request;

/// How many names are kept. With more, the oldest go.
const MOST: usize = 256;

/// The records that a large request was sent for, and of which its connection has answered nothing since.
///
/// What else is written of them goes there as well, behind it: a renewal that overtook its own ending
/// would have it refused. An answer on that connection means that what was sent before has arrived.
#[derive(Default)]
pub(super) struct Apart {
    /// There is one. Requests read it alone while there is none.
    any: AtomicBool,
    names: Mutex<VecDeque<String>>,
}

impl Apart {
    pub(super) fn goes_behind(&self, request: &Request) -> bool {
        self.any.load(Ordering::Relaxed)
            && request.reads().is_none()
            && self.lock().contains(&request.name())
    }

    pub(super) fn add(&self, name: &str) {
        let mut names = self.lock();
        names.retain(|there| there != name);
        if names.len() == MOST {
            names.pop_front();
        }
        names.push_back(name.to_owned());
        self.any.store(true, Ordering::Relaxed);
    }

    pub(super) fn remove(&self, name: &str) {
        let mut names = self.lock();
        names.retain(|there| there != name);
        self.any.store(!names.is_empty(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
