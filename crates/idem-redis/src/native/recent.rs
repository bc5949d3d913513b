//! [`Recent`]: the values that this process wrote last, by their version.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use idem_core::store::{Version, codec};

/// Callers that write at the same time rarely meet at one of so many. What is in use of each is
/// little, and stays near the processor.
const SHARDS: usize = 64;
/// Values remembered in each: 8,192 in all. Claims in flight in one process are rarely that many, and
/// a value that is crowded out costs its ending a script.
const MOST: usize = 128;
/// Larger values are not remembered: sending one along to be compared would cost more than the
/// script does, and this bounds the memory.
const LARGEST: usize = 512;

/// Values by their versions: of too many the newer crowd the older out.
pub(crate) struct Recent {
    shards: Box<[Shard]>,
}

/// The oldest first.
#[derive(Default)]
#[repr(align(64))]
struct Shard(Mutex<Vec<(Tag, Bytes)>>);

/// A part of a version's token, which is random. Most of the others can be told apart by it.
type Tag = u64;

impl Recent {
    pub(crate) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
        }
    }

    pub(crate) fn remember(&self, version: Version, value: Bytes) {
        if value.len() > LARGEST {
            return;
        }
        let (mut values, tag) = self.shard(version);
        if values.len() == MOST {
            values.remove(0);
        }
        values.push((tag, value));
    }

    /// The value of this version, once.
    pub(crate) fn take(&self, version: Version) -> Option<Bytes> {
        let prefix = codec::version_prefix(version);
        let (mut values, tag) = self.shard(version);
        let at = values
            .iter()
            .position(|(other, value)| *other == tag && value.starts_with(&prefix))?;
        Some(values.remove(at).1)
    }

    fn shard(&self, version: Version) -> (MutexGuard<'_, Vec<(Tag, Bytes)>>, Tag) {
        let token = u128::from_le_bytes(*version.token.as_bytes());
        let Shard(values) = &self.shards[token as usize % SHARDS];
        let values = values.lock().unwrap_or_else(PoisonError::into_inner);
        (values, (token >> 64) as Tag)
    }
}

#[cfg(test)]
mod tests {
    use idem_core::store::ClaimToken;

    use super::*;

    /// All of one shard.
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
    fn of_too_many_values_the_oldest_is_crowded_out() {
        let recent = Recent::new();
        let remembered = || (0..=MOST as u64).map(|revision| version(1, revision));
        for version in remembered() {
            recent.remember(version, value(version, 80));
        }
        let mut found =
            remembered().map(|version| recent.take(version) == Some(value(version, 80)));
        assert_eq!(found.next(), Some(false));
        assert!(found.all(|found| found));
    }

    #[test]
    fn a_large_value_is_not_remembered() {
        let recent = Recent::new();
        let [fits, does_not] = [version(1, 1), version(2, 1)];
        recent.remember(fits, value(fits, LARGEST));
        recent.remember(does_not, value(does_not, LARGEST + 1));
        assert!(recent.take(fits).is_some());
        assert_eq!(recent.take(does_not), None);
    }
}
