//! What a failure of the driver or an error of the server means for a write (rule S9).

use idem_core::store::{StoreError, StoreErrorKind};
use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::connection::io_error;

/// A command that failed, and how far it may have got.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) error: RedisError,
    pub(crate) sent: Sent,
    /// What is told instead of the driver's error.
    verdict: Option<StoreError>,
}

/// How far a command may have got before it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// There was no connection to send it over.
    No,
    /// Once at most: what the server answered is the answer to it.
    Once,
    /// Perhaps several times, because the driver sends again by itself: an earlier try may have been
    /// applied, whatever the last one was answered.
    Repeatedly,
}

impl Failure {
    pub(crate) fn not_sent(error: RedisError) -> Self {
        Self {
            error,
            sent: Sent::No,
            verdict: None,
        }
    }

    pub(crate) fn maybe(error: RedisError) -> Self {
        Self {
            error,
            sent: Sent::Once,
            verdict: None,
        }
    }

    pub(crate) fn repeated(error: RedisError) -> Self {
        Self {
            error,
            sent: Sent::Repeatedly,
            verdict: None,
        }
    }

    /// Nothing was sent, for a reason of this crate's own.
    pub(crate) fn verdict(error: StoreError) -> Self {
        Self {
            error: (ErrorKind::InvalidClientConfig, "not sent").into(),
            sent: Sent::No,
            verdict: Some(error),
        }
    }

    pub(crate) fn missing_reply() -> Self {
        Self::maybe(io_error("there are fewer replies than commands"))
    }

    /// A reply that no server gives to what was asked.
    pub(crate) fn unexpected_reply() -> Self {
        Self {
            verdict: Some(unexpected_reply()),
            ..Self::missing_reply()
        }
    }

    /// Whether there was no connection to send it over.
    pub(crate) fn is_unsent(&self) -> bool {
        self.sent == Sent::No && self.verdict.is_none()
    }

    /// Whether a command that stands for several requests may be refused for what it is, or for one of
    /// them: each by itself may be answered otherwise.
    pub(crate) fn refuses_form(&self) -> bool {
        matches!(
            self.error.kind(),
            ErrorKind::Server(_) | ErrorKind::Extension
        ) && matches!(
            self.kind(),
            StoreErrorKind::Config | StoreErrorKind::TooLarge | StoreErrorKind::Corrupt
        )
    }

    /// Whether commands with several keys will be refused for ever.
    pub(crate) fn refuses_combination(&self) -> bool {
        self.refuses_form() && self.error.code() != Some("NOPERM") || self.is_unsupported()
    }

    pub(crate) fn kind(&self) -> StoreErrorKind {
        if let Some(verdict) = &self.verdict {
            return verdict.kind();
        }
        let kind = kind(&self.error);
        match self.sent {
            Sent::No if kind == StoreErrorKind::Unknown => StoreErrorKind::Unavailable,
            Sent::Repeatedly if kind == StoreErrorKind::Unavailable => StoreErrorKind::Unknown,
            Sent::No | Sent::Once | Sent::Repeatedly => kind,
        }
    }

    /// Whether the server does not know the command or one of its options, or does not let this user
    /// have it: asking in another way may help.
    pub(crate) fn is_unsupported(&self) -> bool {
        match self.error.kind() {
            // A user may be kept from a command, or only from this key.
            ErrorKind::Server(ServerErrorKind::NoPerm) => {
                self.error.detail().unwrap_or_default().contains("command")
            }
            ErrorKind::Server(ServerErrorKind::ResponseError) => {
                let detail = self.error.detail().unwrap_or_default();
                ["syntax error", "unknown command", "unknown subcommand"]
                    .iter()
                    .any(|words| detail.to_ascii_lowercase().starts_with(words))
            }
            _ => false,
        }
    }

    /// Whether the server forgot a script, by a restart or a flush.
    pub(crate) fn is_script_unknown(&self) -> bool {
        self.error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
    }

    /// Whether the connection is of no more use: it broke, it does not answer, or it leads to a
    /// server that is no primary any more.
    pub(crate) fn condemns_connection(&self) -> bool {
        self.error.is_unrecoverable_error()
            || self.error.is_io_error()
            || self.error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
            || matches!(self.error.code(), Some("UNBLOCKED" | "NOAUTH"))
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        if let Some(verdict) = failure.verdict {
            return verdict;
        }
        let kind = failure.kind();
        Self::new(kind, advice(&failure, kind)).with_source(failure.error)
    }
}

/// The write was taken, and the wait for its durability failed: the outcome is open, unless it can
/// never be otherwise.
pub(crate) fn unconfirmed(failure: Failure) -> StoreError {
    match failure.kind() {
        StoreErrorKind::Config => failure.into(),
        _ => StoreError::unknown("the server took the write, but did not say how durable it is")
            .with_source(failure.error),
    }
}

