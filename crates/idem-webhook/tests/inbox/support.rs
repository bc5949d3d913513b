//! An inbox over a store that counts, and senders that sign.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue};
use idem_conformance::FaultStore;
use idem_core::{Idempotency, Policy};
use idem_memory::MemoryStore;
use idem_webhook::{BoxError, Delivery, Event, Inbox, Invalid, Verifier};
use sha2::Sha256;

/// The time of the example of Standard Webhooks.
pub(crate) const NOW: u64 = 1_614_265_330;
pub(crate) const STANDARD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub(crate) const STRIPE: &str = "whsec_stripe";
pub(crate) const GITHUB: &str = "It's a Secret to Everybody";

pub(crate) fn at(seconds: u64) -> impl Fn() -> SystemTime + Send + Sync + 'static {
    move || UNIX_EPOCH + Duration::from_secs(seconds)
}

/// An inbox, its store, and how often its handler ran.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) store: FaultStore<MemoryStore>,
    pub(crate) idem: Idempotency,
    pub(crate) runs: Arc<AtomicUsize>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Policy::default())
    }

    pub(crate) fn with(policy: Policy) -> Self {
        let store = FaultStore::new(MemoryStore::new());
        let idem = Idempotency::builder(store.clone()).policy(policy).build();
        Self {
            store,
            idem: idem.unwrap(),
            runs: Arc::default(),
        }
    }

    pub(crate) fn inbox(&self, verifier: Verifier) -> Inbox {
        Inbox::new(&self.idem, "sender", "endpoint", verifier.clock(at(NOW))).unwrap()
    }

    pub(crate) fn standard(&self) -> Inbox {
        self.inbox(Verifier::standard([STANDARD]).unwrap())
    }

    pub(crate) fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }

    /// A handler that counts and is successful.
    pub(crate) fn work(
        &self,
    ) -> impl Fn(Event) -> std::future::Ready<Result<(), BoxError>> + Clone + use<> {
        let runs = Arc::clone(&self.runs);
        move |_| {
            runs.fetch_add(1, Ordering::SeqCst);
            std::future::ready(Ok(()))
        }
    }
}

/// A delivery that Standard Webhooks signs now.
pub(crate) fn delivery(inbox: &Inbox, id: &str) -> Delivery {
    let (headers, body) = (signed(id, NOW, b"{}"), "{}");
    inbox.verify(&headers, body.into()).unwrap()
}

pub(crate) fn verify(
    verifier: &Verifier,
    headers: &HeaderMap,
    body: &str,
) -> Result<String, Invalid> {
    let verified = verifier.verify(headers, body.as_bytes())?;
    Ok(verified.id().as_str().to_owned())
}

pub(crate) fn hmac(secret: &[u8], signed: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(signed);
    mac.finalize().into_bytes().to_vec()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn headers<const N: usize>(lines: [(&'static str, &str); N]) -> HeaderMap {
    let line = |(name, value): (&'static str, &str)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        )
    };
    lines.into_iter().map(line).collect()
}

/// Signed as Standard Webhooks has it.
pub(crate) fn signed(id: &str, time: u64, body: &[u8]) -> HeaderMap {
    let secret = BASE64_STANDARD
        .decode(STANDARD.trim_start_matches("whsec_"))
        .unwrap();
    let content = [format!("{id}.{time}.").as_bytes(), body].concat();
    let signature = BASE64_STANDARD.encode(hmac(&secret, &content));
    headers([
        ("webhook-id", id),
        ("webhook-timestamp", &time.to_string()),
        ("webhook-signature", &format!("v1,{signature}")),
    ])
}

/// Signed as Stripe does, now.
pub(crate) fn by_stripe(body: &str) -> HeaderMap {
    let signature = hmac(STRIPE.as_bytes(), format!("{NOW}.{body}").as_bytes());
    let value = format!("t={NOW},v1={}", hex(&signature));
    headers([("stripe-signature", &value)])
}

/// Signed as GitHub does.
pub(crate) fn by_github(id: &str, body: &str) -> HeaderMap {
    let signature = hex(&hmac(GITHUB.as_bytes(), body.as_bytes()));
    headers([
        ("x-hub-signature-256", &format!("sha256={signature}")),
        ("x-github-delivery", id),
        ("x-github-event", "push"),
    ])
}
