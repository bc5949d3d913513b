//! Settling a halted key by hand.

use std::time::Duration;

use super::Write;
use crate::{ClaimToken, Record, Resolution, State, Stored, Version};

/// Why a key cannot be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotResolvable {
    /// There is no record.
    #[error("there is no record under this key: it was never claimed, or its retention is over")]
    Absent,
    /// Somebody is running it.
    #[error(
        "the key is in flight and its holder is trusted for another {retry_after:?}; ask again then"
    )]
    Running {
        /// Lease left.
        retry_after: Duration,
    },
    /// It has an ending already.
    #[error("the key is {0} already, and the first ending wins")]
    Ended(&'static str),
}

/// The write that settles an abandoned record.
///
/// # Errors
/// [`NotResolvable`] unless the record is in flight with its lease over.
pub fn resolve(
    found: Option<&Stored>,
    token: ClaimToken,
    resolution: Resolution,
) -> Result<Write, NotResolvable> {
    let found = found.ok_or(NotResolvable::Absent)?;
    let record = &found.record;
    let State::InFlight { lease, checkpoint } = &record.state else {
        return Err(NotResolvable::Ended(record.state.name()));
    };
    let left = lease.saturating_sub(found.age.unwrap_or(Duration::ZERO));
    if !left.is_zero() {
        return Err(NotResolvable::Running { retry_after: left });
    }
    let state = resolution.into_state(checkpoint.clone());
    let version = Version {
        token,
        revision: record.version.revision.saturating_add(1),
    };
    Ok(Write {
        expected: record.version,
        record: Record {
            version,
            state,
            ..record.clone()
        },
    })
}
