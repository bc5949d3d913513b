//! [`RedisConfig`]: how records are named, and how sure a write has to be.

use std::time::Duration;

use crate::Durability;

/// What a [`RedisStore`](crate::RedisStore) is set up with.
///
/// ```
/// use std::time::Duration;
/// use idem_redis::{Durability, RedisConfig};
///
/// let config = RedisConfig::default()
///     .prefix("payments:")
///     .durability(Durability::Replicated { replicas: 1, timeout: Duration::from_millis(200) });
/// ```
#[derive(Debug, Clone)]
pub struct RedisConfig {
    pub(crate) prefix: String,
    pub(crate) durability: Durability,
    pub(crate) eviction_allowed: bool,
    pub(crate) connect_timeout: Duration,
    pub(crate) response_timeout: Duration,
}

pub(crate) const DEFAULT_PREFIX: &str = "idem:";

impl Default for RedisConfig {
    /// The prefix `idem:`, [`Durability::Acknowledged`], eviction refused, a second to connect,
    /// 500 ms for a response.
    fn default() -> Self {
        Self {
            prefix: DEFAULT_PREFIX.to_owned(),
            durability: Durability::default(),
            eviction_allowed: false,
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_millis(500),
        }
    }
}

impl RedisConfig {
    /// What every key on the server starts with.
    ///
    /// Stores with different prefixes keep out of each other's way as long as neither prefix is the
    /// start of the other. In a Cluster a prefix with a hash tag, such as `{idem}:`, puts all records
    /// on one node; without one they spread over all nodes.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// What has to hold before a write counts as done.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Works on a server that evicts keys when its memory is full.
    ///
    /// An evicted record is a forgotten request: a repeat then runs a second time. So a server whose
    /// `maxmemory-policy` is not `noeviction` is refused, unless this says that it may be so.
    #[must_use]
    pub fn allow_eviction(mut self) -> Self {
        self.eviction_allowed = true;
        self
    }

    /// How long [`connect`](crate::RedisStore::connect)'s connections may take to open.
    ///
    /// A call that waits longer for one is told
    /// [`Unavailable`](idem_core::store::StoreErrorKind::Unavailable): certainly not applied. Keep it below the
    /// policy's `call_timeout`, after which the engine itself can only say that the outcome is unknown.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long [`connect`](crate::RedisStore::connect)'s connections wait for a response before its
    /// outcome is unknown and the connection is replaced.
    ///
    /// Less than the policy's `call_timeout`, so that the store can name the cause. The time that a
    /// [`Durability`] waits comes on top, and a second for each MiB that is sent.
    #[must_use]
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }

    /// How long a response may take, with what the durability waits for.
    pub(crate) fn answer_within(&self) -> Duration {
        self.response_timeout
            .saturating_add(self.durability.patience())
    }
}

#[cfg(test)]
mod tests {
    use idem_conformance::DURATIONS;

    use super::*;

    #[test]
    fn every_duration_of_a_config_adds_up() {
        for timeout in DURATIONS {
            let replicated = Durability::Replicated {
                replicas: 1,
                timeout,
            };
            let config = RedisConfig::default()
                .connect_timeout(timeout)
                .response_timeout(timeout)
                .durability(replicated);
            assert_eq!(config.answer_within(), timeout.saturating_mul(2));
        }
    }
}
