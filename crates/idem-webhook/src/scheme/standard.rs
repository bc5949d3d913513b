//! Standard Webhooks 1.0: `webhook-id`, `webhook-timestamp`, `webhook-signature`.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::HeaderMap;

use super::{Claimed, malformed, one, seconds};
use crate::Invalid;

/// The names of the headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) id: &'static str,
    pub(crate) timestamp: &'static str,
    pub(crate) signature: &'static str,
}

impl Names {
    pub(crate) const STANDARD: Self = Self {
        id: "webhook-id",
        timestamp: "webhook-timestamp",
        signature: "webhook-signature",
    };
    pub(crate) const SVIX: Self = Self {
        id: "svix-id",
        timestamp: "svix-timestamp",
        signature: "svix-signature",
    };
}

/// The id, and `id.timestamp.body` signed by each `v1,` among the signatures.
pub(crate) fn standard<'a>(
    names: Names,
    headers: &'a HeaderMap,
) -> Result<(&'a str, Claimed<'a>), Invalid> {
    let id = one(headers, names.id)?;
    let timestamp = one(headers, names.timestamp)?;
    let signatures = one(headers, names.signature)?.split(' ');
    let signatures: Vec<_> = signatures
        .filter_map(|signature| BASE64_STANDARD.decode(signature.strip_prefix("v1,")?).ok())
        .collect();
    if signatures.is_empty() {
        return Err(malformed(names.signature, "has no `v1,` signature"));
    }
    let claimed = Claimed {
        prefix: vec![id.as_bytes(), b".", timestamp.as_bytes(), b"."],
        signatures,
        timestamp: Some(seconds(timestamp, names.timestamp)?),
    };
    Ok((id, claimed))
}
