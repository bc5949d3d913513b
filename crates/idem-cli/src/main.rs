//! The command `idem`: looks into a store of idempotency keys, settles what is stuck, and checks the
//! server. What it does and prints is documented in `docs/command-line.md`.
#![cfg_attr(
    not(all(
        feature = "sqlite",
        feature = "redis",
        feature = "postgres",
        feature = "mysql"
    )),
    allow(unused, reason = "a program with fewer stores needs less of this")
)]

mod change;
mod cli;
mod commands;
mod doctor;
mod failure;
mod filter;
mod key;
mod output;
mod place;
mod record;
mod scan;

use std::process::ExitCode;

use clap::Parser;
use idem_console::operate::{audit, words};

use crate::{cli::Cli, output::Output};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(cli.common.json);
    match commands::run(cli, &output) {
        Ok(code) => code,
        Err(failure) => {
            output.failure(&failure);
            failure.code()
        }
    }
}
