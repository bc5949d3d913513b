//! What the counters say of endings and renewals.

use std::collections::BTreeMap;

use idem_core::{
    Failure, Recording,
    spi::{Ran, Stopped},
    store::StoreErrorKind,
};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tokio::{runtime::Builder, time::sleep};

use super::{
    store::{Fault, Op},
    *,
};

/// Every metric after this work, and after its runtime is shut down. Of a histogram, its largest
/// value.
fn metrics_of(work: impl Future<Output = ()>) -> BTreeMap<String, f64> {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(work);
    });
    let metrics = snapshotter.snapshot().into_vec().into_iter();
    metrics
        .map(|(key, _, _, value)| {
            let value = match value {
                DebugValue::Counter(count) => count as f64,
                DebugValue::Gauge(gauge) => gauge.into_inner(),
                DebugValue::Histogram(values) => values
                    .iter()
                    .fold(0.0, |largest, value| f64::max(**value, largest)),
            };
            (key.key().name().to_owned(), value)
        })
        .collect()
}

fn value(metrics: &BTreeMap<String, f64>, name: &str) -> f64 {
    metrics.get(name).copied().unwrap_or(0.0)
}

#[test]
fn an_ending_that_goes_down_with_its_runtime_is_lost() {
    let metrics = metrics_of(async {
        let store = ScriptedStore::default();
        let idem = engine(&store);
        let execution = acquire(&idem, "k").await;
        store.down(StoreErrorKind::Unavailable);
        assert_eq!(execution.complete("ok").await, Ok(Recording::Pending));
        sleep(LEASE).await;
    });
    assert_eq!(value(&metrics, "idem_endings_lost_total"), 1.0);
    assert_eq!(value(&metrics, "idem_endings_pending"), 0.0);
}

#[test]
fn an_ending_whose_retention_is_over_is_lost_and_one_that_landed_is_not() {
    let metrics = metrics_of(async {
        let store = ScriptedStore::default();
        let idem = engine(&store);
        let (landing, lost) = (acquire(&idem, "a").await, acquire(&idem, "b").await);
        store.down(StoreErrorKind::Unavailable);
        assert_eq!(landing.complete("ok").await, Ok(Recording::Pending));
        store.up();
        idem.wait_idle().await;
        store.down(StoreErrorKind::Unavailable);
        assert_eq!(lost.complete("ok").await, Ok(Recording::Pending));
        idem.wait_idle().await;
    });
    assert_eq!(value(&metrics, "idem_endings_lost_total"), 1.0);
    assert_eq!(value(&metrics, "idem_endings_pending"), 0.0);
}

#[test]
fn an_execution_that_is_dropped_after_it_was_superseded_is_not_a_crash() {
    let metrics = metrics_of(async {
        let store = ScriptedStore::default();
        let (idem, other) = (engine(&store), engine(&store.other_process()));
        let execution = acquire(&idem, "k").await;
        for _ in 0..10 {
            store.fault(Op::Update, Fault::Hang);
        }
        let take_over = async {
            sleep(LEASE).await;
            let winner = acquire(&other, "k").await;
            winner.complete("ok").await.unwrap();
        };
        let (ran, ()) = tokio::join!(execution.run(sleep(LEASE * 9)), take_over);
        assert!(matches!(ran, Ran::Stopped(Stopped::Superseded)));
        drop(execution);
    });
    assert_eq!(value(&metrics, "idem_executions_dropped_total"), 0.0);
}

#[test]
fn a_renewal_says_how_much_of_its_lease_was_used() {
    let used = |faults: usize| {
        let metrics = metrics_of(async {
            let store = ScriptedStore::default();
            for _ in 0..faults {
                store.fault(Op::Update, Fault::Hang);
            }
            let work = async |_| {
                sleep(LEASE).await;
                Ok::<_, Failure<String>>(0)
            };
            let outcome = engine(&store).execute(&key("k"), &print("a"), work).await;
            outcome.unwrap();
        });
        value(&metrics, "idem_lease_used_ratio")
    };
    assert!((0.33..0.34).contains(&used(0)), "on time: {}", used(0));
    assert!((0.66..0.9).contains(&used(3)), "late: {}", used(3));
}

/// Each claim has room for its ending, so nothing is begun while too many wait.
#[test]
fn nothing_is_begun_while_too_many_endings_wait() {
    let metrics = metrics_of(async {
        let store = ScriptedStore::default();
        let idem = engine(&store);
        store.refuse_answers(Some(StoreErrorKind::Full));
        let mut pending = 0;
        let refused = loop {
            match idem.claim(&key(&pending.to_string()), &print("a")).await {
                Ok(Claim::Acquired(execution)) => {
                    assert_eq!(execution.complete("ok").await, Ok(Recording::Pending));
                    pending += 1;
                }
                Ok(claim) => panic!("{claim:?}"),
                Err(error) => break error,
            }
        };
        assert_eq!(
            (pending, refused.source.kind()),
            (10_000, StoreErrorKind::Unavailable)
        );
        store.refuse_answers(None);
        idem.wait_idle().await;
        assert_eq!(&replayed(&idem, "9999").await[..], b"ok");
    });
    assert_eq!(value(&metrics, "idem_endings_lost_total"), 0.0);
    assert_eq!(value(&metrics, "idem_endings_pending"), 0.0);
}
