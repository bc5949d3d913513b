//! `idem-vectors http://127.0.0.1:8080`: the HTTP cases against a server.
//!
//! Exit code 0: all cases passed or were skipped; 1: one failed; 2: none could run.

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

#[derive(Parser)]
#[command(about = "Runs the HTTP cases of idem against a server in any language")]
struct Cli {
    /// Where the server listens, such as `http://127.0.0.1:8080`.
    url: String,
    /// Runs only cases whose names contain this.
    #[arg(long, default_value = "")]
    filter: String,
    /// How to report.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
    Junit,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let report = match idem_vectors::run(&cli.url, &cli.filter).await {
        Ok(report) => report,
        Err(error) => {
            eprintln!("{error:#}");
            return ExitCode::from(2);
        }
    };
    match cli.format {
        Format::Text => print!("{}", report.text()),
        Format::Json => println!("{}", report.json()),
        Format::Junit => print!("{}", report.junit()),
    }
    match report.passed() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
