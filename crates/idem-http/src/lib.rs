//! The HTTP semantics of idempotency keys, over the `http` crate: no framework, no body type.
//!
//! | | |
//! |---|---|
//! | [`KeyHeader`] | reads the key: the draft's strict form, or bare keys as well |
//! | [`FingerprintRules`] | what makes two requests the same; JSON by its canonical form if wanted |
//! | [`StatusRules`], [`Disposition`] | which answers are final, which let the next request run |
//! | [`StoredResponse`], [`KeptHeaders`] | what is kept of an answer, and its binary form |
//! | [`problem`] | what a client is told instead of an answer (RFC 9457) |
//! | [`Profile`] | all knobs, with presets |
//! | `driver` | the server's half for an integration to drive (feature `driver`) |
//! | [`client`] | the client's half: one key per intent, and when to send it again |
//!
//! `idem-tower` is a thin shell over the driver, for tower services. Sources: draft-ietf-httpapi-idempotency-key-header-07,
//! RFC 9651 (structured fields), RFC 9110 (HTTP), RFC 9457 (problem details), RFC 8785 (JCS).

mod canonical_json;
pub mod client;
#[cfg(feature = "driver")]
pub mod driver;
mod fingerprint;
mod headers;
mod key_header;
mod knobs;
pub mod problem;
mod profile;
mod status;
mod stored;

pub use canonical_json::{CanonicalJson, NotCanonical};
pub use fingerprint::{BodyForm, FingerprintRules, Part, RequestParts};
pub use headers::{
    IDEMPOTENCY_DEGRADED, IDEMPOTENCY_DISPOSITION, IDEMPOTENT_REPLAY_BODY, IDEMPOTENT_REPLAYED,
    KeptHeaders,
};
pub use key_header::{Form, IDEMPOTENCY_KEY, KeyHeader, Malformed, parse as parse_key};
pub use problem::{Code, Problem};
pub use profile::Profile;
pub use status::{Disposition, StatusRules};
pub use stored::{FORMAT as STORED_FORMAT, StoredBody, StoredError, StoredResponse, encode_answer};
