//! What is done to servers, connections and workers, and when.

mod kind;
mod schedule;

pub(crate) use kind::Kind;
pub(crate) use schedule::{Schedule, Strike};
