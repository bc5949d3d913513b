//! Where stamps come from.

use crate::Timestamp;

/// The system's clock, or that of a simulated worker.
#[derive(Default)]
pub(crate) enum WallClock {
    #[default]
    System,
    Simulated(Box<dyn Fn() -> Timestamp + Send + Sync>),
}

impl WallClock {
    pub(crate) fn stamp(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Simulated(now) => now(),
        }
    }
}
