//! What the counters say of endings and renewals.

use std::collections::BTreeMap;

use async_trait::async_trait;
use idem_core::{
    Failure, OnBusy, Recording,
    spi::{Ran, Stopped},
    store::{Browse, Cursor, Filter, Page, Store, StoreError, StoreErrorKind},
};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tokio::{runtime::Builder, time::sleep};

use super::{
    store::{Fault, Op},
    *,
};

/// Every metric after this work, and after its runtime is shut down.
fn recorded(work: impl Future<Output = ()>) -> Vec<(metrics::Key, DebugValue)> {
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
        .map(|(key, _, _, value)| (key.key().clone(), value))
        .collect()
}

/// The value of every metric after this work. Of a histogram, its largest value.
fn metrics_of(work: impl Future<Output = ()>) -> BTreeMap<String, f64> {
    recorded(work)
        .into_iter()
        .map(|(key, value)| {
            let value = match value {
                DebugValue::Counter(count) => count as f64,
                DebugValue::Gauge(gauge) => gauge.into_inner(),
                DebugValue::Histogram(values) => values
                    .iter()
                    .fold(0.0, |largest, value| f64::max(**value, largest)),
            };
            (key.name().to_owned(), value)
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

/// How often a key was taken over early, by its holder's clock: after the store's clock stepped, or
/// after the holder was late by itself.
fn cut_short(step: Duration, hangs: usize) -> f64 {
    let metrics = metrics_of(async {
        let store = ScriptedStore::default();
        let elsewhere = store.other_process();
        let (idem, other) = (engine(&store), engine(&elsewhere));
        let execution = acquire(&idem, "k").await;
        let take_over = async {
            // After the first renewal.
            sleep(LEASE / 2).await;
            for _ in 0..hangs {
                store.fault(Op::Update, Fault::Hang);
            }
            store.step_clock(step);
            loop {
                match other.claim(&key("k"), &print("a")).await.unwrap() {
                    Claim::Acquired(winner) => break winner,
                    _ => sleep(LEASE / 20).await,
                }
            }
        };
        let (ran, winner) = tokio::join!(execution.run(sleep(LEASE * 9)), take_over);
        assert!(matches!(ran, Ran::Stopped(Stopped::Superseded)));
        winner.complete("ok").await.unwrap();
    });
    value(&metrics, "idem_leases_cut_short_total")
}

#[test]
fn s4_a_step_of_the_stores_clock_is_told_by_the_holder_that_loses_its_key() {
    assert_eq!(cut_short(LEASE, 0), 1.0);
    assert_eq!(cut_short(Duration::ZERO, 9), 0.0);
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
        // However many wait, the store is not asked more than a thousand times a second.
        let before = store.refused_answers();
        sleep(Duration::from_secs(20)).await;
        let attempts = store.refused_answers() - before;
        assert!(attempts <= 21_000, "{attempts} attempts in 20 s");
        store.refuse_answers(None);
        idem.wait_idle().await;
        assert_eq!(&replayed(&idem, "9999").await[..], b"ok");
    });
    assert_eq!(value(&metrics, "idem_endings_lost_total"), 0.0);
    assert_eq!(value(&metrics, "idem_endings_pending"), 0.0);
}

/// Two keys a page, and the last key of a page once more on the next one, as a store may list them.
struct Listed(ScriptedStore);

#[async_trait]
impl Browse for Listed {
    async fn browse(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        _: usize,
    ) -> Result<Page, StoreError> {
        let start = after.map_or(0, |cursor| cursor.0.parse().unwrap());
        let names = ["lost", "lost too", "running", "released", "completed"];
        let mut page = Page::default();
        for name in names.iter().skip(start).take(2) {
            let found = self.0.get(&key(name)).await?.unwrap();
            page.records.push((key(name), found));
        }
        page.records
            .retain(|(key, stored)| filter.passes(key, stored));
        page.next = (start + 2 < names.len()).then(|| Cursor((start + 1).to_string()));
        Ok(page)
    }
}

#[test]
fn abandoned_keys_are_counted_in_the_whole_store() {
    let metrics = metrics_of(async {
        let store = ScriptedStore::default();
        let idem = engine(&store);
        drop(acquire(&idem, "lost").await);
        drop(acquire(&idem, "lost too").await);
        acquire(&idem, "released").await.release().await.unwrap();
        let completed = acquire(&idem, "completed").await;
        completed.complete("ok").await.unwrap();
        tokio::time::advance(LEASE).await;
        let _running = acquire(&idem, "running").await;
        let count = idem_core::observe::count_abandoned(&Listed(store)).await;
        assert_eq!(count.unwrap(), 2);
    });
    assert_eq!(value(&metrics, "idem_abandoned_keys"), 2.0);
}

#[test]
fn histograms_have_the_store_and_the_route_of_their_engine() {
    let metrics = recorded(async {
        let store = ScriptedStore::default();
        let waits = Policy::default()
            .route("POST /payments")
            .on_busy(OnBusy::Wait(LEASE));
        let idem = Idempotency::builder(store.clone())
            .policy(waits)
            .name("payments-db")
            .build()
            .unwrap();
        let (name, print) = (key("k"), print("a"));
        let work = async |_| {
            sleep(LEASE / 2).await;
            Ok::<_, Failure<String>>("answer".to_owned())
        };
        let repeat = async {
            sleep(LEASE / 4).await;
            idem.execute(&name, &print, work).await
        };
        let (first, second) = tokio::join!(idem.execute(&name, &print, work), repeat);
        assert!(!first.unwrap().replayed && second.unwrap().replayed);
    });
    let mut seen = BTreeMap::new();
    for (key, value) in metrics {
        let DebugValue::Histogram(values) = value else {
            continue;
        };
        let labels: Vec<_> = key.labels().map(metrics::Label::value).collect();
        assert_eq!(labels, ["payments-db", "POST /payments"], "{key:?}");
        let values: Vec<f64> = values.iter().map(|value| **value).collect();
        seen.insert(key.name().to_owned(), values);
    }
    let half = (LEASE / 2).as_secs_f64();
    assert_eq!(seen["idem_claim_duration_seconds"].len(), 2);
    assert_eq!(seen["idem_run_duration_seconds"].len(), 1);
    assert!(seen["idem_run_duration_seconds"][0] >= half);
    assert_eq!(seen["idem_wait_duration_seconds"].len(), 1);
    assert!(seen["idem_wait_duration_seconds"][0] >= half / 2.0);
    assert_eq!(seen["idem_ending_duration_seconds"].len(), 1);
    assert_eq!(seen["idem_payload_bytes"], [8.0]);
    assert_eq!(seen["idem_lease_used_ratio"].len(), 1);
}

#[test]
fn described_counters_are_there_before_their_first_step() {
    let metrics = metrics_of(async { idem_core::observe::describe() });
    for name in [
        "idem_endings_lost_total",
        "idem_leases_cut_short_total",
        "idem_endings_total",
    ] {
        assert_eq!(metrics.get(name), Some(&0.0), "{name}");
    }
}
