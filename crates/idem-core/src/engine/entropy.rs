//! Where tokens and jitter come from.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

use crate::ClaimToken;

/// The thread's own generator, or a seeded one for simulations that have to repeat themselves.
pub(crate) enum Entropy {
    Thread,
    Seeded(Box<Mutex<StdRng>>),
}

impl Entropy {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self::Seeded(Box::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    pub(crate) fn token(&self) -> ClaimToken {
        let mut bytes = [0; 16];
        match self {
            Self::Thread => rand::rng().fill_bytes(&mut bytes),
            Self::Seeded(rng) => {
                rng.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .fill_bytes(&mut bytes);
            }
        }
        ClaimToken::from_bytes(bytes)
    }

    /// Between half of `delay` and all of it.
    pub(crate) fn jittered(&self, delay: Duration) -> Duration {
        let factor = match self {
            Self::Thread => rand::rng().random_range(0.5..=1.0),
            Self::Seeded(rng) => rng
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .random_range(0.5..=1.0),
        };
        delay.mul_f64(factor)
    }
}
