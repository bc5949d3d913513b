//! Which keys are hit, and under what policy.

use std::{fmt, time::Duration};

use idem_core::{Fingerprint, IdempotencyKey, OnAbandoned, OnBusy, Policy, RecordKey, Scope};
use serde::{Deserialize, Serialize};

/// Long enough to be renewed between two pauses of a busy machine, short enough to run out often.
pub(crate) const LEASE: Duration = Duration::from_millis(1000);

/// From so many bytes on an answer is large.
pub(crate) const LARGE: usize = 100_000;

/// Answers of [`Class::Short`] are gone soon, so that such a key lives many lives.
pub(crate) const SHORT_RETENTION: Duration = Duration::from_millis(1500);

const LONG_RETENTION: Duration = Duration::from_secs(24 * 3600);

/// One key: the `index`th of those that are hit in the `era`th stretch of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct KeyId {
    pub(crate) era: u32,
    pub(crate) index: u16,
}

/// How a key is treated, by its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// What was abandoned is taken over; answers are kept for the whole run.
    Reclaim,
    /// The same, and hardly ever completed, so that it changes hands for the whole era.
    Restless,
    /// The same, and answers expire soon.
    Short,
    /// What was abandoned waits for an operator. Effects go through a ledger that can fence.
    Halt,
}

impl KeyId {
    pub(crate) fn class(self) -> Class {
        match self.index % 4 {
            0 => Class::Reclaim,
            1 => Class::Halt,
            2 => Class::Short,
            _ => Class::Restless,
        }
    }

    pub(crate) fn record_key(self) -> RecordKey {
        let scope = Scope::new("torture").expect("a short plain word is a segment");
        let key = IdempotencyKey::new(self.to_string()).expect("it is short and printable");
        scope.key(&key)
    }

    /// The key that [`record_key`](Self::record_key) wrote.
    pub(crate) fn of(key: &RecordKey) -> Option<Self> {
        Self::parse(key.key())
    }

    /// The key of this name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (era, index) = name.strip_prefix('e')?.split_once("-k")?;
        Some(Self {
            era: era.parse().ok()?,
            index: index.parse().ok()?,
        })
    }

    pub(crate) fn policy(self) -> Policy {
        let (retention, on_abandoned) = match self.class() {
            Class::Reclaim | Class::Restless => (LONG_RETENTION, OnAbandoned::Reclaim),
            Class::Short => (SHORT_RETENTION, OnAbandoned::Reclaim),
            Class::Halt => (LONG_RETENTION, OnAbandoned::Halt),
        };
        Policy::default()
            .lease(LEASE)
            .retention(retention)
            .on_abandoned(on_abandoned)
            .retry_budget(Duration::from_millis(1500))
            .call_timeout(LEASE / 3)
    }

    /// The same policy for a caller who waits for the one that is in flight.
    pub(crate) fn waiting_policy(self) -> Policy {
        self.policy()
            .on_busy(OnBusy::Wait(Duration::from_millis(400)))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{}-k{}", self.era, self.index)
    }
}

/// The request that most clients send under a key (0), and those that some send instead.
pub(crate) fn fingerprint(request: u8) -> Fingerprint {
    Fingerprint::of("torture/v1", &[request])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_back() {
        let key = KeyId { era: 12, index: 3 };
        assert_eq!(KeyId::of(&key.record_key()), Some(key));
    }

    #[test]
    fn every_class_has_a_policy_that_works() {
        for index in 0..4 {
            let key = KeyId { era: 0, index };
            key.policy().validate().unwrap();
            key.waiting_policy().validate().unwrap();
        }
    }
}
