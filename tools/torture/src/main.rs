//! Real servers, several processes, real faults: what idem promises, written down and checked.
//!
//! It alone catches what breaks only between real processes and real servers that are killed, paused,
//! cut off, filled or failed over, with whatever was under way: in the engine, in a store's adapter and
//! its driver, or in both together. And it alone tells a key that was rightly taken over by the store's
//! clock from one whose holder was alive and should have kept it.
//!
//! A *coordinator* starts the servers and several *workers*, processes that run the engine over the
//! real stores, and breaks all of them by a schedule that follows from a seed. Every worker writes
//! down what its clients asked and were told, and what its store was sent and answered. When the
//! faults are over, every key is brought to its end, and the histories are checked.
//!
//! ```sh
//! cargo xtask torture --store redis,postgres --minutes 5
//! ```

mod campaign;
mod check;
mod cli;
mod clock;
mod deployment;
mod disk;
mod event;
mod fault;
mod history;
mod journal;
mod key;
mod recording;
mod report;
mod run;
mod worker;

use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let is_clean = match &cli.command {
        None => run::run(&cli.run),
        Some(Command::Check { folder, key }) => run::check(folder, *key),
        Some(Command::Worker { assignment }) => run::worker(assignment),
    };
    match is_clean {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("idem-torture: {error:#}");
            ExitCode::FAILURE
        }
    }
}
