use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use idem_core::{Failure, error::ExecuteError, spi::Spawner};

use super::*;

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_loses_nothing_and_its_repeat_replays() {
    let idem = engine(&ScriptedStore::default());
    let runs = Arc::new(AtomicUsize::new(0));
    let work = {
        let runs = Arc::clone(&runs);
        async move |_| {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok::<_, Failure<String>>(runs.fetch_add(1, Ordering::SeqCst))
        }
    };
    let answer = idem.execute_detached(key("k"), print("a"), work);
    tokio::time::timeout(Duration::from_millis(10), answer)
        .await
        .unwrap_err();
    idem.wait_idle().await;
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_eq!(&replayed(&idem, "k").await[..], b"0");
}

#[tokio::test(start_paused = true)]
async fn work_starts_whether_or_not_the_answer_is_awaited() {
    let idem = engine(&ScriptedStore::default());
    drop(idem.execute_detached(key("k"), print("a"), async |_| Ok::<_, Failure<String>>(7)));
    idem.wait_idle().await;
    assert_eq!(&replayed(&idem, "k").await[..], b"7");
}

#[tokio::test]
async fn a_task_that_the_runtime_drops_is_lost_and_says_so() {
    let store = ScriptedStore::default();
    let idem = Idempotency::builder(store)
        .spawner(Spawner::new(drop))
        .build()
        .unwrap();
    let answer = idem
        .execute_detached(key("k"), print("a"), async |_| Ok::<_, Failure<String>>(7))
        .await;
    assert!(matches!(answer, Err(ExecuteError::Lost)));
    idem.wait_idle().await;
}

#[tokio::test(start_paused = true)]
async fn drained_waits_for_detached_work() {
    let idem = engine(&ScriptedStore::default());
    let start = tokio::time::Instant::now();
    drop(idem.execute_detached(key("k"), print("a"), async |_| {
        tokio::time::sleep(Duration::from_secs(3)).await;
        Ok::<_, Failure<String>>(())
    }));
    idem.wait_idle().await;
    assert_eq!(start.elapsed(), Duration::from_secs(3));
}

/// A task that was detached by hand runs, and is waited for.
#[tokio::test(start_paused = true)]
async fn a_task_detached_by_hand_is_waited_for_at_shutdown() {
    let idem = engine(&ScriptedStore::default());
    let (done, mut ran) = tokio::sync::oneshot::channel();
    idem.detach(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        done.send(()).unwrap();
    });
    idem.wait_idle().await;
    ran.try_recv().unwrap();
}
