//! What can go wrong while a server is found, started or steered.

use std::{fmt, io, time::Duration};

/// Why a server could not be started or did not do as it was told.
///
/// Every variant that speaks of a running server carries the end of that server's log, since the
/// folder the log lived in is gone by the time somebody reads the message.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum TestbedError {
    /// The program is not installed here. The only variant for which a test may be skipped: see
    /// [`skip_or_fail`](crate::skip_or_fail).
    #[error("{program} was not found: {hint}")]
    Missing {
        /// The program that was looked for.
        program: String,
        /// What to install or which variable to set.
        hint: String,
    },

    /// The program is there, but it ended (or never answered) instead of serving.
    #[error("{server} did not start: {reason}\n--- end of its log ---\n{log}")]
    Start {
        /// Which server, with its address where it has one.
        server: String,
        /// What was seen.
        reason: String,
        /// The last lines that the server wrote.
        log: String,
    },

    /// Something that was asked for had not happened by the deadline.
    #[error(
        "{server}: {waiting_for} had not happened after {after:?}; last seen: {seen}\n--- end of its log ---\n{log}"
    )]
    Timeout {
        /// Which server or group of servers.
        server: String,
        /// What was waited for.
        waiting_for: String,
        /// How long.
        after: Duration,
        /// The last answer that was not yet the one waited for.
        seen: String,
        /// The last lines that the server wrote.
        log: String,
    },

    /// The server answered a command with an error.
    #[error("{server} refused `{command}`: {answer}")]
    Refused {
        /// Which server.
        server: String,
        /// The command or statement, without its arguments where those are long.
        command: String,
        /// The server's own words.
        answer: String,
    },

    /// The operating system refused something.
    #[error("could not {action}: {source}")]
    Io {
        /// What was being done, as a verb phrase.
        action: String,
        /// The operating system's answer.
        source: io::Error,
    },
}

/// The message, since this is what `unwrap` in a test prints, and a log with its line ends escaped
/// is not to be read.
impl fmt::Debug for TestbedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TestbedError {
    /// For `map_err`: names what was being done when `source` came back.
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }

    /// Whether another attempt on other ports can help: somebody else bound the port first.
    pub(crate) fn is_port_taken(&self) -> bool {
        let Self::Start { log, .. } = self else {
            return false;
        };
        let log = log.to_ascii_lowercase();
        log.contains("address already in use") || log.contains("could not create server tcp")
    }
}
