#![doc = include_str!("../README.md")]
//!
//! # Who may see and act
//! The router has no login. Put it behind yours: whoever reaches it sees scopes, keys and what was done to
//! them by hand, and never an answer. [`Console::authorise`] says who may act; without it, or where it
//! says nobody, the page only shows. A change has to come from the page's own origin, as JSON.
//!
//! # What it costs
//! The page reads the store's records, however many look at it, once in two seconds or, where that takes
//! long, a sixth of the time; and nothing while nobody looks. [`Console::most_records`] bounds it.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod console;
pub mod operate;
mod overview;
mod router;

pub use console::Console;
