//! idem-core.
