//! Prints what the tests of `suite!` wrote, as one table: store × rule.
//!
//! ```text
//! IDEM_CONFORMANCE_REPORT=report.tsv cargo test
//! cargo run -p idem-conformance --example report -- report.tsv
//! ```

use std::process::ExitCode;

use idem_conformance::Report;

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: report FILE");
        return ExitCode::from(2);
    };
    match Report::read(&path) {
        Ok(report) => {
            print!("{report}");
            ExitCode::from(u8::from(!report.is_clean()))
        }
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            ExitCode::from(2)
        }
    }
}
