//! The locks and counters that threads meet at: the standard library's, or those of `shuttle` when
//! it is to try out how threads may take turns (`--cfg shuttle`).

#[cfg(shuttle)]
pub(crate) use shuttle::sync::{Mutex, MutexGuard, atomic::AtomicUsize};
#[cfg(not(shuttle))]
pub(crate) use std::sync::{Mutex, MutexGuard, atomic::AtomicUsize};
