//! Faults for stores in the same process: [`FaultStore`], what it does to a call, and when.
//!
//! It alone repeats and delays calls exactly when a test says so. It strikes above the store: what a
//! store makes of a broken connection is shown by a proxy in front of its server.

mod harness;
mod plan;
mod store;

pub use plan::{CallFault, Odds, Op};
pub use store::FaultStore;
