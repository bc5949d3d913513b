//! Benchmarks of idem, each operation beside its floor: what the same bytes cost without idem.
//!
//! It alone catches a change that makes idem slower.
//!
//! `cargo run --release -p idem-bench -- memory --concurrency 1,64 --seconds 4 --json rows.json`

mod case;
mod cli;
mod measure;
mod plot;
mod report;
mod slice;
mod suites;

use anyhow::{Context, Result};
use clap::Parser;

use crate::{cli::Cli, measure::Plan, report::Report};

fn main() -> Result<()> {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start a runtime")?;
    if cli.serves().unwrap_or_else(|error| error.exit()) {
        return runtime.block_on(suites::http::serve());
    }
    let report = match &cli.rows {
        Some(path) => Report::read(path)?,
        None => runtime.block_on(run(&cli))?,
    };
    print!("{}", report.table());
    if let Some(folder) = &cli.svg {
        plot::write(report.rows(), folder)?;
    }
    if let Some(path) = &cli.json {
        let json = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, json)
            .with_context(|| format!("cannot write the rows to {}", path.display()))?;
    }
    Ok(())
}

async fn run(cli: &Cli) -> Result<Report> {
    let progress = report::progress();
    let mut report = Report::default();
    for suite in cli.suites() {
        let cases = (suite.open)()
            .await
            .with_context(|| format!("cannot set up the suite `{}`", suite.name))?;
        for case in cases.iter().filter(|case| cli.wants(case.name)) {
            for &concurrency in &cli.concurrency {
                let plan = Plan {
                    concurrency,
                    time: cli.time(),
                };
                progress.start(suite.name, case.name, plan);
                let measured = measure::compare(case, plan, &progress).await?;
                report.add(suite.name, case.name, concurrency, &measured);
            }
        }
    }
    progress.finish();
    Ok(report)
}
