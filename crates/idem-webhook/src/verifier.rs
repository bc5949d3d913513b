//! [`Verifier`]: whether a delivery comes from its sender.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::HeaderMap;
use idem_core::{Fingerprint, IdempotencyKey};
use serde::Deserialize;

use crate::{
    Invalid, SecretError,
    scheme::{Claimed, Names, github, standard, stripe},
    secrets::Secrets,
};

/// How far a timestamp may be from this machine's time where nothing else is said: five minutes, as
/// Stripe and Standard Webhooks have it.
const TOLERANCE: Duration = Duration::from_secs(300);

/// Tells whether a delivery comes from its sender, by one scheme and the secrets shared with it.
///
/// It takes the body's bytes as they came, before any parsing. Give several secrets while a secret
/// is rotated.
///
/// ```
/// use http::HeaderMap;
/// use idem_webhook::Verifier;
///
/// // An example of Standard Webhooks.
/// let verifier = Verifier::standard(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])?
///     .clock(|| std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_614_265_330));
/// let mut headers = HeaderMap::new();
/// headers.insert("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek".parse()?);
/// headers.insert("webhook-timestamp", "1614265330".parse()?);
/// headers.insert("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".parse()?);
///
/// let verified = verifier.verify(&headers, br#"{"test": 2432232314}"#)?;
/// assert_eq!(verified.id().as_str(), "msg_p5jXN8AQM9LWM0D4loKWxJek");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Verifier {
    scheme: Scheme,
    secrets: Secrets,
    tolerance: Duration,
    now: Arc<dyn Fn() -> SystemTime + Send + Sync>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Standard(Names),
    Stripe,
    GitHub,
}

/// A delivery that comes from its sender.
#[derive(Debug, Clone)]
pub struct Verified {
    pub(crate) id: IdempotencyKey,
    pub(crate) kind: Option<String>,
    pub(crate) fingerprint: Fingerprint,
}

impl Verified {
    /// The event's id, which is the same in every delivery of it.
    #[must_use]
    pub fn id(&self) -> &IdempotencyKey {
        &self.id
    }

    /// The event's name, where a header has it: GitHub's `X-GitHub-Event`, such as `push`.
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        self.kind.as_deref()
    }
}

impl Verifier {
    fn new(scheme: Scheme, secrets: Secrets) -> Self {
        Self {
            scheme,
            secrets,
            tolerance: TOLERANCE,
            now: Arc::new(SystemTime::now),
        }
    }

    /// Standard Webhooks 1.0, symmetric (`v1`). Secrets are base64, with or without `whsec_` in
    /// front. The event's id is `webhook-id`.
    ///
    /// # Errors
    /// [`SecretError`] for no secret, an empty one, or one that is not base64.
    pub fn standard<S: AsRef<str>>(
        secrets: impl IntoIterator<Item = S>,
    ) -> Result<Self, SecretError> {
        let secrets = Secrets::of_base64(secrets)?;
        Ok(Self::new(Scheme::Standard(Names::STANDARD), secrets))
    }

    /// [`standard`](Self::standard) with the header names of Svix (`svix-id` and so on), which many
    /// senders use still.
    ///
    /// # Errors
    /// As [`standard`](Self::standard).
    pub fn svix<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Result<Self, SecretError> {
        let secrets = Secrets::of_base64(secrets)?;
        Ok(Self::new(Scheme::Standard(Names::SVIX), secrets))
    }

    /// Stripe, with the endpoint's whole signing secret (`whsec_…`). The event's id is the body's
    /// `id` (`evt_…`).
    ///
    /// # Errors
    /// [`SecretError`] for no secret or an empty one.
    pub fn stripe<S: AsRef<str>>(
        secrets: impl IntoIterator<Item = S>,
    ) -> Result<Self, SecretError> {
        Ok(Self::new(Scheme::Stripe, Secrets::of_text(secrets)?))
    }

    /// GitHub, with the secret of the hook. The event's id is `X-GitHub-Delivery`.
    ///
    /// GitHub signs the body alone, without a time: whoever can read a delivery can send it again
    /// under an id of their own. TLS keeps deliveries from being read; a handler for which a repeat
    /// would do harm should look at what the body names as well.
    ///
    /// # Errors
    /// [`SecretError`] for no secret or an empty one.
    pub fn github<S: AsRef<str>>(
        secrets: impl IntoIterator<Item = S>,
    ) -> Result<Self, SecretError> {
        Ok(Self::new(Scheme::GitHub, Secrets::of_text(secrets)?))
    }

    /// How far a delivery's timestamp may be from this machine's time, in either direction; five
    /// minutes by default. GitHub's deliveries have none.
    ///
    /// A sender signs each delivery anew, so that one that is delivered again after hours is fresh.
    #[must_use]
    pub fn tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Reads the time here, for tests.
    #[must_use]
    pub fn clock(mut self, now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.now = Arc::new(now);
        self
    }

    /// Whether these headers sign these bytes, now.
    ///
    /// # Errors
    /// [`Invalid`]: what is wrong, and the status to answer with.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<Verified, Invalid> {
        match self.scheme {
            Scheme::Standard(names) => {
                let (id, claimed) = standard(names, headers)?;
                self.check(&claimed, body)?;
                verified(id, None, &[])
            }
            Scheme::Stripe => {
                self.check(&stripe(headers)?, body)?;
                let event: StripeEvent =
                    serde_json::from_slice(body).map_err(|_| Invalid::IdMissing)?;
                verified(&event.id, None, &[])
            }
            Scheme::GitHub => {
                let (id, kind, claimed) = github(headers)?;
                self.check(&claimed, body)?;
                verified(id, Some(kind), body)
            }
        }
    }

    fn check(&self, claimed: &Claimed<'_>, body: &[u8]) -> Result<(), Invalid> {
        let mut parts = claimed.prefix.clone();
        parts.push(body);
        if !self.secrets.signed(&parts, &claimed.signatures) {
            return Err(Invalid::SignatureWrong);
        }
        claimed.timestamp.map_or(Ok(()), |at| self.is_fresh(at))
    }

    fn is_fresh(&self, seconds: u64) -> Result<(), Invalid> {
        let now = (self.now)().duration_since(UNIX_EPOCH).unwrap_or_default();
        let signed = Duration::from_secs(seconds);
        let apart = now.abs_diff(signed);
        // A sender's seconds are whole.
        match apart.as_secs() > self.tolerance.as_secs() {
            true => Err(Invalid::TimestampRefused {
                is_old: signed < now,
                apart: Duration::from_secs(apart.as_secs()),
                tolerance: self.tolerance,
            }),
            false => Ok(()),
        }
    }
}

#[derive(Deserialize)]
struct StripeEvent {
    id: String,
}

/// Where the id is signed, it alone says which event it is: a repeat may differ in its body, as
/// Stripe's does in `pending_webhooks`. Where it is not, the body has to be the same.
fn verified(id: &str, kind: Option<&str>, unsigned: &[u8]) -> Result<Verified, Invalid> {
    Ok(Verified {
        id: IdempotencyKey::new(id).map_err(Invalid::IdRefused)?,
        kind: kind.map(str::to_owned),
        fingerprint: Fingerprint::of("idem-webhook/v1", unsigned),
    })
}

impl fmt::Debug for Verifier {
    /// Without the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("scheme", &self.scheme)
            .field("tolerance", &self.tolerance)
            .finish_non_exhaustive()
    }
}
