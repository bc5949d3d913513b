//! Outages and renewals that go wrong: the key stays held while its process lives.

use idem_core::{Failure, Recording, Refused, store::StoreErrorKind};
use tokio::time::{Instant, sleep};

use super::{
    store::{Fault, Op},
    *,
};

/// Whether another process is told that the key is in flight, for so long.
pub(crate) async fn stays_held(other: &Idempotency, time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        sleep(LEASE / 7).await;
        let claim = other.claim(&key("k"), &print("a")).await.unwrap();
        assert!(
            matches!(claim, Claim::Refused(Refused::InFlight { .. })),
            "{claim:?}"
        );
    }
}

/// Holder and claimer lose the store for longer than a lease; the claimer is back first.
async fn after_an_outage(kind: StoreErrorKind) -> (ScriptedStore, ScriptedStore, Idempotency) {
    let store = ScriptedStore::default();
    let elsewhere = store.other_process();
    let (idem, other) = (engine(&store), engine(&elsewhere));
    tokio::spawn(async move {
        idem.execute(&key("k"), &print("a"), async |_| {
            sleep(LEASE * 8).await;
            Ok::<_, Failure<String>>("ok".to_owned())
        })
        .await
        .unwrap();
    });
    sleep(LEASE / 2).await;
    store.down(kind);
    elsewhere.down(kind);
    for _ in 0..8 {
        sleep(LEASE / 4).await;
        other.claim(&key("k"), &print("a")).await.unwrap_err();
    }
    (store, elsewhere, other)
}

#[tokio::test(start_paused = true)]
async fn g1_after_an_outage_a_living_holder_gets_the_time_of_one_renewal() {
    for kind in [StoreErrorKind::Unavailable, StoreErrorKind::Unknown] {
        let (store, elsewhere, other) = after_an_outage(kind).await;
        store.up();
        elsewhere.up();
        // The claimer is back before the holder's next renewal.
        let claim = other.claim(&key("k"), &print("a")).await.unwrap();
        assert!(
            matches!(claim, Claim::Refused(Refused::InFlight { .. })),
            "{claim:?}"
        );
        stays_held(&other, LEASE * 4).await;
        sleep(LEASE * 2).await;
        assert_eq!(&replayed(&other, "k").await[..], b"\"ok\"");
    }
}

/// A store that is full, or whose only write lock somebody holds, refuses renewals and take-overs alike,
/// and answers reads. When it takes writes again, the holder is first.
#[tokio::test(start_paused = true)]
async fn g1_after_the_store_took_no_writes_a_living_holder_gets_the_time_of_one_renewal() {
    for kind in [
        StoreErrorKind::Full,
        StoreErrorKind::Unavailable,
        StoreErrorKind::Unknown,
    ] {
        let store = ScriptedStore::default();
        let elsewhere = store.other_process();
        let (idem, other) = (engine(&store), engine(&elsewhere));
        let execution = acquire(&idem, "k").await;
        store.refuse_writes(Some(kind));
        elsewhere.refuse_writes(Some(kind));
        let recording = execution.complete("done").await.unwrap();
        assert_eq!(recording, Recording::Pending);
        let reader = other.clone();
        let reads = tokio::spawn(async move {
            loop {
                reader.lookup(&key("k")).await.unwrap();
                sleep(LEASE / 50).await;
            }
        });
        for round in 0..8 {
            sleep(LEASE / 4).await;
            // Somebody else's key is to be written; this one is found, and taken over if that is possible.
            let name = format!("other {round}");
            other.claim(&key(&name), &print("a")).await.unwrap_err();
            let _ = other.claim(&key("k"), &print("a")).await;
        }
        store.refuse_writes(None);
        elsewhere.refuse_writes(None);
        // The claimer is back before the holder's next attempt.
        let claim = other.claim(&key("k"), &print("a")).await.unwrap();
        assert!(
            matches!(claim, Claim::Refused(Refused::InFlight { .. })),
            "{kind:?}: {claim:?}"
        );
        reads.abort();
        idem.wait_idle().await;
        assert_eq!(&replayed(&other, "k").await[..], b"done");
    }
}

