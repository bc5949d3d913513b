//! Ten minutes without the store at a thousand claims a second: what is left behind stays bounded.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use idem_core::{Recording, spi::Spawner, store::StoreErrorKind};
use tokio::time::sleep;

use super::{store::Op, *};

const RATE: u32 = 1_000;

/// Tasks that the engine has spawned and that are there still.
fn counting() -> (Spawner, Arc<AtomicUsize>) {
    let tasks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tasks);
    let spawner = Spawner::new(move |task| {
        counted.fetch_add(1, Ordering::SeqCst);
        let counted = Arc::clone(&counted);
        tokio::spawn(async move {
            task.await;
            counted.fetch_sub(1, Ordering::SeqCst);
        });
    });
    (spawner, tasks)
}

/// Store calls of each minute of an outage, with nothing but what the engine does by itself in the
/// second half of each minute.
async fn outage(begin: impl Fn(&ScriptedStore)) {
    let store = ScriptedStore::default();
    let (spawner, tasks) = counting();
    let idem = Idempotency::builder(store.clone())
        .policy(Policy::default().retry_budget(Duration::from_millis(100)))
        .spawner(spawner)
        .build()
        .unwrap();
    // A hundred executions end in the outage.
    let mut running = Vec::new();
    for n in 0..100 {
        running.push(acquire(&idem, &format!("running-{n}")).await);
    }
    begin(&store);
    for execution in running {
        assert_eq!(execution.complete("ok").await, Ok(Recording::Pending));
    }
    let mut per_minute = Vec::new();
    let mut number = 0_u32;
    for _ in 0..10 {
        for _ in 0..30 {
            for _ in 0..RATE {
                let idem = idem.clone();
                let name = key(&number.to_string());
                number += 1;
                // The client waits no longer than 50 ms.
                tokio::spawn(async move {
                    let print = print("a");
                    let claim = idem.claim(&name, &print);
                    let _ = tokio::time::timeout(Duration::from_millis(50), claim).await;
                });
            }
            sleep(Duration::from_secs(1)).await;
        }
        let before = store.forget_calls();
        assert!(before > 0);
        sleep(Duration::from_secs(30)).await;
        per_minute.push(store.forget_calls());
        assert!(tasks.load(Ordering::SeqCst) <= 1, "one task for all of it");
    }
    let (first, last) = (per_minute[0], per_minute[9]);
    assert!(last <= first + first / 4, "{per_minute:?}");
    assert!(last / 30 <= 400, "calls per second: {per_minute:?}");
    store.hang_all(false);
    store.up();
    idem.wait_idle().await;
    for n in 0..100 {
        let state = store.state(&key(&format!("running-{n}"))).unwrap();
        assert_eq!(state.name(), "completed", "no ending was refused or lost");
    }
    assert_eq!(store.calls(Op::Get), 0);
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_hangs_leaves_a_bounded_amount_of_work() {
    outage(|store| store.hang_all(true)).await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_refuses_leaves_a_bounded_amount_of_work() {
    outage(|store| store.down(StoreErrorKind::Unavailable)).await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_may_have_written_leaves_a_bounded_amount_of_work() {
    outage(|store| store.down(StoreErrorKind::Unknown)).await;
}
