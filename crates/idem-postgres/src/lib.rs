//! idem-postgres.
