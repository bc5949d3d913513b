//! The cases, grouped by what they are about. Each states one clause and cites its rule.
//!
//! A case panics when the store breaks the rule and returns [`Skipped`](crate::Skipped) when the
//! harness lacks what it needs.

pub mod capacity;
pub mod create;
pub mod delete;
pub mod dropped;
pub mod engine;
pub mod faults;
pub mod fidelity;
pub mod keys;
pub mod load;
pub mod optional;
pub mod restart;
pub mod size;
pub mod time;
pub mod update;
pub mod version;
