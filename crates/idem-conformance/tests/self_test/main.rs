//! The suite, tested: the reference store passes, broken stores do not, and faults strike as told.

mod broken;
mod fault_store;
mod history;
mod reference;
mod reference_passes;
mod world;
