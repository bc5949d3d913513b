#![doc = include_str!("../README.md")]
//!
//! # What a handler may do
//! - Take [`Running`]: the attempt, the checkpoint of an execution that vanished, `derive_key`.
//! - Put a [`Disposition`] into the response's extensions, where its status does not tell whether the
//!   next request may run.
//! - Take [`CommitWith`] and hand over the transaction that it wrote in, where the middleware was made
//!   with [`transactions`](IdempotencyMiddleware::transactions): it commits together with the stored
//!   answer, or not at all.
//!
//! # Where to wrap
//! Inside of authentication, because the scope is the verified caller: of two `wrap`s, the later one is
//! outside. Outside of whatever may fail by itself, such as a timeout: its answer is stored, because
//! the effect may have happened. Compression and CORS go outside, because replays lack what they add
//! for one client. Around a resource, a method that it does not have is refused only after the
//! middleware asked for a key; `web::post().to(pay).wrap(…)` on the route is asked about no other
//! method.
//!
//! An error that a middleware further in returns is an answer like any other: it is stored, or lets
//! the next request run, by its status.
//!
//! The path that counts is the request's URI, which actix-web's scopes leave as the client sent it. A
//! middleware of your own that rewrites URIs leaves the original in the request's extensions, as a
//! [`Target`].
//!
//! # Where an answer is an error
//! actix-web gives the request away to the handler, and a middleware needs it for an answer. Where a
//! handler panics or is stopped, the middleware returns an error that is made into the answer at the
//! end of the chain: a middleware further out sees an `Err`.
//!
//! # Workers and shutdown
//! Handlers stay on the worker that began them, which is one thread: a handler that blocks it may keep
//! its own lease from being renewed, so block in `web::block`. actix-web does not tell a handler that its
//! client is gone, so [`abandoned_limit`](Profile::abandoned_limit) counts nothing here: bound
//! connections and requests in front.
//!
//! A worker that stops drops the handlers whose client is gone, and their keys are abandoned. To let
//! them end first, stop taking connections, await
//! [`Idempotency::wait_idle`](idem_core::Idempotency::wait_idle) for as long as you can wait (connections
//! that are open may bring further requests), and stop the workers then:
//!
//! ```no_run
//! # async fn example(server: actix_web::dev::Server, idem: idem_core::Idempotency) {
//! let server = server; // HttpServer::new(…).disable_signals().bind(…)?.run()
//! let handle = server.handle();
//! let serving = actix_web::rt::spawn(server);
//! let _ = actix_web::rt::signal::ctrl_c().await;
//! handle.pause().await;
//! let idle = std::time::Duration::from_secs(20);
//! let _ = actix_web::rt::time::timeout(idle, idem.wait_idle()).await;
//! handle.stop(true).await;
//! let _ = serving.await;
//! # }
//! ```
//!
//! # Trailers
//! actix-web has no trailers. Those of a stored answer, which another framework may have given, are
//! left out.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod body;
mod convert;
mod extract;
mod middleware;
mod protect;
mod rejection;
mod service;

pub use extract::{CommitWith, NotTaken, Running};
pub use idem_http::{
    CanonicalForm, CanonicalJson, Code, Disposition, ErrorFormat, FingerprintRules, Form,
    KeptHeaders, KeyHeader, Problem, Profile, StatusRules, StoredResponse,
    driver::{CutOff, RouteKnobs, Target},
};
pub use middleware::IdempotencyMiddleware;
pub use rejection::Rejection;
pub use service::IdempotencyService;