/// A reply that no server gives to what was asked.
pub(crate) fn unexpected_reply() -> StoreError {
    StoreError::unknown("the server's reply is not one to this command; is it behind a proxy?")
}

fn kind(error: &RedisError) -> StoreErrorKind {
    match error.kind() {
        ErrorKind::Io if refuses_certificate(error) => StoreErrorKind::Config,
        ErrorKind::Server(kind) => server(kind, error.detail().unwrap_or_default()),
        ErrorKind::Extension => extension(error.code().unwrap_or_default()),
        ErrorKind::Io if error.is_connection_refusal() => StoreErrorKind::Unavailable,
        ErrorKind::MasterNameNotFoundBySentinel
        | ErrorKind::NoValidReplicasFoundBySentinel
        | ErrorKind::ClusterConnectionNotFound => StoreErrorKind::Unavailable,
        ErrorKind::AuthenticationFailed
        | ErrorKind::InvalidClientConfig
        | ErrorKind::EmptySentinelList
        | ErrorKind::RESP3NotSupported => StoreErrorKind::Config,
        // A cut, a timeout, garbage: the server may have applied it.
        _ => StoreErrorKind::Unknown,
    }
}

/// Whether the server's certificate is not to be trusted: no outage, and not over by itself.
fn refuses_certificate(error: &RedisError) -> bool {
    #[cfg(feature = "tls")]
    {
        use std::{error::Error, io, sync::Arc};

        type Shared = Arc<dyn Error + Send + Sync>;
        error
            .source()
            .and_then(|cause| cause.downcast_ref::<Shared>())
            .and_then(|cause| cause.downcast_ref::<io::Error>())
            .and_then(|cause| cause.get_ref()?.downcast_ref::<rustls::Error>())
            .is_some_and(|error| matches!(error, rustls::Error::InvalidCertificate(_)))
    }
    #[cfg(not(feature = "tls"))]
    {
        let _ = error;
        false
    }
}

/// Errors that the driver has names for. The server answers them *instead of* applying a write.
fn server(kind: ServerErrorKind, detail: &str) -> StoreErrorKind {
    match kind {
        ServerErrorKind::NoPerm | ServerErrorKind::CrossSlot => StoreErrorKind::Config,
        ServerErrorKind::ResponseError if detail.starts_with("max number of clients") => {
            StoreErrorKind::Unavailable
        }
        // `Protocol error: invalid bulk length`, and `string exceeds maximum allowed size`.
        ServerErrorKind::ResponseError
            if detail.contains("invalid bulk length") || detail.contains("exceeds maximum") =>
        {
            StoreErrorKind::TooLarge
        }
        ServerErrorKind::ResponseError => StoreErrorKind::Config,
        // LOADING, MOVED, ASK, TRYAGAIN, CLUSTERDOWN, MASTERDOWN, READONLY, EXECABORT, NOSCRIPT, …
        _ => StoreErrorKind::Unavailable,
    }
}

/// Errors that the driver has no names for.
fn extension(code: &str) -> StoreErrorKind {
    match code {
        "OOM" => StoreErrorKind::Full,
        "WRONGTYPE" => StoreErrorKind::Corrupt,
        "NOAUTH" | "WRONGPASS" | "NOPROTO" => StoreErrorKind::Config,
        // A wait that a demotion ended: the write stood before it.
        "UNBLOCKED" => StoreErrorKind::Unknown,
        // MISCONF (no room on the disk), NOREPLICAS (too few of them), BUSY (a script runs), …
        _ => StoreErrorKind::Unavailable,
    }
}

fn advice(failure: &Failure, kind: StoreErrorKind) -> &'static str {
    match (kind, failure.error.code()) {
        (StoreErrorKind::Full, _) => "raise `maxmemory`, or shorten the retention",
        (StoreErrorKind::TooLarge, _) => {
            "the record is longer than the server's `proto-max-bulk-len` allows; raise it, or store less"
        }
        (StoreErrorKind::Corrupt, _) => {
            "a key under this prefix is no string; somebody else uses it"
        }
        (StoreErrorKind::Config, Some("NOPERM")) => {
            "the user may not do this; see the crate's documentation for the rights it needs"
        }
        (StoreErrorKind::Config, Some("NOAUTH" | "WRONGPASS")) => "check the user and the password",
        (StoreErrorKind::Config, Some("ERR")) => {
            "the server will not take the command, see the cause; it has to be Redis 7.0, or Valkey"
        }
        (StoreErrorKind::Config, None) if refuses_certificate(&failure.error) => {
            "the server's certificate is for another name, or of an authority that is not trusted \
             here; `SSL_CERT_FILE` names a file of those to trust instead of the system's"
        }
        (StoreErrorKind::Config, _) => "check the URL, the user and the password",
        (_, Some("MISCONF")) => "the server cannot save to its disk, and takes no writes",
        (_, Some("NOREPLICAS")) => "the primary has too few replicas, and takes no writes",
        (_, Some(_)) => "the server refused for now",
        (StoreErrorKind::Unknown, None) => "the connection broke or the server did not answer",
        (_, None) => "no connection",
    }
}

