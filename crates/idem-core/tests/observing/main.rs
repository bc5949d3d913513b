//! What an operator sees of trouble: the log and the counters.
//!
//! One test in a process of its own: a log line's first use asks whether anybody listens, and one on
//! another thread could ask just before the subscriber is there.

#![expect(clippy::disallowed_methods, reason = "a test measures virtual time")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "it is made for the tests of the engine")]
#[path = "../engine/store.rs"]
mod store;

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use idem_core::{
    Claim, Execution, Failure, Fingerprint, Idempotency, IdempotencyKey, RecordKey, Scope,
    store::StoreErrorKind,
};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use store::{Fault, Op, ScriptedStore};
use tracing_subscriber::fmt::MakeWriter;

const LEASE: Duration = Duration::from_secs(30);
const RENEWED_LATE: &str = "the lease is renewed late";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Every counter that moved, as `name label`.
fn counters(snapshotter: &Snapshotter) -> BTreeMap<String, u64> {
    let snapshot = snapshotter.snapshot().into_vec().into_iter();
    let counters = snapshot.filter_map(|(key, _, _, value)| match value {
        DebugValue::Counter(count) => {
            let labels = key
                .key()
                .labels()
                .map(|label| format!(" {}", label.value()));
            Some((
                format!("{}{}", key.key().name(), labels.collect::<String>()),
                count,
            ))
        }
        DebugValue::Gauge(_) | DebugValue::Histogram(_) => None,
    });
    counters.collect()
}

fn key(name: &str) -> RecordKey {
    Scope::global().key(&IdempotencyKey::new(name).unwrap())
}

fn print(request: &str) -> Fingerprint {
    Fingerprint::of("test/v1", request.as_bytes())
}

fn engine(store: &ScriptedStore) -> Idempotency {
    Idempotency::builder(store.clone()).build().unwrap()
}

async fn acquire(idem: &Idempotency, name: &str) -> Execution {
    match idem.claim(&key(name), &print("a")).await.unwrap() {
        Claim::Acquired(execution) => execution,
        other => panic!("expected to acquire, got {other:?}"),
    }
}

/// One of every kind of trouble, under one key that must not be read off the log.
async fn trouble(store: &ScriptedStore) {
    const KEY: &str = "secret-key-of-a-client-0001";
    let idem = engine(store);
    store.fault(Op::Create, Fault::LoseReply);
    let execution = acquire(&idem, KEY).await;
    execution.checkpoint("secret-checkpoint").await.unwrap();
    let _ = idem.claim(&key(KEY), &print("b")).await;
    tokio::time::advance(LEASE).await;
    let holder = acquire(&engine(&store.other_process()), KEY).await;
    execution.complete("secret-payload").await.unwrap_err();
    drop(holder);
    tokio::time::advance(LEASE).await;
    let outage = store.clone();
    let outcome = idem
        .execute(&key(KEY), &print("a"), async move |_| {
            tracing::info!("the work's own event");
            outage.down(StoreErrorKind::Unavailable);
            Ok::<_, Failure<String>>("secret-answer".to_owned())
        })
        .await;
    outcome.unwrap();
    store.up();
    idem.wait_idle().await;
}

/// Work whose renewals hang until somebody took over, and the next one learns of it.
async fn superseded_work(store: &ScriptedStore) {
    let (idem, other) = (engine(store), engine(&store.other_process()));
    for _ in 0..7 {
        store.fault(Op::Update, Fault::Hang);
    }
    let name = key("stopped");
    let request = print("a");
    let work = idem.execute(&name, &request, async |_| {
        tokio::time::sleep(LEASE * 100).await;
        Ok::<_, Failure<String>>(())
    });
    let take_over = async {
        tokio::time::sleep(LEASE).await;
        acquire(&other, "stopped").await.complete("").await.unwrap();
    };
    let (work, ()) = tokio::join!(work, take_over);
    work.unwrap_err();
}

