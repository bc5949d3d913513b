//! The world outside: what a job does to it stays done, whatever becomes of the worker.

mod archive;
mod bank;
mod courier;
mod printer;

use std::sync::Arc;

pub(crate) use archive::Archive;
pub(crate) use bank::Bank;
pub(crate) use courier::{Booking, Courier};
pub(crate) use printer::Printer;

/// All of it. Cheap to clone; clones are one world.
#[derive(Clone, Default)]
pub(crate) struct World {
    pub(crate) bank: Arc<Bank>,
    pub(crate) archive: Arc<Archive>,
    pub(crate) courier: Arc<Courier>,
    pub(crate) printer: Arc<Printer>,
}
