//! [`Refused`]: why a claim did not get to run.

use std::time::Duration;

/// Why a claim did not get to run, and has no stored answer either. Nothing ran, nothing changed.
///
/// Every way to claim a key reports it in the same type: [`Claim::Refused`](crate::Claim::Refused),
/// [`ExecuteError::Refused`](crate::error::ExecuteError::Refused) and the transactions of `idem-postgres`.
///
/// It is deliberately not `#[non_exhaustive]`: a caller that does not know a refusal cannot answer
/// it, so a new one is to break its build.
///
/// ```
/// use idem_core::Refused;
///
/// fn status(refused: &Refused) -> u16 {
///     match refused {
///         Refused::Mismatch => 422,
///         Refused::InFlight { .. } | Refused::Abandoned { .. } | Refused::Exhausted { .. } => 409,
///     }
/// }
/// assert_eq!(status(&Refused::Mismatch), 422);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refused {
    /// The key belongs to a request with another fingerprint (G4). It is said first, whatever state
    /// the record is in.
    #[error("the key was used for another request; draw a new key for a new intent")]
    Mismatch,
    /// Another execution is in flight.
    #[error("another execution is in flight; ask again in {retry_after:?}")]
    InFlight {
        /// The rest of the holder's lease: it ends, renews or loses the key before this is over. A
        /// transaction that waited for another one's row reports how long it waited.
        retry_after: Duration,
    },
    /// An execution vanished half-way, and the policy says to halt: settle the key with
    /// [`resolve`](crate::Idempotency::resolve).
    #[error("execution {attempt} of this key vanished half-way; its outcome is unknown")]
    Abandoned {
        /// The lost execution's fencing number.
        attempt: u32,
    },
    /// The key has had all the attempts that the policy allows.
    #[error("the key has had all its {attempts} attempts")]
    Exhausted {
        /// How many it had.
        attempts: u32,
    },
}

impl Refused {
    /// `mismatch`, `in-flight`, `abandoned` or `exhausted`: the label that metrics use.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Mismatch => "mismatch",
            Self::InFlight { .. } => "in-flight",
            Self::Abandoned { .. } => "abandoned",
            Self::Exhausted { .. } => "exhausted",
        }
    }
}
