//! The command line, and the policy it asks for.

use std::{net::SocketAddr, str::FromStr, time::Duration};

use clap::{Parser, ValueEnum};
use idem_core::{OnAbandoned, OnBusy, Policy};

/// A payment service that charges once, however often it is asked.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Open the address in a browser: the page is for trying to break it."
)]
pub(crate) struct Args {
    /// Where to listen; port 0 takes a free one and says which
    #[arg(long, default_value = "127.0.0.1:4242", value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,

    /// Where keys and answers are kept, as a URL: memory:, redis://…, redis+cluster://…,
    /// redis+sentinel://…, sqlite:payments.db, postgres://…, mysql://… (in the last three the books as well)
    #[arg(long, default_value = "memory:", value_name = "URL")]
    pub(crate) store: String,

    /// Whose rules to speak: the seed's, the IETF draft's or Stripe's
    #[arg(long, value_enum, default_value_t = Profile::Seed)]
    pub(crate) profile: Profile,

    /// How long an execution is trusted without a sign of life
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub(crate) lease: Duration,

    /// How long an answer is kept for repeats
    #[arg(long, default_value = "24h", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub(crate) retention: Duration,

    /// What a repeat gets while the first request is at work: `reject` answers 409, `wait:5s` waits
    /// at most so long for the answer
    #[arg(long, default_value = "reject", value_name = "reject|wait:TIME")]
    on_busy: Busy,

    /// What happens to a key whose execution vanished half-way: run again, or wait for a person
    #[arg(long, value_enum, default_value_t = Abandoned::Reclaim)]
    on_abandoned: Abandoned,

    /// Offers the routes of the HTTP vectors as well, without authentication: for tests alone
    #[cfg(feature = "vectors")]
    #[arg(long)]
    pub(crate) vectors: bool,
}

impl Args {
    /// The engine's knobs.
    pub(crate) fn policy(&self) -> Policy {
        Policy::default()
            .lease(self.lease)
            .retention(self.retention)
            .on_busy(self.on_busy.0)
            .on_abandoned(match self.on_abandoned {
                Abandoned::Reclaim => OnAbandoned::Reclaim,
                Abandoned::Halt => OnAbandoned::Halt,
            })
    }

    /// The knobs of the HTTP side.
    pub(crate) fn http_profile(&self) -> idem_http::Profile {
        match self.profile {
            Profile::Seed => idem_http::Profile::seed(),
            Profile::Ietf => idem_http::Profile::ietf(),
            Profile::Stripe => idem_http::Profile::stripe(),
        }
    }
}

/// Presets of the HTTP rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// A different request under a known key: 409
    Seed,
    /// Strict header syntax; a different request under a known key: 422
    Ietf,
    /// Form bodies, errors and headers of Stripe's API; a different request under a known key: 400
    Stripe,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Abandoned {
    /// Run again, with the next attempt number
    Reclaim,
    /// Answer 409 until somebody settles the key by hand
    Halt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Busy(OnBusy);

impl FromStr for Busy {
    type Err = BusyError;

    fn from_str(text: &str) -> Result<Self, BusyError> {
        match text.split_once(':') {
            None if text == "reject" => Ok(Self(OnBusy::Reject)),
            Some(("wait", time)) => Ok(Self(OnBusy::Wait(humantime::parse_duration(time)?))),
            _ => Err(BusyError::Unknown),
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum BusyError {
    #[error("say `reject`, or `wait:` and a time, such as `wait:5s`")]
    Unknown,
    #[error("the time after `wait:` is none: {0}")]
    Time(#[from] humantime::DurationError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(["payments"].iter().chain(args))
    }

    #[test]
    fn the_defaults_are_the_documented_ones() {
        let args = parse(&[]).unwrap();
        assert_eq!(args.listen, "127.0.0.1:4242".parse().unwrap());
        assert_eq!(
            (args.store.as_str(), args.profile),
            ("memory:", Profile::Seed)
        );
        let policy = args.policy();
        assert_eq!(policy.lease_time(), Duration::from_secs(30));
        assert_eq!(policy.retention_time(), Duration::from_secs(24 * 3600));
        assert_eq!(args.on_busy, Busy(OnBusy::Reject));
    }

    #[test]
    fn times_are_written_as_people_write_them() {
        let args = parse(&[
            "--lease",
            "1m 30s",
            "--retention=250ms",
            "--on-busy=wait:5s",
        ])
        .unwrap();
        assert_eq!(args.lease, Duration::from_secs(90));
        assert_eq!(args.retention, Duration::from_millis(250));
        assert_eq!(args.on_busy, Busy(OnBusy::Wait(Duration::from_secs(5))));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for args in [
            ["--on-busy", "wait"],
            ["--on-busy", "wait:"],
            ["--on-busy", "wait:soon"],
            ["--on-busy", "hope"],
            ["--on-abandoned", "ignore"],
            ["--profile", "none"],
            ["--lease", "30"],
            ["--listen", "4242"],
        ] {
            assert!(parse(&args).is_err(), "{args:?}");
        }
    }
}
