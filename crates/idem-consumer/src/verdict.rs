//! [`Verdict`]: what becomes of a delivery.

use std::time::Duration;

use bytes::Bytes;
use idem_core::store::StoreError;

use crate::KeyProblem;

/// What becomes of a delivery.
///
/// Deliberately not `#[non_exhaustive]`: each asks for something else of the broker.
///
/// ```
/// use idem_consumer::Verdict;
///
/// fn tell(verdict: &Verdict) -> String {
///     match verdict {
///         Verdict::Ack(done) if done.replayed => "a repeat: done before".to_owned(),
///         Verdict::Ack(_) => "done".to_owned(),
///         Verdict::Defer { delay, cause } => format!("again in {delay:?}: {cause}"),
///         Verdict::DeadLetter(reason) => format!("for a person: {reason}"),
///         Verdict::Halt(error) => format!("stop consuming: {error}"),
///     }
/// }
/// ```
#[derive(Debug)]
#[must_use = "a delivery that is not settled comes again"]
pub enum Verdict {
    /// It is done, and the record that says so is stored. Acknowledge it.
    Ack(Done),
    /// Not now: have it delivered again after the delay.
    Defer {
        /// How long to wait. Never so short that the message goes round in a hot loop.
        delay: Duration,
        /// Why.
        cause: Deferral,
    },
    /// Never by itself: hand it to a person, with the reason.
    DeadLetter(Reason),
    /// The store is set up wrong, so no message can be worked off: stop consuming, and give this one
    /// back. Nothing ran.
    Halt(StoreError),
}

impl Verdict {
    /// `done`, `repeat`, `deferred`, `dead-letter` or `halt`: the label that metrics use.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ack(Done { replayed: true, .. }) => "repeat",
            Self::Ack(_) => "done",
            Self::Defer { .. } => "deferred",
            Self::DeadLetter(_) => "dead-letter",
            Self::Halt(_) => "halt",
        }
    }
}

/// How a message was done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Done {
    /// Whether it was done before, by an earlier delivery, and nothing ran now.
    pub replayed: bool,
    /// What the handler returned, as JSON: now, or when it ran. `null` where the store did not take it.
    pub answer: Bytes,
}

/// Why a message is delivered again later.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Deferral {
    /// Another delivery of it is being worked on.
    #[error("another delivery of it is being worked on")]
    InFlight,
    /// Its lease ran out while it was worked on, and another delivery took over.
    #[error("another delivery took it over")]
    Superseded,
    /// The handler failed without effect.
    #[error("attempt {attempt} failed without effect: {error}")]
    Failed {
        /// Which attempt it was.
        attempt: u32,
        /// What the handler said.
        error: String,
    },
    /// The store did not answer before the claim. Nothing ran.
    #[error("the store is away, nothing ran: {0}")]
    StoreAway(#[source] StoreError),
    /// It was worked on, and the store has not confirmed the record. A repeat finds out what became
    /// of it.
    #[error("it was worked on, and the store has not confirmed the record yet")]
    NotStored,
    /// An attempt vanished half-way and a person has to look first. See
    /// [`Builder::park_abandoned`](crate::Builder::park_abandoned).
    #[error("attempt {attempt} vanished half-way; parked until a person has settled the key")]
    Abandoned {
        /// The lost attempt.
        attempt: u32,
    },
}

/// Why a message goes to the dead letters.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// It has no key to work under. Nothing ran.
    #[error("the message has no usable key: {0}")]
    Key(#[from] KeyProblem),
    /// Its key came before with another message. Nothing ran.
    #[error("the key came before with another message (its fingerprint differs)")]
    Mismatch,
    /// The handler failed for good.
    #[error("the handler failed for good: {error}")]
    Failed {
        /// What the handler said.
        error: String,
        /// Whether an earlier delivery failed so, and nothing ran now.
        replayed: bool,
    },
    /// The handler panicked.
    #[error("the handler panicked: {message}")]
    Panicked {
        /// The panic's message.
        message: String,
        /// Whether an earlier delivery panicked so, and nothing ran now.
        replayed: bool,
    },
    /// It has had all its attempts.
    #[error("it has had all its {attempts} attempts{}", last.as_ref().map(|e| format!("; the last one failed: {e}")).unwrap_or_default())]
    Exhausted {
        /// How many.
        attempts: u32,
        /// What the last one said, where it ran just now.
        last: Option<String>,
    },
    /// An attempt vanished half-way, and the policy says that a person looks first.
    #[error("attempt {attempt} vanished half-way; its outcome is unknown")]
    Abandoned {
        /// The lost attempt.
        attempt: u32,
    },
    /// Its record cannot be read or written, whatever the number of tries. Nothing ran.
    #[error("its record cannot be used: {0}")]
    Record(#[source] StoreError),
}

impl Reason {
    /// One word: `key`, `mismatch`, `failed`, `panicked`, `exhausted`, `abandoned` or `record`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Key(_) => "key",
            Self::Mismatch => "mismatch",
            Self::Failed { .. } => "failed",
            Self::Panicked { .. } => "panicked",
            Self::Exhausted { .. } => "exhausted",
            Self::Abandoned { .. } => "abandoned",
            Self::Record(_) => "record",
        }
    }

    /// The message in at most a thousand bytes, fit for a header of a dead letter.
    #[must_use]
    pub fn to_header(&self) -> String {
        const MOST: usize = 1000;
        let mut text: String = self.to_string().replace(char::is_control, " ");
        if text.len() > MOST {
            text.truncate(text.floor_char_boundary(MOST - 3));
            text.push('…');
        }
        text
    }
}
