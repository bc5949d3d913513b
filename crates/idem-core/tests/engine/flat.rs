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

/// Store calls of each minute of an outage with a thousand claims a second, and those that the engine makes
/// by itself once they are over. At most so many claims are there to be given back after it.
async fn outage(minutes: usize, most_to_give_back: usize, begin: impl Fn(&ScriptedStore)) {
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
    store.forget_calls();
    for _ in 0..minutes {
        for _ in 0..60 {
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
        per_minute.push(store.forget_calls());
        assert!(tasks.load(Ordering::SeqCst) <= 1, "one task for all of it");
    }
    sleep(Duration::from_secs(30)).await;
    let by_itself = store.forget_calls();
    assert!(by_itself / 30 <= 400, "{by_itself} calls in 30 s");
    let (first, last) = (per_minute[0], per_minute[minutes - 1]);
    assert!(last <= first + first / 4, "{per_minute:?}");
    store.hang_all(false);
    store.up();
    idem.wait_idle().await;
    let released = store.calls(Op::Delete);
    assert!(
        released <= most_to_give_back,
        "{released} claims waited to be given back"
    );
    assert!(store.most_at_once(Op::Delete) <= 16);
    for n in 0..100 {
        let state = store.state(&key(&format!("running-{n}"))).unwrap();
        assert_eq!(state.name(), "completed", "no ending was refused or lost");
    }
    assert_eq!(store.calls(Op::Get), 0);
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_hangs_leaves_a_bounded_amount_of_work() {
    outage(10, 1_100, |store| store.hang_all(true)).await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_refuses_leaves_a_bounded_amount_of_work() {
    // Nothing was applied, for certain.
    outage(2, 0, |store| store.down(StoreErrorKind::Unavailable)).await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_may_have_written_leaves_a_bounded_amount_of_work() {
    outage(2, 1_100, |store| store.down(StoreErrorKind::Unknown)).await;
}