/// It decided to take over when all was well. Its write fails, and goes out again until it gets through.
#[tokio::test(start_paused = true)]
async fn g1_a_take_over_that_was_decided_before_an_outage_of_writes_waits_for_the_holder_after_it()
{
    for kind in [StoreErrorKind::Unavailable, StoreErrorKind::Unknown] {
        let store = ScriptedStore::default();
        let elsewhere = store.other_process();
        let patient = Policy::default().retry_budget(LEASE * 9);
        let (idem, other) = (engine(&store), with(&elsewhere, patient));
        let execution = acquire(&idem, "k").await;
        store.refuse_writes(Some(kind));
        let recording = execution.complete("done").await.unwrap();
        assert_eq!(recording, Recording::Pending);
        sleep(LEASE).await;
        elsewhere.refuse_writes(Some(kind));
        let claimer = other.clone();
        let claim = tokio::spawn(async move { claimer.claim(&key("k"), &print("a")).await });
        sleep(LEASE * 2).await;
        // It has its write ready, and may be the first of the two.
        elsewhere.refuse_writes(None);
        sleep(LEASE / 4).await;
        store.refuse_writes(None);
        let claim = claim.await.unwrap().unwrap();
        assert!(
            matches!(claim, Claim::Refused(Refused::InFlight { .. })),
            "{kind:?}: {claim:?}"
        );
        idem.wait_idle().await;
        assert_eq!(&replayed(&other, "k").await[..], b"done");
    }
}

#[tokio::test(start_paused = true)]
async fn after_the_store_was_full_a_dead_holder_is_replaced() {
    let store = ScriptedStore::default();
    let elsewhere = store.other_process();
    let (idem, other) = (engine(&store), engine(&elsewhere));
    drop(acquire(&idem, "k").await);
    elsewhere.refuse_writes(Some(StoreErrorKind::Full));
    for _ in 0..8 {
        sleep(LEASE / 4).await;
        let _ = other.claim(&key("k"), &print("a")).await;
    }
    elsewhere.refuse_writes(None);
    let back = Instant::now();
    while !matches!(
        other.claim(&key("k"), &print("a")).await,
        Ok(Claim::Acquired(_))
    ) {
        sleep(LEASE / 20).await;
        assert!(back.elapsed() < LEASE, "nobody may take it over");
    }
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_a_dead_holder_is_replaced_once_the_grace_is_over() {
    // The holder never comes back.
    let (_, elsewhere, other) = after_an_outage(StoreErrorKind::Unavailable).await;
    elsewhere.up();
    let back = Instant::now();
    loop {
        match other.claim(&key("k"), &print("a")).await.unwrap() {
            Claim::Refused(Refused::InFlight { retry_after }) => {
                sleep(retry_after).await;
            }
            Claim::Acquired(execution) => {
                assert_eq!(execution.attempt(), 2);
                break;
            }
            claim => panic!("{claim:?}"),
        }
    }
    assert_eq!(back.elapsed(), LEASE / 3);
}

#[tokio::test(start_paused = true)]
async fn g8_under_halt_an_abandoned_key_never_runs_again_by_itself() {
    use idem_core::OnAbandoned;
    let store = ScriptedStore::default();
    let idem = with(&store, Policy::default().on_abandoned(OnAbandoned::Halt));
    drop(acquire(&idem, "k").await);
    tokio::time::advance(RETENTION * 365 * 10).await;
    let claim = idem.claim(&key("k"), &print("a")).await.unwrap();
    assert!(
        matches!(claim, Claim::Refused(Refused::Abandoned { attempt: 1 })),
        "{claim:?}"
    );
    // Its ending sets the ttl back to the retention.
    let resolution = idem_core::Resolution::completed_raw("paid");
    idem.resolve(&key("k"), resolution).await.unwrap();
    assert_eq!(&replayed(&idem, "k").await[..], b"paid");
    tokio::time::advance(RETENTION).await;
    assert_eq!(acquire(&idem, "k").await.attempt(), 1);
}

/// The checkpoint is asked for again and again; renewals go in between.
#[tokio::test(start_paused = true)]
async fn g1_a_checkpoint_that_the_store_does_not_take_leaves_its_key_held() {
    let store = ScriptedStore::default();
    let policy = Policy::default().retry_budget(LEASE * 3);
    let (idem, other) = (with(&store, policy), engine(&store.other_process()));
    store.refuse_larger_than(100, StoreErrorKind::Unknown);
    let work = tokio::spawn(async move {
        idem.execute(&key("k"), &print("a"), async |running| {
            running.checkpoint(vec![0; 101]).await.unwrap_err();
            Ok::<_, Failure<String>>("ok".to_owned())
        })
        .await
    });
    stays_held(&other, LEASE * 5 / 2).await;
    assert!(!work.await.unwrap().unwrap().replayed);
}

/// The work blocks its thread for longer than its lease.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_work_that_blocks_its_thread_is_renewed_all_the_same() {
    let lease = Duration::from_millis(900);
    let store = ScriptedStore::default();
    let policy = || Policy::default().lease(lease);
    let (idem, other) = (
        with(&store, policy()),
        with(&store.other_process(), policy()),
    );
    let work = tokio::spawn(async move {
        idem.execute(&key("k"), &print("a"), async |_| {
            tokio::task::yield_now().await;
            std::thread::sleep(lease * 3);
            Ok::<_, Failure<String>>("ok".to_owned())
        })
        .await
    });
    std::thread::sleep(lease * 2);
    let claim = other.claim(&key("k"), &print("a")).await.unwrap();
    assert!(
        matches!(claim, Claim::Refused(Refused::InFlight { .. })),
        "{claim:?}"
    );
    assert!(!work.await.unwrap().unwrap().replayed);
}

