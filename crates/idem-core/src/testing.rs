//! [`Testing`]: what simulations and suites set on an engine, and no service should.

use crate::{
    Timestamp,
    engine::{Entropy, WallClock},
};

/// Seeds and clocks of an engine, for [`Builder::testing`](crate::Builder::testing).
///
/// ```
/// use idem_core::{Timestamp, testing::Testing};
///
/// let testing = Testing::default()
///     .seed(7)
///     .wall_clock(|| Timestamp::from_millis(1_700_000_000_000));
/// ```
#[derive(Default)]
#[must_use = "hand it to `Builder::testing`"]
pub struct Testing {
    pub(crate) entropy: Entropy,
    pub(crate) wall_clock: WallClock,
    pub(crate) slow_calls: bool,
}

impl Testing {
    /// Draws tokens and jitter from a seed: two engines with one seed over one store would take each
    /// other's claims.
    pub fn seed(mut self, seed: u64) -> Self {
        self.entropy = Entropy::seeded(seed);
        self
    }

    /// Stamps records ([`Record::created_at`](crate::store::Record::created_at)) by this clock
    /// instead of the system's. Nothing is decided by it: leases and retention are measured by the
    /// store's clock.
    pub fn wall_clock(mut self, now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.wall_clock = WallClock::Simulated(Box::new(now));
        self
    }

    /// Takes a call timeout of more than a third of the lease: for suites whose leases are shorter
    /// than a busy store takes to answer. A holder whose renewal hangs for so long loses its key.
    pub fn allow_slow_calls(mut self) -> Self {
        self.slow_calls = true;
        self
    }
}
