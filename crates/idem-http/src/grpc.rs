//! gRPC: how a call ends is in `grpc-status` and not in the HTTP status, and a problem is an answer of
//! trailers alone.
//!
//! | | |
//! |---|---|
//! | [`Profile::grpc`](crate::Profile::grpc) | the preset for gRPC services |
//! | [`GrpcRules`], [`GrpcCode`] | which statuses are final, and which methods take a key |
//! | [`IDEMPOTENCY_PROBLEM`] | the metadata entry with the code of a problem |
//!
//! It needs no gRPC library. Sources: the gRPC protocol over HTTP/2 (`PROTOCOL-HTTP2.md`), status codes
//! as `google/rpc/code.proto` defines them, gRFC A6 for `grpc-retry-pushback-ms`.

mod answer;
mod code;
mod details;
pub(crate) mod messages;
mod rules;

pub(crate) use answer::{bare, disown, is_open, problem, replay};
pub use code::GrpcCode;
pub use rules::{GrpcRules, KeyRule};

use http::HeaderName;

/// The metadata entry with the [`Code`](crate::Code) of a problem, such as `in-flight`. A handler's own
/// status never has it.
pub const IDEMPOTENCY_PROBLEM: HeaderName = HeaderName::from_static("idempotency-problem");

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
pub(crate) const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");
