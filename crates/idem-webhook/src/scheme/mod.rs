//! The schemes: which headers a delivery has, and what is signed.

mod github;
mod standard;
mod stripe;

use http::HeaderMap;

pub(crate) use self::{github::github, standard::Names, standard::standard, stripe::stripe};
use crate::Invalid;

/// What a delivery's headers claim, not verified yet.
pub(crate) struct Claimed<'a> {
    /// What is signed in front of the body.
    pub(crate) prefix: Vec<&'a [u8]>,
    pub(crate) signatures: Vec<Vec<u8>>,
    /// Seconds since 1970, where the scheme has it.
    pub(crate) timestamp: Option<u64>,
}

/// The header's value, where it is there once, in ASCII.
fn one<'a>(headers: &'a HeaderMap, header: &'static str) -> Result<&'a str, Invalid> {
    let mut lines = headers.get_all(header).iter();
    let value = match (lines.next(), lines.next()) {
        (None, _) => return Err(Invalid::HeaderMissing(header)),
        (Some(value), None) => value,
        (Some(_), Some(_)) => return Err(malformed(header, "is there twice")),
    };
    value
        .to_str()
        .map_err(|_| malformed(header, "has characters outside of ASCII"))
}

fn malformed(header: &'static str, why: &'static str) -> Invalid {
    Invalid::HeaderMalformed { header, why }
}

/// Digits and nothing else: a sign or a space would be signed as it stands, and read another way.
fn seconds(text: &str, header: &'static str) -> Result<u64, Invalid> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = text.parse().ok().filter(|_| digits);
    parsed.ok_or_else(|| malformed(header, "has no time in whole seconds"))
}

/// The bytes of lower-case or upper-case hexadecimal digits.
fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| (byte as char).to_digit(16);
    let pair = |pair: &[u8]| u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok();
    digits.chunks_exact(2).map(pair).collect()
}
