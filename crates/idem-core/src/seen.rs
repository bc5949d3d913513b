//! [`SeenKeys`]: keys whose record a store has seen.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU8, Ordering},
};

/// Keys remembered, at most.
const SLOTS: usize = 1 << 17;

/// Keys that this process has seen a record of, as a hint for a [`Store`](crate::store::Store).
///
/// A store asks for a claim of a new key in one way, which most claims are, and for that of a key that
/// is likely to have a record in another, by reading first, say. What is remembered may be wrong both
/// ways: the record may be gone, of 131,072 keys the newer crowd older ones out, and of 255 keys that
/// were never seen one is taken for another that was. So nothing but the way of asking may depend on it.
/// Takes 128 KiB, little enough to stay near the processor; never waits.
///
/// ```
/// let seen = idem_core::spi::SeenKeys::new();
/// seen.remember("merchant-7:order-4711");
/// assert!(seen.has("merchant-7:order-4711"));
/// seen.forget("merchant-7:order-4711");
/// assert!(!seen.has("merchant-7:order-4711"));
/// ```
pub struct SeenKeys {
    hasher: RandomState,
    /// One key per slot, by some bits of its hash; 0 where there is none.
    slots: Box<[AtomicU8]>,
}

impl SeenKeys {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            slots: (0..SLOTS).map(|_| AtomicU8::new(0)).collect(),
        }
    }

    /// Whether the key is remembered.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        let (slot, tag) = self.slot(key);
        slot.load(Ordering::Relaxed) == tag
    }

    /// Remembers the key, in the place of another one perhaps.
    pub fn remember(&self, key: &str) {
        let (slot, tag) = self.slot(key);
        // A line of the cache that all threads read should not be written for nothing.
        if slot.load(Ordering::Relaxed) != tag {
            slot.store(tag, Ordering::Relaxed);
        }
    }

    /// Forgets the key: it has no such record any more.
    pub fn forget(&self, key: &str) {
        let (slot, tag) = self.slot(key);
        let _ = slot.compare_exchange(tag, 0, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn slot(&self, key: &str) -> (&AtomicU8, u8) {
        let hash = self.hasher.hash_one(key);
        let [.., tag] = hash.to_le_bytes();
        (&self.slots[hash as usize % SLOTS], tag.max(1))
    }
}

impl Default for SeenKeys {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SeenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeenKeys").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_remembered_until_it_is_forgotten() {
        let seen = SeenKeys::new();
        assert!(!seen.has("a"));
        seen.remember("a");
        assert!(seen.has("a"));
        assert!(!seen.has("b"));
        seen.forget("b");
        assert!(seen.has("a"));
        seen.forget("a");
        assert!(!seen.has("a"));
    }

    #[test]
    fn of_keys_that_were_never_seen_few_are_taken_for_others() {
        let seen = SeenKeys::new();
        for index in 0..2 * SLOTS {
            seen.remember(&format!("seen:{index}"));
        }
        let taken = (0..SLOTS).filter(|index| seen.has(&format!("new:{index}")));
        let taken = taken.count();
        // One of 255 where a key is remembered: in 86 of 100 slots.
        assert!((1..SLOTS / 200).contains(&taken), "{taken} of {SLOTS}");
    }
}
