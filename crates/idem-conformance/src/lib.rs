//! idem-conformance.
