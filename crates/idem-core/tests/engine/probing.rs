//! Probers that break down: a key in doubt stays in doubt, and its caller is told so.

use async_trait::async_trait;
use idem_core::{Abandonment, OnAbandoned, OnBusy, ProbeResult, Prober, Refused};
use tokio::time::Instant;

use super::*;

#[derive(Clone, Copy)]
enum Broken {
    Panics,
    Hangs,
}

#[async_trait]
impl Prober for Broken {
    async fn probe(&self, _: &Abandonment) -> ProbeResult {
        match self {
            Self::Panics => panic!("the ledger is not as it was"),
            Self::Hangs => std::future::pending().await,
        }
    }
}

/// What a claim of an abandoned key says, and how long it takes.
async fn claim_with(prober: Broken, on_busy: OnBusy) -> Duration {
    let store = ScriptedStore::default();
    let policy = Policy::default()
        .on_abandoned(OnAbandoned::probe(prober))
        .on_busy(on_busy);
    let idem = with(&store, policy);
    drop(acquire(&idem, "k").await);
    tokio::time::advance(LEASE).await;
    let before = store.record(&key("k"));
    let start = Instant::now();
    let claim = idem.claim(&key("k"), &print("a")).await.unwrap();
    assert!(
        matches!(claim, Claim::Refused(Refused::Abandoned { attempt: 1 })),
        "{claim:?}"
    );
    assert_eq!(store.record(&key("k")), before);
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_prober_that_panics_says_unknown() {
    assert_eq!(
        claim_with(Broken::Panics, OnBusy::Reject).await,
        Duration::ZERO
    );
}

#[tokio::test(start_paused = true)]
async fn a_prober_that_hangs_says_unknown_after_a_lease() {
    for on_busy in [OnBusy::Reject, OnBusy::Wait(Duration::from_secs(5))] {
        let took = claim_with(Broken::Hangs, on_busy).await;
        assert!(took <= LEASE + Duration::from_millis(1), "{took:?}");
    }
}
