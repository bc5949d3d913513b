//! What can be done to a request or its reply, and to which.

use std::time::Duration;

use super::wire::Request;

/// What happens to a request or to its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The connection is cut and the request never reaches the server: certainly not applied.
    CutBeforeRequest,
    /// The request goes on, and once the server has answered, the answer is dropped and the
    /// connection is cut: certainly applied, and the client cannot know. Nothing that the client
    /// sent behind that request goes on.
    LoseReply,
    /// The request, and what the client sends behind it, goes on later.
    DelayRequest(Duration),
    /// The request takes as long as it would over a link of so many bytes a second, and what the
    /// client sends behind it waits as long, or until the rule is [released](super::Armed::release).
    SlowRequest {
        /// How many bytes go through in a second.
        per_second: u64,
    },
    /// The reply, and what the server sends behind it, goes back later.
    DelayReply(Duration),
    /// The request, and what the client sends behind it, is held until the rule is
    /// [released](super::Armed::release). Then it reaches the server even if the client has gone,
    /// as a packet does that took the long way.
    HangRequest,
    /// The request goes on, and the reply and what the server sends behind it is held until the
    /// rule is [released](super::Armed::release).
    HangReply,
}

impl Fault {
    /// This, to the next request alone.
    #[must_use]
    pub fn once(self) -> Rule {
        self.times(1)
    }

    /// This, to the next `times` requests.
    #[must_use]
    pub fn times(self, times: u64) -> Rule {
        Rule {
            times: Some(times),
            ..self.always()
        }
    }

    /// This, to every request until the rule is released.
    #[must_use]
    pub fn always(self) -> Rule {
        Rule {
            fault: self,
            command: None,
            containing: Vec::new(),
            larger_than: 0,
            skip: 0,
            times: None,
        }
    }

    /// Whether it takes a reply to happen.
    pub(super) fn concerns_reply(self) -> bool {
        matches!(
            self,
            Self::LoseReply | Self::DelayReply(_) | Self::HangReply
        )
    }
}

/// A fault, and the requests that it befalls.
///
/// What a request is depends on what the client speaks, which its first byte tells:
/// - Redis: one command.
/// - Postgres: a simple query, or everything up to a `Sync`. A request that only prepares a
///   statement has no command and contains nothing; one that runs a prepared statement has that
///   statement's command and contains its text, besides the parameters.
/// - HTTP/1.1: one request, with its method for a command. A chunked body is apart from it.
/// - MySQL and MariaDB: a query, with its first word for a command, or the run of a prepared statement,
///   which has no command and contains its parameters alone.
/// - Anything else: whatever arrives at once. It has no command.
///
/// A greeting (`HELLO`, the startup message) is a request as well: name a command where that
/// matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub(super) fault: Fault,
    command: Option<String>,
    containing: Vec<Vec<u8>>,
    larger_than: usize,
    pub(super) skip: u64,
    pub(super) times: Option<u64>,
}

impl Rule {
    /// Only requests with this command (`SET`, `EVALSHA`) or this first word of a statement
    /// (`INSERT`, `COMMIT`), in any case of letters.
    #[must_use]
    pub fn command(mut self, name: &str) -> Self {
        self.command = Some(name.to_ascii_uppercase());
        self
    }

    /// Only requests with these bytes somewhere in them: a key, a part of a statement. Said several
    /// times, all must be there.
    #[must_use]
    pub fn containing(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.containing.push(bytes.into());
        self
    }

    /// Only requests of more bytes than this.
    #[must_use]
    pub fn larger_than(mut self, bytes: usize) -> Self {
        self.larger_than = bytes;
        self
    }

    /// Lets the first `count` requests that fit go unharmed.
    #[must_use]
    pub fn after(mut self, count: u64) -> Self {
        self.skip = count;
        self
    }

    /// Whether `request` is one that this is about.
    pub(super) fn fits(&self, request: &Request) -> bool {
        let command_fits = self
            .command
            .as_ref()
            .is_none_or(|name| request.commands.contains(name));
        command_fits
            && request.bytes.len() > self.larger_than
            && self.containing.iter().all(|part| request.contains(part))
            && (request.awaits_reply() || !self.fault.concerns_reply())
    }
}
