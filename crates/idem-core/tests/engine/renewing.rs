use idem_core::{Failure, Outcome, Refused, error::ExecuteError, spi::Ran, store::StoreErrorKind};

use super::{
    store::{Fault, Op},
    *,
};

async fn sleep_for(
    idem: &Idempotency,
    time: Duration,
) -> Result<Outcome<u32>, ExecuteError<String>> {
    idem.execute(&key("k"), &print("a"), async move |running| {
        tokio::time::sleep(time).await;
        Ok::<_, Failure<String>>(running.attempt())
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn g1_long_work_is_renewed_at_a_third_of_the_lease() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    assert_eq!(
        sleep_for(&idem, LEASE * 3 + LEASE / 2).await.unwrap().value,
        1
    );
    assert_eq!(
        store.calls(Op::Update),
        10 + 1,
        "ten renewals and the completion"
    );
}

#[tokio::test(start_paused = true)]
async fn g1_nobody_takes_over_from_a_holder_that_renews() {
    let store = ScriptedStore::default();
    let (idem, other) = (engine(&store), engine(&store));
    let work = tokio::spawn(async move { sleep_for(&idem, LEASE * 5).await });
    for _ in 0..14 {
        tokio::time::sleep(LEASE / 3).await;
        let claim = other.claim(&key("k"), &print("a")).await.unwrap();
        assert!(matches!(claim, Claim::Refused(Refused::InFlight { .. })));
    }
    assert!(!work.await.unwrap().unwrap().replayed);
}

#[tokio::test(start_paused = true)]
async fn work_goes_on_while_the_store_is_away_and_still_completes() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    let outage = store.clone();
    tokio::spawn(async move {
        tokio::time::sleep(LEASE / 6).await;
        outage.down(StoreErrorKind::Unknown);
        tokio::time::sleep(LEASE * 2).await;
        outage.up();
    });
    assert_eq!(sleep_for(&idem, LEASE * 3).await.unwrap().value, 1);
    assert_eq!(&replayed(&idem, "k").await[..], b"1");
}

#[tokio::test(start_paused = true)]
async fn g3_a_renewal_that_learns_of_a_take_over_stops_the_work() {
    let store = ScriptedStore::default();
    let (idem, other) = (engine(&store), engine(&store.other_process()));
    // The holder's renewals hang until its lease is over: a partition.
    for _ in 0..7 {
        store.fault(Op::Update, Fault::Hang);
    }
    let work = tokio::spawn(async move { sleep_for(&idem, LEASE * 100).await });
    tokio::time::sleep(LEASE).await;
    let holder = acquire(&other, "k").await;
    assert_eq!(holder.attempt(), 2);
    let stopped = tokio::time::Instant::now();
    assert!(matches!(work.await.unwrap(), Err(ExecuteError::Superseded)));
    assert!(
        stopped.elapsed() < LEASE,
        "it did not run on for its hundred leases"
    );
    holder.complete("winner").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn work_that_ends_during_a_renewal_that_hangs_completes_over_it() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    store.fault(Op::Update, Fault::ApplyAndHang);
    let time = LEASE / 3 + Duration::from_millis(10);
    assert_eq!(sleep_for(&idem, time).await.unwrap().value, 1);
    assert_eq!(&replayed(&idem, "k").await[..], b"1");
}

#[tokio::test(start_paused = true)]
async fn work_that_is_ready_at_once_is_never_renewed() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    let execution = acquire(&idem, "k").await;
    assert!(matches!(execution.run(async { 7 }).await, Ran::Finished(7)));
    assert_eq!(store.calls(Op::Update), 0);
    execution.complete("7").await.unwrap();
}
