//! [`Failure`]: what went wrong, and the exit code that says so.

use std::{fmt, process::ExitCode};

use idem_console::operate::{self, OperateError};
use idem_core::{error::KeyError, store::StoreError};

pub(crate) use idem_console::operate::with_causes;

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
        OperateError::not_found().into()
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
        OperateError::from(error).into()
    }
}

impl From<OperateError> for Failure {
    fn from(error: OperateError) -> Self {
        let kind = match error.kind {
            operate::Kind::Failed => Kind::Error,
            operate::Kind::Usage => Kind::Usage,
            operate::Kind::NotFound => Kind::NotFound,
            operate::Kind::Changed => Kind::Changed,
            operate::Kind::NotAllowed => Kind::NotAllowed,
        };
        Self::new(kind, error.message)
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        OperateError::from(error).into()
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::error(error.to_string())
    }
}
