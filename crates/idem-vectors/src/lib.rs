//! Runs the HTTP cases of `vectors/` against a server, in whatever language it is written.
//!
//! The cases are data: `vectors/README.md` says what they are made of, and which routes a server offers
//! for them. This crate reads them, sends what they say, and reports. With the feature `fixture` it has
//! those routes, too, for a server in Rust.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! let report = idem_vectors::run("http://127.0.0.1:8080", "").await?;
//! print!("{}", report.text());
//! assert!(report.passed());
//! # Ok(()) }
//! ```

mod case;
mod client;
mod expect;
#[cfg(feature = "fixture")]
pub mod fixture;
mod report;
mod run;

pub use case::{Case, Group, groups};
pub use report::{Outcome, Report};
pub use run::run;
