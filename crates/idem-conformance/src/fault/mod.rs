//! Faults for stores in the same process: [`FaultStore`], what it does to a call, and when.

mod harness;
mod plan;
mod store;

pub use plan::{CallFault, Odds, Op};
pub use store::FaultStore;
