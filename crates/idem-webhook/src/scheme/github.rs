//! GitHub: `X-Hub-Signature-256`, `X-GitHub-Delivery`, `X-GitHub-Event`.

use http::HeaderMap;

use super::{Claimed, hex, malformed, one};
use crate::Invalid;

const SIGNATURE: &str = "x-hub-signature-256";

/// The delivery's id, the event's name, and the body alone, signed. Neither the id nor the name is.
pub(crate) fn github(headers: &HeaderMap) -> Result<(&str, &str, Claimed<'_>), Invalid> {
    let signature = one(headers, SIGNATURE)?;
    let signature = signature.strip_prefix("sha256=").and_then(hex);
    let signature = signature.ok_or_else(|| malformed(SIGNATURE, "is not `sha256=` and hex"))?;
    let claimed = Claimed {
        prefix: Vec::new(),
        signatures: vec![signature],
        timestamp: None,
    };
    let id = one(headers, "x-github-delivery")?;
    Ok((id, one(headers, "x-github-event")?, claimed))
}
