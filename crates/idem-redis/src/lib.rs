//! idem-redis.
