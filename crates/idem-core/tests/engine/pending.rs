use idem_core::{Recording, StoreErrorKind};

use super::{
    store::{Fault, Op},
    *,
};

/// An ending that goes on in the background over an outage, and when the store was asked.
async fn asked_over_an_outage(lease: Duration) -> Vec<tokio::time::Instant> {
    let store = ScriptedStore::default();
    let idem = with(&store, Policy::default().lease(lease));
    let execution = acquire(&idem, "k").await;
    store.down(StoreErrorKind::Unavailable);
    let ending = execution.complete("ok").await;
    assert_eq!(ending, Ok(Recording::Pending));
    let in_the_foreground = store.calls(Op::Update);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let asked = store.times(Op::Update)[in_the_foreground..].to_vec();
    store.up();
    idem.drained().await;
    assert_eq!(&replayed(&idem, "k").await[..], b"ok");
    asked
}

/// The key would be free for others otherwise as soon as the store is back.
#[tokio::test(start_paused = true)]
async fn g1_a_pending_ending_asks_three_times_per_lease() {
    let lease = Duration::from_millis(300);
    let asked = asked_over_an_outage(lease).await;
    assert!(asked.len() > 100);
    let pauses = asked.windows(2).map(|pair| pair[1] - pair[0]);
    // Timers count whole milliseconds.
    let longest = lease / 3 + Duration::from_millis(1);
    assert!(pauses.into_iter().all(|pause| pause <= longest));
}

/// Each time a renewal and the ending, because no write has landed for a third of the lease.
#[tokio::test(start_paused = true)]
async fn a_pending_ending_is_tried_at_least_every_second() {
    let mut asked = asked_over_an_outage(LEASE).await;
    let calls = asked.len();
    asked.dedup();
    assert_eq!(calls, asked.len() * 2);
    let pauses = asked.windows(2).map(|pair| pair[1] - pair[0]);
    let mut pauses = pauses.skip_while(|pause| *pause < Duration::from_millis(400));
    assert!(pauses.all(|pause| pause <= Duration::from_millis(1001)));
}

#[tokio::test(start_paused = true)]
async fn g5_a_release_after_a_renewal_that_went_unnoticed_is_a_release() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    let execution = acquire(&idem, "k").await;
    store.fault(Op::Update, Fault::ApplyAndHang);
    tokio::time::timeout(Duration::from_millis(10), execution.renew())
        .await
        .unwrap_err();
    assert_eq!(execution.release().await, Ok(Recording::Stored));
    assert_eq!(store.record(&key("k")), None);
}
