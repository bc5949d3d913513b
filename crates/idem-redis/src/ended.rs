//! [`Ended`]: keys that were seen to have ended, whose next claim will be a replay.
//!
//! A claim of such a key needs to write nothing, so it reads first: that sends less, and costs the
//! server less, than a claim that finds its key taken. What is remembered decides about that alone. A
//! key that turns out to be free, or in flight, is claimed as any other.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};

use idem_core::StoreErrorKind;
use redis::Cmd;

use crate::{connection::Replied, error::Failure};

/// Keys remembered, at most. One that is crowded out costs the next replay a claim that writes.
const SLOTS: usize = 1 << 17;

/// One key per slot, by some bits of a hash: the newer crowds the older out. 512 KiB.
pub(crate) struct Ended {
    hasher: RandomState,
    /// 0 where there is none.
    slots: Box<[AtomicU32]>,
    /// The server does not let this user read so.
    refused: AtomicBool,
}

impl Ended {
    pub(crate) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            slots: (0..SLOTS).map(|_| AtomicU32::new(0)).collect(),
            refused: AtomicBool::new(false),
        }
    }

    /// Whether a claim of this name had better read first.
    pub(crate) fn has(&self, name: &str) -> bool {
        let (slot, tag) = self.slot(name);
        slot.load(Ordering::Relaxed) == tag && !self.refused.load(Ordering::Relaxed)
    }

    pub(crate) fn remember(&self, name: &str) {
        let (slot, tag) = self.slot(name);
        // A line of the cache that all threads read should not be written for nothing.
        if slot.load(Ordering::Relaxed) != tag {
            slot.store(tag, Ordering::Relaxed);
        }
    }

    /// It has not ended any more.
    pub(crate) fn forget(&self, name: &str) {
        let (slot, tag) = self.slot(name);
        let _ = slot.compare_exchange(tag, 0, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// From now on no claim reads first.
    pub(crate) fn refuse(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }

    fn slot(&self, name: &str) -> (&AtomicU32, u32) {
        let hash = self.hasher.hash_one(name);
        let [low, high] = [hash as u32, (hash >> 32) as u32];
        (&self.slots[low as usize % SLOTS], high.max(1))
    }
}

/// Reads a value, from a primary alone: `GETEX` counts as a write, so a server that was demoted says
/// that it is a replica, where `GET` would answer with what it knew.
pub(crate) fn get(name: &str) -> Cmd {
    read("GETEX", std::iter::once(name))
}

/// Reads values, which costs less than to read each by itself. To be sent with a [`get`] behind it, to
/// learn that they are a primary's.
pub(crate) fn get_many<'a>(names: impl ExactSizeIterator<Item = &'a str> + Clone) -> Cmd {
    read("MGET", names)
}

/// Whether a [`get`] was run, and so by a primary. One that finds no record but something else's key
/// was.
pub(crate) fn ran(get: Replied) -> Result<(), Failure> {
    match get {
        Err(failure) if failure.kind() != StoreErrorKind::Corrupt => Err(failure),
        _ => Ok(()),
    }
}

fn read<'a>(command: &str, names: impl ExactSizeIterator<Item = &'a str> + Clone) -> Cmd {
    let bytes = command.len() + names.clone().map(str::len).sum::<usize>();
    let mut cmd = Cmd::with_capacity(1 + names.len(), bytes);
    cmd.arg(command);
    for name in names {
        cmd.arg(name);
    }
    cmd
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_remembered_until_it_is_forgotten() {
        let ended = Ended::new();
        assert!(!ended.has("a"));
        ended.remember("a");
        assert!(ended.has("a"));
        assert!(!ended.has("b"));
        ended.forget("b");
        assert!(ended.has("a"));
        ended.forget("a");
        assert!(!ended.has("a"));
    }

    #[test]
    fn a_server_that_refuses_is_asked_no_more() {
        let ended = Ended::new();
        ended.remember("a");
        ended.refuse();
        assert!(!ended.has("a"));
    }
}
