//! [`KeyForm`]: how a key is spelled in a request.

use http::{HeaderMap, HeaderName, HeaderValue};
use idem_core::IdempotencyKey;

use crate::{Form, KeyHeader, Malformed, parse_key};

/// How a key is spelled in a request.
///
/// A server that compares the header's bytes takes `K` and `"K"` for two keys, and runs both. So
/// choose one form for a server and keep it: a change of form counts as a second key there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum KeyForm {
    /// A header that the caller set stays as it is, byte for byte. Other keys are quoted. This is
    /// the default.
    #[default]
    AsGiven,
    /// `"K"`, as draft-ietf-httpapi-idempotency-key-header-07, §2.1, has it.
    Quoted,
    /// `K`, as Stripe and most other APIs document it.
    Bare,
}

impl KeyForm {
    /// Puts the key into the headers.
    pub(super) fn sign(
        self,
        name: &HeaderName,
        key: &IdempotencyKey,
        headers: &mut HeaderMap,
    ) -> Result<(), Malformed> {
        let value = match self {
            Self::AsGiven if is_given(name, key, headers) => return Ok(()),
            Self::AsGiven | Self::Quoted => KeyHeader::write(key)?,
            Self::Bare => bare(key)?,
        };
        headers.insert(name.clone(), value);
        Ok(())
    }
}

/// Whether the headers have this key already, in whatever form.
fn is_given(name: &HeaderName, key: &IdempotencyKey, headers: &HeaderMap) -> bool {
    let header = KeyHeader {
        name: name.clone(),
        form: Form::Lenient,
    };
    header
        .read(headers)
        .is_ok_and(|given| given.as_ref() == Some(key))
}

fn bare(key: &IdempotencyKey) -> Result<HeaderValue, Malformed> {
    match parse_key(key.as_str().as_bytes(), Form::Lenient) {
        Ok(read) if read == *key => {
            HeaderValue::from_str(key.as_str()).map_err(|_| Malformed::Characters)
        }
        _ => Err(Malformed::Characters),
    }
}
