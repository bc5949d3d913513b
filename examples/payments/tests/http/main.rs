//! The payment service as its clients see it: the real binary, over real connections.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod input;
mod mysql;
mod postgres;
mod profiles;
mod redis;
mod sandbox;
mod scenarios;
mod service;
mod shutdown;
mod sqlite;
mod stripe;
mod tenants;
#[cfg(feature = "vectors")]
mod vectors;
