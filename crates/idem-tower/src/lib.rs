#![doc = include_str!("../README.md")]
//!
//! # What a handler may do
//! - Find [`Context`](idem_core::Context) in the request's extensions: the attempt, the checkpoint
//!   of an execution that vanished, `derive_key`.
//! - Put a [`Disposition`] into the response's extensions, where its status does not tell whether the
//!   next request may run.
//! - Hand the transaction that it wrote in over to [`CommitWith`], where the layer was made with
//!   [`transactions`](IdempotencyLayer::transactions): it commits together with the stored answer, or
//!   not at all.
//!
//! # Where to put the layer
//! Inside of authentication, because the scope is the verified caller. Outside of whatever may
//! fail by itself, such as a timeout: its answer is stored, because the effect may have happened.
//! Compression and CORS go outside, because replays lack what they add for one client. On axum,
//! `post(pay).route_layer(layer)` answers other methods with 405 before the layer asks for a key.
//!
//! A handler goes on in a task of its own once it has to wait, where task-locals that an outer layer
//! set are not there any more. Set them in a layer inside of this one, or put what they hold into
//! the request's extensions. The current `tracing` span comes along.
//!
//! A handler that blocks its thread keeps its key as long as one other thread of the runtime is free to
//! renew it. Where all are blocked for longer than the lease, as one blocking call does to a runtime of
//! one thread, the key is taken over and the handler runs twice: move blocking calls to
//! `tokio::task::spawn_blocking`. A renewal that is late because of them is a warning in the log, and in
//! the histogram `idem_lease_used_ratio`.
//!
//! The path is part of a request's fingerprint, and nested routers strip prefixes from it. So the
//! layer needs a note of the original: turn on the feature `axum`, put [`RememberTarget`] outside of
//! all routers, or say [`PathFrom::AsSeen`] where nothing rewrites paths.
//!
//! # gRPC
//! With the feature `grpc`, `IdempotencyLayer::grpc` protects the services of a tonic server, or of any
//! other whose services are tower's.
//!
//! # Shutdown
//! Stop taking requests, then await [`Idempotency::wait_idle`](idem_core::Idempotency::wait_idle).
#![cfg_attr(docsrs, feature(doc_cfg))]

mod body;
mod future;
mod layer;
mod protect;
mod service;
mod target;

pub use body::{PassedOr, RequestBody, ResponseBody};
pub use future::ResponseFuture;
pub use idem_http::{
    CanonicalForm, CanonicalJson, Code, Disposition, ErrorFormat, FingerprintRules, Form,
    KeptHeaders, KeyHeader, Problem, Profile, StatusRules, StoredResponse,
    driver::{CommitWith, CutOff, NotTaken, PathFrom, Rejection, RouteKnobs, Target},
};
#[cfg(feature = "grpc")]
pub use idem_http::{GrpcCode, GrpcRules, KeyRule};
pub use layer::IdempotencyLayer;
pub use service::IdempotencyService;
pub use target::{RememberTarget, RememberTargetService};