#[tokio::test(start_paused = true)]
async fn g1_a_renewal_that_hangs_delays_no_other() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    let works: Vec<_> = (0..20)
        .map(|n| {
            let idem = idem.clone();
            tokio::spawn(async move {
                let name = key(&n.to_string());
                idem.execute(&name, &print("a"), async |_| {
                    sleep(LEASE * 2).await;
                    Ok::<_, Failure<String>>(0)
                })
                .await
            })
        })
        .collect();
    sleep(Duration::from_millis(1)).await;
    for _ in 0..10 {
        store.fault(Op::Update, Fault::Hang);
    }
    sleep(LEASE / 3 + Duration::from_millis(5)).await;
    let began = store.times(Op::Update);
    assert_eq!(began.len(), 20, "all of them, although ten hang");
    for work in works {
        assert!(!work.await.unwrap().unwrap().replayed);
    }
}

#[tokio::test(start_paused = true)]
async fn an_ending_waits_for_the_renewal_that_is_under_way() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    let time = LEASE / 3 + Duration::from_millis(10);
    store.fault(Op::Update, Fault::ApplyAndHang);
    let started = Instant::now();
    let outcome = idem
        .execute(&key("k"), &print("a"), async |_| {
            sleep(time).await;
            Ok::<_, Failure<String>>(1)
        })
        .await;
    assert_eq!(outcome.unwrap().recording, Recording::Stored);
    assert_eq!(started.elapsed(), LEASE / 3 + Duration::from_secs(1));
}

/// Renewals and endings go on although the runtime that first kept them is gone, or exists and is
/// driven by nobody.
#[test]
fn g1_renewals_outlive_the_runtime_that_they_were_begun_on() {
    for is_dropped in [true, false] {
        renewals_on_a_second_runtime(is_dropped);
    }
}

fn renewals_on_a_second_runtime(first_is_dropped: bool) {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
    };
    let store = ScriptedStore::default();
    let (idem, other) = (engine(&store), engine(&store.other_process()));
    let first = runtime();
    first.block_on(async {
        let idem = idem.clone();
        tokio::spawn(async move {
            idem.execute(&key("a"), &print("a"), async |_| {
                sleep(LEASE * 100).await;
                Ok::<_, Failure<String>>(0)
            })
            .await
        });
        // Its first renewal is under way, and stays so.
        store.fault(Op::Update, Fault::Hang);
        sleep(LEASE / 3 + Duration::from_millis(5)).await;
    });
    let first = Some(first).filter(|_| !first_is_dropped);
    let second = runtime();
    second.block_on(async {
        let work = tokio::spawn(async move {
            idem.execute(&key("k"), &print("a"), async |_| {
                sleep(LEASE * 4).await;
                Ok::<_, Failure<String>>(0)
            })
            .await
        });
        sleep(LEASE / 10).await;
        stays_held(&other, LEASE * 3).await;
        assert!(!work.await.unwrap().unwrap().replayed);
    });
    drop(first);
}
