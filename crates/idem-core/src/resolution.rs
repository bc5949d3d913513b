//! [`Resolution`] and [`ProbeResult`]: what became of an execution that vanished.

use std::fmt;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    answer::{EncodeError, encode, encode_failure},
    store::State,
};

/// What an operator found out about an abandoned execution; see
/// [`Idempotency::resolve`](crate::Idempotency::resolve).
///
/// It is made from the value that the work would have returned, so that a repeat of
/// [`execute`](crate::Idempotency::execute) reads it:
///
/// ```
/// use idem_core::Resolution;
///
/// let charge_id = 17_u64; // found in the provider's dashboard
/// let happened = Resolution::completed(&charge_id)?;
/// let declined = Resolution::failed(&"card expired".to_owned())?;
/// let no_effect = Resolution::retry();
/// # Ok::<(), idem_core::error::EncodeError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Resolution(Settled);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Settled {
    Completed(Bytes),
    Failed(Bytes),
    Retry,
}

impl Resolution {
    /// The effect happened: store this value as the answer of every repeat.
    ///
    /// `value` is what the work returns in `Ok`.
    ///
    /// # Errors
    /// [`EncodeError`] when a repeat could not be given this value.
    pub fn completed<T: Serialize + DeserializeOwned>(value: &T) -> Result<Self, EncodeError> {
        let (_, payload) = encode(value)?;
        Ok(Self::completed_raw(payload))
    }

    /// It failed for good: store this error as the answer of every repeat.
    ///
    /// `error` is what the work returns in [`Failure::Final`](crate::Failure::Final).
    ///
    /// # Errors
    /// [`EncodeError`] when a repeat could not be given this error.
    pub fn failed<E: Serialize + DeserializeOwned>(error: &E) -> Result<Self, EncodeError> {
        let (_, payload) = encode_failure(error)?;
        Ok(Self::failed_raw(payload))
    }

    /// It had no effect and can have none any more: the next claim with the same fingerprint runs.
    #[must_use]
    pub const fn retry() -> Self {
        Self(Settled::Retry)
    }

    /// The effect happened: store these bytes as they are.
    ///
    /// For keys whose executions are ended by [`Execution::complete`](crate::Execution::complete)
    /// or by an HTTP layer. Keys of [`execute`](crate::Idempotency::execute) need
    /// [`completed`](Self::completed).
    #[must_use]
    pub fn completed_raw(payload: impl Into<Bytes>) -> Self {
        Self(Settled::Completed(payload.into()))
    }

    /// It failed for good: store these bytes as they are. See [`completed_raw`](Self::completed_raw).
    #[must_use]
    pub fn failed_raw(payload: impl Into<Bytes>) -> Self {
        Self(Settled::Failed(payload.into()))
    }

    /// `completed`, `failed` or `retryable`: the name of the state that it leads to.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match &self.0 {
            Settled::Completed(_) => "completed",
            Settled::Failed(_) => "failed",
            Settled::Retry => "retryable",
        }
    }

    /// The state of a record that is settled in this way.
    pub(crate) fn into_state(self, checkpoint: Option<Bytes>) -> State {
        match self.0 {
            Settled::Completed(payload) => State::Completed { payload },
            Settled::Failed(payload) => State::Failed { payload },
            Settled::Retry => State::Retryable { checkpoint },
        }
    }
}

/// The kind alone: payloads never reach a log.
impl fmt::Debug for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resolution({})", self.name())
    }
}

/// What a [`Prober`](crate::Prober) found: how the abandoned execution is settled, or that it cannot
/// be told.
///
/// ```
/// use idem_core::ProbeResult;
///
/// # fn look(charge: Option<u64>) -> Result<ProbeResult, idem_core::error::EncodeError> {
/// match charge {
///     Some(id) => ProbeResult::completed(&id),
///     None => Ok(ProbeResult::unknown()),
/// }
/// # }
/// # assert_ne!(look(Some(17))?, ProbeResult::unknown());
/// # Ok::<(), idem_core::error::EncodeError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ProbeResult(Option<Resolution>);

impl ProbeResult {
    /// The effect happened: store this value, and replay it. See [`Resolution::completed`].
    ///
    /// # Errors
    /// [`EncodeError`] when a repeat could not be given this value.
    pub fn completed<T: Serialize + DeserializeOwned>(value: &T) -> Result<Self, EncodeError> {
        Resolution::completed(value).map(Self::from)
    }

    /// It failed for good: store this error, and replay it. See [`Resolution::failed`].
    ///
    /// # Errors
    /// [`EncodeError`] when a repeat could not be given this error.
    pub fn failed<E: Serialize + DeserializeOwned>(error: &E) -> Result<Self, EncodeError> {
        Resolution::failed(error).map(Self::from)
    }

    /// The effect did not happen and cannot happen any more: run again.
    #[must_use]
    pub const fn retry() -> Self {
        Self(Some(Resolution::retry()))
    }

    /// It cannot be told: leave the key halted.
    #[must_use]
    pub const fn unknown() -> Self {
        Self(None)
    }

    /// The effect happened: store these bytes as they are. See [`Resolution::completed_raw`].
    #[must_use]
    pub fn completed_raw(payload: impl Into<Bytes>) -> Self {
        Resolution::completed_raw(payload).into()
    }

    /// It failed for good: store these bytes as they are. See [`Resolution::failed_raw`].
    #[must_use]
    pub fn failed_raw(payload: impl Into<Bytes>) -> Self {
        Resolution::failed_raw(payload).into()
    }

    /// How the key is settled; `None` when that cannot be told.
    #[must_use]
    pub const fn resolution(&self) -> Option<&Resolution> {
        self.0.as_ref()
    }

    /// As [`resolution`](Self::resolution), without a copy.
    #[must_use]
    pub fn into_resolution(self) -> Option<Resolution> {
        self.0
    }
}

impl From<Resolution> for ProbeResult {
    fn from(resolution: Resolution) -> Self {
        Self(Some(resolution))
    }
}

impl fmt::Debug for ProbeResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = self.0.as_ref().map_or("unknown", Resolution::name);
        write!(f, "ProbeResult({found})")
    }
}
