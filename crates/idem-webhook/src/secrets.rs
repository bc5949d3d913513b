//! [`Secrets`]: the keys that a sender may sign with.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// A secret that nothing can be verified with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// There is none.
    #[error("no secret was given: every delivery would be refused")]
    None,
    /// One is empty. Whoever knows that could sign.
    #[error("a secret is empty; is its environment variable set?")]
    Empty,
    /// One is not base64, as Standard Webhooks has it.
    #[error("a secret is not base64 after its `whsec_`")]
    NotBase64,
}

/// The keys that a sender may sign with: one, or several while they are rotated.
#[derive(Clone)]
pub(crate) struct Secrets(Vec<Hmac<Sha256>>);

impl Secrets {
    /// Secrets whose characters are the key.
    pub(crate) fn of_text<S: AsRef<str>>(
        secrets: impl IntoIterator<Item = S>,
    ) -> Result<Self, SecretError> {
        Self::of(secrets, |secret| Ok(secret.as_bytes().to_vec()))
    }

    /// Secrets that are base64, with or without `whsec_` in front.
    pub(crate) fn of_base64<S: AsRef<str>>(
        secrets: impl IntoIterator<Item = S>,
    ) -> Result<Self, SecretError> {
        Self::of(secrets, |secret| {
            let secret = secret.strip_prefix("whsec_").unwrap_or(secret);
            BASE64_STANDARD
                .decode(secret)
                .map_err(|_| SecretError::NotBase64)
        })
    }

    fn of<S: AsRef<str>>(
        secrets: impl IntoIterator<Item = S>,
        key: impl Fn(&str) -> Result<Vec<u8>, SecretError>,
    ) -> Result<Self, SecretError> {
        let macs = secrets.into_iter().map(|secret| {
            let key = key(secret.as_ref())?;
            match key.is_empty() {
                true => Err(SecretError::Empty),
                false => Hmac::new_from_slice(&key).map_err(|_| SecretError::Empty),
            }
        });
        let macs: Vec<_> = macs.collect::<Result<_, _>>()?;
        match macs.is_empty() {
            true => Err(SecretError::None),
            false => Ok(Self(macs)),
        }
    }

    /// Whether one of the signatures is that of the parts, put together, under one of the secrets.
    ///
    /// Each comparison takes constant time, and all are made.
    pub(crate) fn signed(&self, parts: &[&[u8]], signatures: &[Vec<u8>]) -> bool {
        let mut fits = false;
        for secret in &self.0 {
            let mut mac = secret.clone();
            parts.iter().for_each(|part| mac.update(part));
            for signature in signatures {
                fits |= mac.clone().verify_slice(signature).is_ok();
            }
        }
        fits
    }
}
