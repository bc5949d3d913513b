//! idem-testbed.
