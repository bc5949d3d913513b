//! [`Durability`]: what has to hold before a write counts as done.

use std::time::Duration;

use idem_core::store::StoreError;
use redis::{Cmd, Value};

use crate::error::{self, Failure};

/// What has to hold before a write counts as done, and so what it survives.
///
/// A write that the server took, but whose replicas or disk did not confirm it in time, is
/// [`Unknown`](idem_core::store::StoreErrorKind::Unknown): the engine asks again, and finds its own write. A stored
/// answer is confirmed once more before it is replayed, because it may be the work of somebody who
/// never got that far: a replay costs two round trips here, and one with `Acknowledged`.
///
/// | | the process or the primary's machine dies | failover to a replica |
/// |---|---|---|
/// | `Acknowledged` | loses what the server's own persistence loses: all (no AOF, no RDB), the last second (`appendfsync everysec`), nothing (`appendfsync always`) | loses what the replica had not received yet, usually some milliseconds |
/// | `Replicated` | as above, if the same machine comes back as primary | loses nothing, if a replica that confirmed is promoted: certain where `replicas` is all of them |
/// | `Fsynced` | loses nothing | with `replicas: 0` as `Acknowledged`, else as `Replicated`, also if the replica's machine dies as well |
///
/// # The window of a failover
/// Redis replicates asynchronously, and `WAIT` does not change that: it tells how many replicas have
/// the write, and never takes it back where they do not. A claim or an ending is lost with
/// `Replicated { replicas: n }` if a replica is promoted that is not among the `n` that confirmed. So
/// the window is closed only where `n` is *all* replicas: 1 with one replica per primary, 2 with two.
///
/// With fewer, it stays open even though Sentinel and Cluster promote the replica that is furthest
/// ahead: they go by what they heard last, of those they can reach; and after a switchover, or when a
/// primary that was paused comes back, the other replicas follow the old primary for a moment more,
/// and confirm what it takes. Both were seen to lose acknowledged writes with two replicas and
/// `replicas: 1`, and none with `replicas: 2`. The price is that writes are
/// [`Unknown`](idem_core::store::StoreErrorKind::Unknown) while any replica is away.
///
/// A primary that is cut off from its replicas, not dead, still takes `Acknowledged` writes until it
/// learns that it was replaced: bound that with the server's own `min-replicas-to-write 1` and
/// `min-replicas-max-lag`.
///
/// A lost *claim* lets a repeat run while the first execution still runs, and the first one's ending
/// is then refused as superseded. A lost *ending* lets a repeat run again. If neither may happen,
/// use a store with synchronous commits, such as Postgres.
///
/// # What it costs
/// A wait holds up what comes after it on the same connection, for the round trip to the replica or
/// to the disk. Writes that are made at the same time wait together, in a Cluster those to the same node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The primary has it in memory, and on disk as far as its `appendfsync` says.
    #[default]
    Acknowledged,
    /// So many replicas have it in memory as well: `WAIT`.
    Replicated {
        /// How many; 0 is the same as `Acknowledged`.
        replicas: u32,
        /// How long they have; at least 1 ms.
        timeout: Duration,
    },
    /// The primary, and so many replicas, have it on disk: `WAITAOF`, from Redis 7.2. The server
    /// needs `appendonly yes`.
    Fsynced {
        /// How many replicas; 0 leaves it at the primary.
        replicas: u32,
        /// How long they have; at least 1 ms.
        timeout: Duration,
    },
}

impl Durability {
    /// How long a write may wait beyond its round trip.
    pub(crate) fn patience(self) -> Duration {
        match self {
            Self::Acknowledged => Duration::ZERO,
            Self::Replicated { timeout, .. } | Self::Fsynced { timeout, .. } => timeout,
        }
    }

    /// Whether a write has to wait for anything.
    pub(crate) fn waits(self) -> bool {
        !matches!(
            self,
            Self::Acknowledged | Self::Replicated { replicas: 0, .. }
        )
    }

    /// The command that waits for it on the connection that made the write.
    pub(crate) fn wait(self) -> Option<Cmd> {
        match self {
            Self::Acknowledged | Self::Replicated { replicas: 0, .. } => None,
            Self::Replicated { replicas, timeout } => {
                let mut wait = redis::cmd("WAIT");
                wait.arg(replicas).arg(millis(timeout));
                Some(wait)
            }
            Self::Fsynced { replicas, timeout } => {
                let mut wait = redis::cmd("WAITAOF");
                wait.arg(1).arg(replicas).arg(millis(timeout));
                Some(wait)
            }
        }
    }

    /// Whether what [`wait`](Self::wait) answered is enough.
    pub(crate) fn confirmed(self, answer: &Result<Value, Failure>) -> Result<(), StoreError> {
        let answer = answer
            .as_ref()
            .map_err(|failure| error::unconfirmed(failure.clone()))?;
        let enough = match (self, answer) {
            (Self::Acknowledged, _) => true,
            (Self::Replicated { replicas, .. }, Value::Int(got)) => *got >= i64::from(replicas),
            (Self::Fsynced { replicas, .. }, Value::Array(got)) => {
                matches!(got[..], [Value::Int(local), Value::Int(others)]
                    if local >= 1 && others >= i64::from(replicas))
            }
            _ => false,
        };
        match enough {
            true => Ok(()),
            false => Err(StoreError::unknown(
                "the primary has the write, but it is not confirmed as durable in time",
            )),
        }
    }
}

/// At least 1: the server takes 0 for *for ever*. At most 24 days: it adds this to its clock, and
/// refuses what does not fit.
fn millis(timeout: Duration) -> u64 {
    const LONGEST: u64 = i32::MAX as u64;
    u64::try_from(timeout.as_millis())
        .unwrap_or(LONGEST)
        .clamp(1, LONGEST)
}

#[cfg(test)]
mod tests {
    use idem_core::store::StoreErrorKind;

    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(50);

    #[test]
    fn every_timeout_is_one_that_the_server_takes() {
        assert_eq!(millis(Duration::ZERO), 1);
        assert_eq!(millis(TIMEOUT), 50);
        assert_eq!(millis(Duration::MAX), i32::MAX as u64);
    }

    #[test]
    fn too_few_confirmations_leave_the_outcome_unknown() {
        let replicated = Durability::Replicated {
            replicas: 2,
            timeout: TIMEOUT,
        };
        assert!(replicated.confirmed(&Ok(Value::Int(2))).is_ok());
        let error = replicated.confirmed(&Ok(Value::Int(1))).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unknown);

        let fsynced = Durability::Fsynced {
            replicas: 1,
            timeout: TIMEOUT,
        };
        let answer = |local, others| Ok(Value::Array(vec![Value::Int(local), Value::Int(others)]));
        assert!(fsynced.confirmed(&answer(1, 1)).is_ok());
        assert!(fsynced.confirmed(&answer(0, 1)).is_err());
        assert!(fsynced.confirmed(&answer(1, 0)).is_err());
        assert!(fsynced.confirmed(&Ok(Value::Nil)).is_err());
    }

    #[test]
    fn no_wait_is_for_ever() {
        let wait = Durability::Replicated {
            replicas: 1,
            timeout: Duration::ZERO,
        }
        .wait()
        .unwrap();
        assert!(
            wait.get_packed_command()
                .ends_with(b"$1\r\n1\r\n$1\r\n1\r\n")
        );
        assert!(Durability::Acknowledged.wait().is_none());
    }
}
