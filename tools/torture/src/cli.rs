//! What is typed.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, builder::PossibleValuesParser};

use crate::{
    deployment::{self, Plan},
    key::KeyId,
};

/// Puts idem over real servers under real faults, and checks every history.
///
/// Ends with status 1 if any promise was broken; the histories are kept then.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) run: Run,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check the kept histories of an earlier run once more
    Check {
        /// The folder of one deployment
        folder: PathBuf,
        /// Only this key, such as `e0-k3`
        #[arg(long, value_parser = key)]
        key: Option<KeyId>,
    },
    /// One of the processes that use idem; started by the run itself
    #[command(hide = true)]
    Worker {
        /// Its assignment, as JSON
        assignment: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// What the records are kept in; several may be given
    #[arg(long, value_parser = stores(), value_delimiter = ',', default_value = "all")]
    pub(crate) store: Vec<String>,

    /// For how many minutes to load the stores, all together
    #[arg(long, value_name = "N", conflicts_with = "seconds")]
    minutes: Option<u64>,

    /// The same in seconds
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,

    /// Strike the servers with these faults alone, named as the report names them
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) fault: Vec<String>,

    /// Where all dice start; drawn, and printed, unless given
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// Where to write the histories; a temporary folder unless given
    #[arg(long, value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,

    /// Keep the histories although nothing was wrong with them
    #[arg(long)]
    pub(crate) keep: bool,
}

impl Run {
    pub(crate) fn time(&self) -> Duration {
        match self.minutes {
            Some(minutes) => Duration::from_secs(minutes * 60),
            None => Duration::from_secs(self.seconds),
        }
    }

    /// What to run on, one after the other.
    pub(crate) fn plans(&self) -> Vec<&'static dyn Plan> {
        let mut plans: Vec<&'static dyn Plan> = Vec::new();
        for plan in self.store.iter().flat_map(|word| deployment::of_word(word)) {
            if plans.iter().all(|other| other.name() != plan.name()) {
                plans.push(plan);
            }
        }
        plans
    }
}

fn stores() -> PossibleValuesParser {
    PossibleValuesParser::new(deployment::words().into_iter().chain(["all"]))
}

fn key(name: &str) -> Result<KeyId, &'static str> {
    KeyId::parse(name).ok_or("a key is named as in `e0-k3`")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn run(args: &[&str]) -> Run {
        let typed = [&["idem-torture"], args].concat();
        Cli::try_parse_from(typed).unwrap().run
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_word_all_stores_get_a_minute() {
        let run = run(&[]);
        assert_eq!(run.plans().len(), 10);
        assert_eq!(run.time(), Duration::from_secs(60));
    }

    #[test]
    fn stores_are_picked_once_each() {
        let run = run(&["--store", "redis,all", "--minutes", "2"]);
        assert_eq!(run.plans()[0].name(), "redis");
        assert_eq!(run.plans().len(), 10);
        assert_eq!(run.time(), Duration::from_secs(120));
        assert!(Cli::try_parse_from(["t", "--minutes", "1", "--seconds", "1"]).is_err());
    }
}
