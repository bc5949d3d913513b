#![doc = include_str!("../README.md")]
//!
//! Say how to reach your store, and call [`suite!`]:
//!
//! ```
//! # mod my_store {
//! #     use std::{sync::Arc, time::Duration};
//! #     use idem_core::{RecordKey, store::*};
//! #     #[derive(Clone)] pub struct MyStore;
//! #     impl MyStore { pub fn open() -> Self { Self } }
//! #     #[async_trait::async_trait]
//! #     impl Store for MyStore {
//! #         async fn create(&self, _: &RecordKey, _: &Record, _: Duration) -> Result<Created, StoreError> { Ok(Created::New) }
//! #         async fn update(&self, _: &RecordKey, _: Version, _: &Record, _: Duration) -> Result<Updated, StoreError> { Ok(Updated::Done) }
//! #         async fn delete(&self, _: &RecordKey, _: Version) -> Result<Deleted, StoreError> { Ok(Deleted::Done) }
//! #         async fn get(&self, _: &RecordKey) -> Result<Option<Stored>, StoreError> { Ok(None) }
//! #     }
//! # }
//! # use my_store::MyStore;
//! use std::sync::Arc;
//! use idem_conformance::{Harness, async_trait};
//! use idem_core::store::Store;
//!
//! struct MyHarness;
//!
//! #[async_trait]
//! impl Harness for MyHarness {
//!     fn name(&self) -> String {
//!         "my store".to_owned()
//!     }
//!
//!     async fn store(&self) -> Arc<dyn Store> {
//!         Arc::new(MyStore::open())
//!     }
//! }
//!
//! async fn harness() -> MyHarness {
//!     MyHarness
//! }
//!
//! idem_conformance::suite!(harness);
//! ```
//!
//! # Which instrument shows what
//!
//! | instrument | what it alone catches |
//! |---|---|
//! | [`cases`] | one rule broken by one store, told by name |
//! | [`FaultStore`] | a caller that misreads a refused, lost, late or repeated call |
//! | [`history`] | an order of calls that no correct store, or no correct engine, can give, and that no case thought of |
//! | [`world`] | a promise of the engine broken by a combination of crashes, pauses, clock jumps and faults |
//!
//! What none of them shows is in [`NOT_SHOWN`], and below the table of every [`Report`].
//!
//! # Cases
//! Every case is a plain async function in [`cases`] and cites its rule in its name. A case that
//! needs what a harness does not offer (a server that restarts, a connection that can be cut) says
//! `skipped, because …` on the terminal, and stands as skipped in a report. A case that fails prints
//! its rule, what it saw, and an error with all its sources; one that hangs fails after five minutes
//! (times [`Harness::time_scale`]) and names the calls it waits for. Cases draw a scope of their own
//! at random, so they run side by side, on a server that others use as well.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod cases;
pub mod history;
pub mod world;

mod call;
mod capability;
mod case;
mod durations;
mod engine;
mod fault;
mod follow;
mod harness;
mod list;
mod report;
mod sample;
mod suite;

pub use async_trait::async_trait;

pub use capability::{Browsing, Corrupt, Fault, Faults, Fill, Restart, SteppedClock, Sweeping};
pub use case::{Case, Skipped, Verdict};
pub use durations::DURATIONS;
pub use fault::{CallFault, FaultStore, Odds, Op};
pub use harness::Harness;
pub use list::all;
pub use report::{CaseResult, NOT_SHOWN, Outcome, Report};
pub use suite::{IntoHarness, Missing};

#[doc(hidden)]
pub use suite::{RunCase, run_test, started};
