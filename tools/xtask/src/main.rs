//! The chores of this repository, each behind `cargo xtask NAME`.
//!
//! A command runs one or more *lanes* one after the other, says before each what it is about to
//! type, and closes with a table of lanes: result, duration and, where one failed or was skipped,
//! why. The exit status is 1 when any lane failed.

mod api;
mod ci;
mod cli;
mod command;
mod deep;
mod docs;
mod features;
mod fuzz;
mod lane;
mod links;
mod matrix;
mod metrics;
mod packages;
mod purity;
mod release;
mod stripe;
mod tally;
mod tests_lane;
mod tools;
mod torture;
mod workspace;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run() {
        Ok(report) => report.exit_code(),
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
