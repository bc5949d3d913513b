//! Where tokens and jitter come from.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

use crate::store::ClaimToken;

/// The thread's own generator, or a seeded one for simulations that have to repeat themselves.
pub(crate) enum Entropy {
    Thread,
    Seeded { rng: Box<Mutex<StdRng>> },
}

impl Entropy {
    pub(crate) fn seeded(seed: u64) -> Self {
        let rng = Box::new(Mutex::new(StdRng::seed_from_u64(seed)));
        Self::Seeded { rng }
    }

    pub(crate) fn token(&self) -> ClaimToken {
        let bits = match self {
            Self::Thread => bits(&mut rand::rng()),
            Self::Seeded { rng } => bits(&mut *rng.lock().unwrap_or_else(PoisonError::into_inner)),
        };
        ClaimToken::from_bytes(bits.to_ne_bytes())
    }

    /// Between half of `delay` and all of it.
    pub(crate) fn jittered(&self, delay: Duration) -> Duration {
        let factor = match self {
            Self::Thread => rand::rng().random_range(0.5..=1.0),
            Self::Seeded { rng } => rng
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .random_range(0.5..=1.0),
        };
        delay.mul_f64(factor)
    }
}

/// Two words: quicker than filling bytes, which is made for longer ones.
fn bits(rng: &mut impl Rng) -> u128 {
    u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_a_token_is_drawn() {
        for entropy in [Entropy::Thread, Entropy::seeded(7)] {
            let mut seen = [0_u8; 16];
            for _ in 0..100 {
                let token = entropy.token();
                for (all, byte) in seen.iter_mut().zip(token.as_bytes()) {
                    *all |= byte;
                }
            }
            assert_eq!(seen, [0xff; 16], "a bit that is never set is not drawn");
        }
    }
}
