//! Idempotency keys as a tower [`Layer`](tower_layer::Layer): for axum, hyper and anything tower.
//!
//! The first request with a key runs; every repeat gets the same status, headers and body, marked
//! `Idempotent-Replayed: true`; a different request under the same key is refused; two at once
//! never both run. A handler runs on a task of its own, so a client that hangs up cancels nothing.
//!
//! ```
//! use axum::{Extension, Router, routing::post};
//! use idem_core::{Idempotency, Running};
//! use idem_memory::MemoryStore;
//! use idem_tower::IdempotencyLayer;
//!
//! async fn pay(Extension(running): Extension<Running>) -> String {
//!     // A stable key to hand to the next API downstream.
//!     format!("charged under {:?}", running.derive_key("charge"))
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let idem = Idempotency::builder(MemoryStore::default()).build()?;
//! let layer = IdempotencyLayer::builder(idem).scope_global().build();
//! let app: Router = Router::new().route("/payments", post(pay)).route_layer(layer);
//! # Ok(()) }
//! ```
//!
//! # What a handler may do
//! - Find [`Running`](idem_core::Running) in the request's extensions: the attempt, the checkpoint
//!   of an execution that vanished, `derive_key`.
//! - Put an [`Ending`](idem_http::Ending) into the response's extensions, where its status does not
//!   tell whether the next request may run.
//! - Hand the transaction that it wrote in over to [`RecordWith`], where the layer was built with
//!   [`transactions`](Builder::transactions): it commits together with the stored answer, or not at
//!   all.
//!
//! # Where to put the layer
//! Inside of authentication, because the scope is the verified caller. Outside of whatever may
//! fail by itself, such as a timeout: an error of an inner service is stored as a 500, because the
//! effect may have happened. Compression goes outside, so that stored bodies fit every client.
//!
//! A handler goes on in a task of its own once it has to wait, where task-locals that an outer layer
//! set are not there any more. Set them in a layer inside of this one, or put what they hold into
//! the request's extensions. The current `tracing` span comes along.
//!
//! The path is part of a request's fingerprint. Where nested routers strip prefixes, turn on the
//! feature `axum`, or put [`RememberTarget`] outside of all routers.
//!
//! # Shutdown
//! Stop taking requests, then await [`Idempotency::drained`](idem_core::Idempotency::drained).

mod answer;
mod body;
mod config;
mod detached;
mod future;
mod gather;
mod layer;
mod protect;
mod record_with;
mod recording;
mod scope;
mod service;
mod target;

pub use body::{RequestBody, ResponseBody};
pub use future::ResponseFuture;
pub use layer::{Builder, IdempotencyLayer, NoScope, Scoped};
pub use record_with::{NotTaken, RecordWith};
pub use scope::Refusal;
pub use service::IdempotencyService;
pub use target::{RememberTarget, RememberTargetService, Target};

/// The README's examples run as doctests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
