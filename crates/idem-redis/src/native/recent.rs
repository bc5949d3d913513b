//! [`Recent`]: the values that this process wrote last, by their version.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use idem_core::{Version, codec};

/// Values remembered. Claims in flight in one process are rarely that many, and a value that is
/// crowded out costs its ending a script.
const SLOTS: usize = 8192;
/// Larger values are not remembered: sending one along to be compared would cost more than the
/// script does, and this bounds the memory.
const LARGEST: usize = 512;

/// One value per slot, chosen by the version's random token: the newer crowds the older out.
pub(crate) struct Recent {
    slots: Box<[Mutex<Bytes>]>,
}

impl Recent {
    pub(crate) fn new() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| Mutex::default()).collect(),
        }
    }

    pub(crate) fn remember(&self, version: Version, value: Bytes) {
        if value.len() <= LARGEST {
            *lock(self.slot(version)) = value;
        }
    }

    /// The value of this version, once.
    pub(crate) fn take(&self, version: Version) -> Option<Bytes> {
        let prefix = codec::version_prefix(version);
        let mut slot = lock(self.slot(version));
        slot.starts_with(&prefix)
            .then(|| std::mem::take(&mut *slot))
    }

    fn slot(&self, version: Version) -> &Mutex<Bytes> {
        let [low, high, ..] = *version.token.as_bytes();
        &self.slots[usize::from(u16::from_le_bytes([low, high])) % SLOTS]
    }
}

fn lock(slot: &Mutex<Bytes>) -> std::sync::MutexGuard<'_, Bytes> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use idem_core::ClaimToken;

    use super::*;

    fn version(token: u8, revision: u64) -> Version {
        let mut bytes = [0; 16];
        bytes[15] = token;
        Version {
            token: ClaimToken::from_bytes(bytes),
            revision,
        }
    }

    fn value(version: Version, len: usize) -> Bytes {
        let mut value = codec::version_prefix(version).to_vec();
        value.resize(len, 0);
        value.into()
    }

    #[test]
    fn a_value_is_found_by_its_own_version_alone_and_once() {
        let recent = Recent::new();
        let first = version(1, 1);
        recent.remember(first, value(first, 80));
        assert_eq!(recent.take(version(1, 2)), None);
        assert_eq!(recent.take(version(2, 1)), None);
        assert_eq!(recent.take(first), Some(value(first, 80)));
        assert_eq!(recent.take(first), None);
    }

    #[test]
    fn memory_is_bounded() {
        let recent = Recent::new();
        let (first, second) = (version(1, 1), version(2, 1));
        recent.remember(first, value(first, 80));
        // The same slot.
        recent.remember(second, value(second, 80));
        assert_eq!(recent.take(first), None);
        recent.remember(first, value(first, LARGEST + 1));
        assert_eq!(recent.take(first), None);
    }
}
