//! [`Failure`]: what went wrong, and the exit code that says so.

use std::{error::Error, fmt, process::ExitCode};

use idem_core::{
    error::{KeyError, ResolveError},
    store::StoreError,
};

/// The kinds of failure, each with its exit code. Code 2 is clap's own for a wrong command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Error,
    Usage,
    NotFound,
    Changed,
    Findings,
    NotAllowed,
}

impl Kind {
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Error => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Changed => 4,
            Self::Findings => 5,
            Self::NotAllowed => 6,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Usage => "usage",
            Self::NotFound => "not-found",
            Self::Changed => "changed",
            Self::Findings => "findings",
            Self::NotAllowed => "not-allowed",
        }
    }
}

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    pub(crate) fn error(message: impl Into<String>) -> Self {
        Self::new(Kind::Error, message)
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    pub(crate) fn not_found() -> Self {
        Self::new(
            Kind::NotFound,
            "there is no record under this key: it was never claimed, or its retention is over",
        )
    }

    pub(crate) fn changed() -> Self {
        Self::new(
            Kind::Changed,
            "the record changed since it was shown, and nothing was written: look at it again",
        )
    }

    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.kind.number())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::error(with_causes(&error))
    }
}

impl From<ResolveError> for Failure {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::Changed => Self::changed(),
            ResolveError::NotResolvable(why) => Self::new(Kind::NotAllowed, why.to_string()),
            ResolveError::Store(error) => error.into(),
            other => Self::error(other.to_string()),
        }
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Self::usage(format!("this is not a key or a scope: {error}"))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::error(error.to_string())
    }
}

/// An error with what caused it, on one line. No store's error shows a password.
pub(crate) fn with_causes(error: &StoreError) -> String {
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
