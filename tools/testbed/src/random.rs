//! Numbers that no other test process draws.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
};

/// A random number, from the seed that the standard library draws for every hash map.
pub(crate) fn u64() -> u64 {
    RandomState::new().build_hasher().finish()
}
