//! Histories: what was called and answered when, and whether it can be explained.
//!
//! They alone catch a wrong order of calls that no case thought of: a case asserts the outcome of calls
//! that it chose, a history is checked whatever was called.
//!
//! A [`History`] collects calls from any number of tasks. [`check`] searches for one order of them
//! that a [`Model`] allows and that keeps to real time: a call takes effect at one moment between
//! its invocation and its reply (linearizability, Herlihy and Wing 1990; the search is Wing and
//! Gong's with Lowe's cache of visited configurations). A call whose reply was lost is *unknown*:
//! it may have taken effect at any time after its invocation, or never. It is never taken for
//! *not applied*.
//!
//! Two models are here: [`Register`], what a [`Store`](idem_core::store::Store) keeps of one key, with
//! [`RecordingStore`] to collect its history; and [`Executions`], what the engine promises of one
//! key.

mod check;
mod done;
mod executions;
mod key_call;
mod record;
mod recording_store;
mod register;

pub use check::{Limit, Model, Violation, check};
pub use executions::{Executions, Lapsed, Stage, Stand};
pub use key_call::{KeyCall, KeyReply};
pub use record::{Call, History, Pending};
pub use recording_store::RecordingStore;
pub use register::{Imprint, Kept, Register, StoreCall, StoreReply};
