//! What is typed.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use clap::{CommandFactory, Parser, builder::PossibleValuesParser};

use crate::suites::{SUITES, Suite};

/// Measures idem beside its floor: what the same bytes cost without it, in the same run.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Cli {
    /// What to measure
    #[arg(required_unless_present = "rows", value_name = "SUITE", value_parser = names())]
    suites: Vec<String>,

    /// Which of their cases; all of them unless said otherwise
    #[arg(long, value_delimiter = ',', value_name = "CASE")]
    case: Vec<String>,

    /// How many tasks at once; several figures give a row each
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "1,64",
        value_name = "TASKS"
    )]
    pub(crate) concurrency: Vec<NonZeroUsize>,

    /// How long each row is measured, without the time to set it up
    #[arg(long, default_value_t = 4.0, value_name = "N", value_parser = seconds)]
    seconds: f64,

    /// Instead of measuring, serve what `http` measures to a client of your own: the bare handler
    /// and the layered one, each at an address of its own, until interrupted
    #[arg(long, conflicts_with_all = ["case", "concurrency", "seconds", "json"])]
    serve: bool,

    /// Where to write the rows as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Where to draw the ratios, a file for each suite
    #[arg(long, value_name = "FOLDER")]
    pub(crate) svg: Option<PathBuf>,

    /// Instead of measuring, take the rows that an earlier run wrote with --json
    #[arg(long, value_name = "FILE", conflicts_with_all = ["suites", "serve"])]
    pub(crate) rows: Option<PathBuf>,
}

impl Cli {
    pub(crate) fn suites(&self) -> impl Iterator<Item = &'static Suite> {
        SUITES
            .iter()
            .filter(|suite| self.suites.iter().any(|name| name == suite.name))
    }

    /// Whether to serve; only what `http` measures can be served.
    pub(crate) fn serves(&self) -> Result<bool, clap::Error> {
        if self.serve && self.suites != ["http"] {
            let advice = "only `http` can be served: idem-bench http --serve\n";
            return Err(Self::command().error(clap::error::ErrorKind::ArgumentConflict, advice));
        }
        Ok(self.serve)
    }

    pub(crate) fn wants(&self, case: &str) -> bool {
        self.case.is_empty() || self.case.iter().any(|name| name == case)
    }

    pub(crate) fn time(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(SUITES.iter().map(|suite| suite.name))
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("use a number of seconds from 0.1 to 86400".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_understood() {
        Cli::command().debug_assert();
        let typed = [
            "idem-bench",
            "memory",
            "--concurrency",
            "1,64",
            "--seconds",
            "0.5",
        ];
        let cli = Cli::parse_from(typed);
        assert_eq!(cli.suites().count(), 1);
        assert_eq!(cli.concurrency.len(), 2);
        assert_eq!(cli.time(), Duration::from_millis(500));
        assert!(cli.wants("fresh"));
        let one = Cli::parse_from(["idem-bench", "memory", "--case", "fresh"]);
        assert!(one.wants("fresh") && !one.wants("replay"));
        assert!(!cli.serves().expect("measuring is always possible"));
        assert!(Cli::try_parse_from(["idem-bench", "--rows", "rows.json"]).is_ok());
        assert!(Cli::try_parse_from(["idem-bench"]).is_err());
        assert!(Cli::try_parse_from(["idem-bench", "memory", "--concurrency", "0"]).is_err());
        assert!(Cli::try_parse_from(["idem-bench", "memory", "--seconds", "nan"]).is_err());
    }
    #[test]
    fn only_http_is_served() {
        let http = Cli::parse_from(["idem-bench", "http", "--serve"]);
        assert!(http.serves().expect("http has a server"));
        let memory = Cli::parse_from(["idem-bench", "memory", "--serve"]);
        let error = memory.serves().expect_err("memory has none");
        assert!(error.to_string().contains("idem-bench http --serve"));
        assert!(Cli::try_parse_from(["idem-bench", "http", "--serve", "--case", "fresh"]).is_err());
    }
}
