//! The suite is itself tested: each of these stores breaks a rule on purpose, and the case named
//! beside it catches it.

mod calls;
mod content;
mod creates;
mod flaw;
mod harness;
mod matrix;
mod optional;
mod store;

pub(crate) use flaw::Flaw;
pub(crate) use harness::Broken;
