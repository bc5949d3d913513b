//! gRPC: a tonic client over HTTP/2, a tonic server, and the layer between them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod client;
mod client_layer;
mod fingerprint;
mod key;
mod lifetime;
mod nested;
mod refusals;
mod replay;
mod shop;
mod statuses;
mod streams;
mod transaction;

#[allow(dead_code, unreachable_pub, reason = "shared with the tests over HTTP")]
#[path = "../support/outage.rs"]
mod outage;
