//! A proxy between a client and a server that breaks what it is told to break.

mod armed;
mod counts;
mod fault;
mod faulty;
mod listener;
mod relay;
mod wire;

pub use armed::Armed;
pub use counts::FaultCounts;
pub use fault::{Fault, Rule};
pub use faulty::FaultyProxy;
