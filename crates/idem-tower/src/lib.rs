//! idem-tower.
