//! The cases that wait for time to pass. None asserts that anything is quick: a store that is slow
//! makes them take longer and not fail.

mod age;
mod clock;
mod expiry;
mod lease;
mod long;
mod superseded;
mod sweep;

pub use age::*;
pub use clock::*;
pub use expiry::*;
pub use lease::*;
pub use long::*;
pub use superseded::*;
pub use sweep::*;

use std::time::Duration;

/// A short life or lease, before scaling.
const SHORT: Duration = Duration::from_millis(150);

/// By how much a store's clock may be coarser than ours.
const GRAIN: Duration = Duration::from_millis(5);
