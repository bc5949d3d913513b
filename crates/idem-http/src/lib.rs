#![doc = include_str!("../README.md")]
//!
//! | | |
//! |---|---|
//! | [`KeyHeader`] | reads the key: the draft's strict form, or bare keys as well |
//! | [`FingerprintRules`] | which parts of a request must not change under one key |
//! | [`CanonicalJson`], [`CanonicalForm`], [`canonical_multipart`] | one form for all spellings of a body |
//! | [`StatusRules`], [`Disposition`] | which answers are final, which let the next request run |
//! | [`StoredResponse`], [`KeptHeaders`] | what is kept of an answer, and its binary form |
//! | [`problem`], [`ErrorFormat`] | answers that do not come from the handler (RFC 9457, or as Stripe writes them) |
//! | [`Profile`] | all knobs, with presets |
//! | `grpc` | how calls end in gRPC (feature `grpc`) |
//! | `OpenApiFragment` | what a route says of itself in an OpenAPI document (feature `openapi`) |
//! | `driver` | the server's half for an integration to drive (feature `driver`) |
//! | [`client`] | the client's half: one key per intent, and when to send it again |
//!
//! `idem-tower` and `idem-actix` are thin shells over the driver, for tower services and for actix-web.
//! Sources: draft-ietf-httpapi-idempotency-key-header-07,
//! RFC 9651 (structured fields), RFC 9110 (HTTP), RFC 9457 (problem details), RFC 8785 (JCS).
#![cfg_attr(docsrs, feature(doc_cfg))]

mod canonical;
mod canonical_form;
mod canonical_json;
mod canonical_multipart;
pub mod client;
#[cfg(feature = "driver")]
pub mod driver;
mod fingerprint;
#[cfg(feature = "grpc")]
pub mod grpc;
mod headers;
mod key_header;
mod knobs;
mod media_type;
#[cfg(feature = "openapi")]
mod openapi;
pub mod problem;
mod profile;
mod status;
mod stored;
mod stripe;

pub use canonical::NotCanonical;
pub use canonical_form::CanonicalForm;
pub use canonical_json::{CanonicalJson, InvalidPointer};
pub use canonical_multipart::canonical_multipart;
pub use fingerprint::{FingerprintRules, RequestParts, UnstableHeader};
#[cfg(feature = "grpc")]
pub use grpc::{GrpcCode, GrpcRules, KeyRule};
pub use headers::{
    IDEMPOTENCY_DEGRADED, IDEMPOTENCY_DISPOSITION, IDEMPOTENT_REPLAY_BODY, IDEMPOTENT_REPLAYED,
    KeptHeaders,
};
pub use key_header::{Form, IDEMPOTENCY_KEY, KeyHeader, Malformed, parse as parse_key};
#[cfg(feature = "openapi")]
pub use openapi::OpenApiFragment;
pub use problem::{Code, ErrorFormat, NotAbsolute, Problem};
pub use profile::Profile;
pub use status::{Disposition, StatusRules};
pub use stored::{FORMAT as STORED_FORMAT, StoredBody, StoredError, StoredResponse, encode_answer};