#[cfg(test)]
mod tests {
    use std::{error::Error as _, io};

    use super::*;

    /// An error reply as the driver reads it off the wire.
    fn reply(line: &str) -> RedisError {
        redis::parse_redis_value(format!("-{line}\r\n").as_bytes())
            .unwrap()
            .extract_error()
            .unwrap_err()
    }

    fn io_error(kind: io::ErrorKind) -> RedisError {
        io::Error::from(kind).into()
    }

    #[test]
    fn s9_every_reply_says_what_it_means_for_the_write() {
        use StoreErrorKind::{Config, Corrupt, Full, TooLarge, Unavailable, Unknown};
        for (line, kind) in [
            ("MOVED 3999 127.0.0.1:6381", Unavailable),
            ("ASK 3999 127.0.0.1:6381", Unavailable),
            (
                "TRYAGAIN Multiple keys request during rehashing",
                Unavailable,
            ),
            ("CLUSTERDOWN The cluster is down", Unavailable),
            (
                "LOADING Redis is loading the dataset in memory",
                Unavailable,
            ),
            ("MASTERDOWN Link with MASTER is down", Unavailable),
            (
                "READONLY You can't write against a read only replica.",
                Unavailable,
            ),
            (
                "MISCONF Redis is configured to save RDB snapshots",
                Unavailable,
            ),
            ("NOREPLICAS Not enough good replicas to write.", Unavailable),
            ("EXECABORT Transaction discarded", Unavailable),
            ("BUSY Redis is busy running a script.", Unavailable),
            ("NOSCRIPT No matching script.", Unavailable),
            ("ERR max number of clients reached", Unavailable),
            ("SOMETHINGNEW of a later release", Unavailable),
            ("UNBLOCKED force unblock from blocking operation", Unknown),
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                Full,
            ),
            ("WRONGTYPE Operation against a key", Corrupt),
            ("ERR Protocol error: invalid bulk length", TooLarge),
            (
                "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
                TooLarge,
            ),
            ("NOAUTH Authentication required.", Config),
            ("WRONGPASS invalid username-password pair", Config),
            ("NOPERM this user has no permissions", Config),
            (
                "CROSSSLOT Keys in request don't hash to the same slot",
                Config,
            ),
            ("ERR syntax error", Config),
            ("ERR unknown command 'EVALSHA'", Config),
        ] {
            assert_eq!(Failure::maybe(reply(line)).kind(), kind, "{line}");
        }
    }

    #[test]
    fn s9_a_broken_connection_leaves_the_outcome_open_unless_nothing_was_sent() {
        use io::ErrorKind as Io;
        for kind in [
            Io::TimedOut,
            Io::ConnectionReset,
            Io::BrokenPipe,
            Io::UnexpectedEof,
        ] {
            let error = io_error(kind);
            let maybe = Failure::maybe(error.clone());
            assert_eq!(maybe.kind(), StoreErrorKind::Unknown, "{kind:?}");
            assert!(maybe.condemns_connection());
            assert_eq!(Failure::not_sent(error).kind(), StoreErrorKind::Unavailable);
        }
        let refused = Failure::maybe(io_error(Io::ConnectionRefused));
        assert_eq!(refused.kind(), StoreErrorKind::Unavailable);
    }

    #[test]
    fn s9_a_refusal_after_resends_of_the_driver_proves_nothing() {
        let failure = Failure::repeated(reply("CLUSTERDOWN The cluster is down"));
        assert_eq!(failure.kind(), StoreErrorKind::Unknown);
        let failure = Failure::repeated(reply("WRONGTYPE Operation against a key"));
        assert_eq!(failure.kind(), StoreErrorKind::Corrupt);
    }

    #[test]
    fn s9_the_cause_is_kept() {
        let error = StoreError::from(Failure::maybe(reply("OOM no room")));
        assert_eq!(error.kind(), StoreErrorKind::Full);
        assert!(error.source().unwrap().to_string().contains("OOM"));
    }

    #[test]
    fn a_server_without_the_command_is_told_from_one_that_refuses() {
        for line in [
            "ERR syntax error",
            "ERR unknown command 'NEWER', with args beginning with: 'a' ",
            "NOPERM User app has no permissions to run the 'delifeq' command",
        ] {
            assert!(Failure::maybe(reply(line)).is_unsupported(), "{line}");
        }
        for line in [
            "NOPERM No permissions to access a key",
            "LOADING",
            "ERR max number of clients reached",
            "OOM",
        ] {
            assert!(!Failure::maybe(reply(line)).is_unsupported(), "{line}");
        }
    }
}
