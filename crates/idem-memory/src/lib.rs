//! idem-memory.