/// Work for a whole lease, the first renewals of which hang.
async fn renewed_after(store: &ScriptedStore, hangs: usize) {
    for _ in 0..hangs {
        store.fault(Op::Update, Fault::Hang);
    }
    let name = key(&format!("renewed after {hangs}"));
    let request = print("a");
    let work = async |_| {
        tokio::time::sleep(LEASE).await;
        Ok::<_, Failure<String>>(())
    };
    engine(store).execute(&name, &request, work).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn trouble_is_logged_and_counted() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _recording = metrics::set_default_local_recorder(&recorder);

    let store = ScriptedStore::default();
    trouble(&store).await;
    let of_trouble = counters(&snapshotter);
    superseded_work(&store).await;
    let of_superseded_work = counters(&snapshotter);

    let before = log.text().len();
    renewed_after(&store, 0).await;
    assert!(
        !log.text()[before..].contains(RENEWED_LATE),
        "it was on time"
    );
    renewed_after(&store, 3).await;
    a_late_renewal_is_warned_of(&log.text()[before..]);

    every_turn_is_logged(&log.text());
    s8_keys_appear_shortened_and_payloads_never(&log.text());
    every_turn_is_counted(&of_trouble);
    g3_stopped_work_counts_as_superseded_and_not_as_dropped(&of_superseded_work);
}

fn a_late_renewal_is_warned_of(text: &str) {
    let mut late = text.lines().filter(|line| line.contains(RENEWED_LATE));
    let warning = late.next().unwrap();
    for part in [
        "WARN",
        "blocks the runtime's threads",
        "used=2",
        "lease=30s",
    ] {
        assert!(warning.contains(part), "no «{part}» in {warning}");
    }
    assert_eq!(late.next(), None);
}

fn every_turn_is_logged(text: &str) {
    for expected in [
        "took over",
        "superseded",
        "dropped without an ending",
        "not stored yet",
    ] {
        assert!(text.contains(expected), "no «{expected}» in:\n{text}");
    }
    let own_event = text
        .lines()
        .find(|line| line.contains("the work's own event"))
        .unwrap();
    assert!(
        own_event.contains("idem.run") && own_event.contains("idem.attempt=3"),
        "{own_event}"
    );
    let mismatch = text.lines().any(|line| {
        line.contains("idem.claim{")
            && line.contains("idem.key=:secr…#")
            && line.contains("idem.store=")
    });
    assert!(mismatch, "no span of a claim in:\n{text}");
}

fn s8_keys_appear_shortened_and_payloads_never(text: &str) {
    assert!(text.contains("secr…#"), "no key in:\n{text}");
    for secret in [
        "secret-key",
        "secret-checkpoint",
        "secret-payload",
        "secret-answer",
    ] {
        assert!(!text.contains(secret), "«{secret}» is in:\n{text}");
    }
}

fn every_turn_is_counted(counters: &BTreeMap<String, u64>) {
    for (name, count) in [
        ("idem_claims_total acquired", 3),
        ("idem_claims_total mismatch", 1),
        ("idem_takeovers_total", 2),
        ("idem_endings_total superseded", 1),
        ("idem_endings_total completed", 1),
        ("idem_executions_dropped_total", 1),
        ("idem_store_retries_total unknown", 1),
    ] {
        assert_eq!(counters.get(name), Some(&count), "{name} in {counters:?}");
    }
}

fn g3_stopped_work_counts_as_superseded_and_not_as_dropped(counters: &BTreeMap<String, u64>) {
    for (name, count) in [
        ("idem_renewals_total superseded", 1),
        ("idem_endings_total superseded", 1),
        ("idem_endings_total completed", 1),
        ("idem_executions_dropped_total", 0),
    ] {
        let counted = counters.get(name).copied().unwrap_or(0);
        assert_eq!(counted, count, "{name} in {counters:?}");
    }
}
