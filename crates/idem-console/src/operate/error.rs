//! [`OperateError`]: why something was not done.

use std::{error::Error, fmt};

use idem_core::{
    error::{KeyError, ResolveError},
    store::StoreError,
};

/// The kinds of [`OperateError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The store or the audit failed.
    Failed,
    /// It was asked for in a wrong way.
    Usage,
    /// There is no such record.
    NotFound,
    /// The record changed since it was shown.
    Changed,
    /// The record's state does not allow it.
    NotAllowed,
}

/// Why something was not done.
#[derive(Debug)]
pub struct OperateError {
    /// What kind of reason.
    pub kind: Kind,
    /// The reason, in a sentence.
    pub message: String,
}

impl OperateError {
    /// An error of this kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// The record changed since it was shown.
    #[must_use]
    pub fn changed() -> Self {
        Self::new(
            Kind::Changed,
            "the record changed since it was shown, and nothing was written: look at it again",
        )
    }

    /// There is no such record.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(
            Kind::NotFound,
            "there is no record under this key: it was never claimed, or its retention is over",
        )
    }
}

impl fmt::Display for OperateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for OperateError {}

impl From<StoreError> for OperateError {
    fn from(error: StoreError) -> Self {
        Self::new(Kind::Failed, with_causes(&error))
    }
}

impl From<KeyError> for OperateError {
    fn from(error: KeyError) -> Self {
        Self::new(
            Kind::Usage,
            format!("this is not a key or a scope: {error}"),
        )
    }
}

impl From<ResolveError> for OperateError {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::Changed => Self::new(
                Kind::Changed,
                "the record changed since it was shown, or, after a lost reply, since it was settled: \
                 look at it again",
            ),
            ResolveError::NotResolvable(why) => Self::new(Kind::NotAllowed, why.to_string()),
            ResolveError::Store(error) => error.into(),
            other => Self::new(Kind::Failed, other.to_string()),
        }
    }
}

/// An error with what caused it, on one line. No store's error shows a password.
#[must_use]
pub fn with_causes(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
