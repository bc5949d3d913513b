//! Stripe: `Stripe-Signature: t=…,v1=…`.

use http::HeaderMap;

use super::{Claimed, hex, malformed, one, seconds};
use crate::Invalid;

const HEADER: &str = "stripe-signature";

/// `t.body`, signed by each `v1`. Other schemes than `v1`, such as `v0` of test deliveries, prove
/// nothing.
pub(crate) fn stripe(headers: &HeaderMap) -> Result<Claimed<'_>, Invalid> {
    let (mut time, mut signatures) = (None, Vec::new());
    for part in one(headers, HEADER)?.split(',') {
        match part.trim().split_once('=') {
            Some(("t", _)) if time.is_some() => return Err(malformed(HEADER, "has two times")),
            Some(("t", value)) => time = Some(value),
            Some(("v1", value)) => signatures.extend(hex(value)),
            _ => {}
        }
    }
    let time = time.ok_or_else(|| malformed(HEADER, "has no `t`"))?;
    if signatures.is_empty() {
        return Err(malformed(HEADER, "has no `v1` signature"));
    }
    Ok(Claimed {
        prefix: vec![time.as_bytes(), b"."],
        signatures,
        timestamp: Some(seconds(time, HEADER)?),
    })
}
