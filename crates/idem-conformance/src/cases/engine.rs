//! G1–G5 of the engine over the store, as far as no time has to pass.

use std::{
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use idem_core::{Claim, Failure, Idempotency, OnBusy, RecordKey, Refused, error::ExecuteError};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Harness, Verdict,
    call::{PATIENCE, all, look, record_at, scaled},
    engine::{self, acquire, claim, expect_replay, expect_stored, patient, request},
    sample::Keys,
};

const TASKS: usize = 100;
const ROUNDS: usize = 5;

/// **G1.** A hundred tasks over one key: one execution, and every other answer is a replay of it
/// or *in flight*.
pub async fn g1_a_hundred_tasks_execute_once(harness: &dyn Harness) -> Verdict {
    let crowd = Crowd::new(harness, OnBusy::Reject).await;
    let keys = Keys::draw(harness);
    for _ in 0..ROUNDS {
        for answer in crowd.rush(&keys.random()).await {
            match answer {
                Ok(42) | Err(ExecuteError::Refused(Refused::InFlight { .. })) => {}
                other => panic!("G1: an answer that nobody stored: {other:?}"),
            }
        }
    }
    Ok(())
}

/// **G1, G2.** The same with callers who wait: one execution, and a hundred times its answer.
pub async fn g2_a_hundred_waiting_tasks_get_one_answer(harness: &dyn Harness) -> Verdict {
    let wait = OnBusy::Wait(scaled(harness, PATIENCE));
    let crowd = Crowd::new(harness, wait).await;
    let keys = Keys::draw(harness);
    for _ in 0..ROUNDS {
        for answer in crowd.rush(&keys.random()).await {
            assert!(
                matches!(answer, Ok(42)),
                "G2: one answer for all: {answer:?}"
            );
        }
    }
    Ok(())
}

/// **G1.** While a lease runs, other claims are told *in flight* and how long it lasts still.
pub async fn g1_a_running_lease_is_respected(harness: &dyn Harness) -> Verdict {
    let key = Keys::draw(harness).random();
    let policy = patient(harness);
    let ours = engine::fresh(harness, policy.clone()).await;
    let theirs = engine::fresh(harness, policy.clone()).await;
    let execution = acquire(&ours, &key).await;
    for _ in 0..5 {
        match claim(&theirs, &key).await {
            Claim::Refused(Refused::InFlight { retry_after }) => {
                assert!(retry_after <= policy.lease_time());
            }
            other => panic!("G1: somebody runs it, but the claim is told {other:?}"),
        }
    }
    expect_stored(execution.complete("done").await);
    Ok(())
}

/// **G2.** A replay is the stored answer, byte for byte, as often as one asks and through every
/// handle: empty, zero, all 256 values, and what looks like nothing.
pub async fn g2_a_replay_is_byte_for_byte(harness: &dyn Harness) -> Verdict {
    let keys = Keys::draw(harness);
    let ours = engine::fresh(harness, patient(harness)).await;
    let theirs = engine::fresh(harness, patient(harness)).await;
    let all: Vec<u8> = (0..=255).collect();
    for payload in [&b""[..], b"\0", b"null", b"0", b"false", b"\xff\r\n", &all] {
        let key = keys.random();
        let completed = acquire(&ours, &key).await.complete(payload.to_vec()).await;
        expect_stored(completed);
        for engine in [&ours, &theirs, &ours, &theirs] {
            expect_replay(engine, &key, payload).await;
        }
    }
    Ok(())
}

/// **G2.** A failure is an ending like any other: it is replayed, and nothing runs again.
pub async fn g2_a_failure_is_replayed(harness: &dyn Harness) -> Verdict {
    let key = Keys::draw(harness).random();
    let ours = engine::fresh(harness, patient(harness)).await;
    let theirs = engine::fresh(harness, patient(harness)).await;
    let failed = acquire(&ours, &key).await.fail("card declined").await;
    expect_stored(failed);
    for engine in [&ours, &theirs, &theirs] {
        match claim(engine, &key).await {
            Claim::ReplayFailure(payload) => assert_eq!(payload, "card declined"),
            other => panic!("G2: it failed, but the claim is told {other:?}"),
        }
    }
    Ok(())
}

/// **G2.** Typed answers that are falsy replay as themselves.
pub async fn g2_a_falsy_answer_is_an_answer(harness: &dyn Harness) -> Verdict {
    let keys = Keys::draw(harness);
    let engine = engine::fresh(harness, patient(harness)).await;
    let (unit, none, no, zero) = (keys.random(), keys.random(), keys.random(), keys.random());
    for replayed in [false, true] {
        expect_answer(&engine, &unit, (), replayed).await;
        expect_answer(&engine, &none, None::<u8>, replayed).await;
        expect_answer(&engine, &no, false, replayed).await;
        expect_answer(&engine, &zero, 0_u64, replayed).await;
    }
    Ok(())
}

/// **G4.** Another request under the same key is a mismatch in every state, also in flight, and
/// changes nothing.
pub async fn g4_another_request_is_a_mismatch_in_every_state(harness: &dyn Harness) -> Verdict {
    let (store, keys) = (harness.store().await, Keys::draw(harness));
    let engine = engine::over(store.clone(), patient(harness));
    let [running, retryable, completed, failed] = std::array::from_fn(|_| keys.random());
    let execution = acquire(&engine, &running).await;
    let ended = acquire(&engine, &retryable).await.fail_retryable().await;
    expect_stored(ended);
    let ended = acquire(&engine, &completed).await.complete("yes").await;
    expect_stored(ended);
    let ended = acquire(&engine, &failed).await.fail("no").await;
    expect_stored(ended);

    for key in [&running, &retryable, &completed, &failed] {
        let before = record_at(&*store, key).await;
        let told = engine.claim(key, &engine::other_request()).await;
        assert!(
            matches!(told, Ok(Claim::Refused(Refused::Mismatch))),
            "G4: {told:?}"
        );
        assert_eq!(record_at(&*store, key).await, before, "G4: nothing changed");
    }
    expect_stored(execution.complete("done").await);
    expect_replay(&engine, &running, b"done").await;
    Ok(())
}

/// **G1.** A retryable ending lets the next claim run, with the next attempt number and the last
/// checkpoint.
pub async fn g1_a_retryable_key_runs_again(harness: &dyn Harness) -> Verdict {
    let key = Keys::draw(harness).random();
    let engine = engine::fresh(harness, patient(harness)).await;
    for attempt in 1..4 {
        let execution = acquire(&engine, &key).await;
        assert_eq!(execution.attempt(), attempt, "G1: the fencing number grows");
        let resumed = (attempt > 1).then(|| format!("step {}", attempt - 1));
        assert_eq!(
            execution.previous_checkpoint().map(|bytes| &**bytes),
            resumed.as_deref().map(str::as_bytes),
            "G8: the last checkpoint is handed on"
        );
        let left = execution.checkpoint(format!("step {attempt}")).await;
        assert!(left.is_ok(), "nobody took over: {left:?}");
        let ended = execution.fail_retryable().await;
        expect_stored(ended);
    }
    Ok(())
}

/// **G1.** A released key is as new: the record is gone, and the next claim is attempt 1, also of
/// another request.
pub async fn g1_a_released_key_is_as_new(harness: &dyn Harness) -> Verdict {
    let (store, key) = (harness.store().await, Keys::draw(harness).random());
    let engine = engine::over(store.clone(), patient(harness));
    expect_stored(acquire(&engine, &key).await.release().await);
    assert_eq!(look(&*store, &key).await, None, "G1: released is gone");
    match engine.claim(&key, &engine::other_request()).await {
        Ok(Claim::Acquired(execution)) => assert_eq!(execution.attempt(), 1),
        other => panic!("G1: the key is free, but the claim is told {other:?}"),
    }
    Ok(())
}

/// **G2.** A waiter gets the answer of an execution in another process.
pub async fn g2_a_waiter_gets_the_answer(harness: &dyn Harness) -> Verdict {
    let key = Keys::draw(harness).random();
    let ours = engine::fresh(harness, patient(harness)).await;
    let wait = OnBusy::Wait(scaled(harness, PATIENCE));
    let theirs = engine::fresh(harness, patient(harness).on_busy(wait)).await;
    let execution = acquire(&ours, &key).await;
    let waiting = tokio::spawn({
        let key = key.clone();
        async move { claim(&theirs, &key).await }
    });
    expect_stored(execution.complete("done").await);
    match all([waiting]).await.remove(0) {
        Claim::Replay(payload) => assert_eq!(payload, "done", "G2: the stored answer"),
        other => panic!("G2: it is completed, but the waiter is told {other:?}"),
    }
    Ok(())
}

/// **G1.** A waiter for a key that is released runs, and only under a claim of its own: of many
/// exactly one.
pub async fn g1_waiters_for_a_released_key_run_one_at_a_time(harness: &dyn Harness) -> Verdict {
    const WAITERS: usize = 8;
    let key = Keys::draw(harness).random();
    let ours = engine::fresh(harness, patient(harness)).await;
    let wait = OnBusy::Wait(scaled(harness, PATIENCE));
    let theirs = engine::fresh(harness, patient(harness).on_busy(wait)).await;
    let execution = acquire(&ours, &key).await;
    let running = Arc::new(AtomicUsize::new(0));
    let waiting = (0..WAITERS).map(|_| {
        let (engine, key, running) = (theirs.clone(), key.clone(), running.clone());
        tokio::spawn(async move {
            match claim(&engine, &key).await {
                Claim::Acquired(execution) => {
                    let others = running.fetch_add(1, Ordering::SeqCst);
                    assert_eq!(others, 0, "G1: two executions are live at once");
                    tokio::task::yield_now().await;
                    running.fetch_sub(1, Ordering::SeqCst);
                    expect_stored(execution.release().await);
                }
                other => panic!("G1: the key gets free, but a waiter is told {other:?}"),
            }
        })
    });
    let waiting: Vec<_> = waiting.collect();
    expect_stored(execution.release().await);
    all(waiting).await;
    Ok(())
}

/// Many callers over a few engines, each with a handle of its own.
struct Crowd {
    engines: Vec<Idempotency>,
}

impl Crowd {
    async fn new(harness: &dyn Harness, on_busy: OnBusy) -> Self {
        let mut engines = Vec::new();
        for _ in 0..4 {
            engines.push(engine::fresh(harness, patient(harness).on_busy(on_busy)).await);
        }
        Self { engines }
    }

    /// All at once over one key; asserts that exactly one of them executed.
    async fn rush(&self, key: &RecordKey) -> Vec<Result<u8, ExecuteError<String>>> {
        let effects = Arc::new(AtomicUsize::new(0));
        let tasks = (0..TASKS).map(|n| {
            let engine = self.engines[n % self.engines.len()].clone();
            let (key, effects) = (key.clone(), effects.clone());
            tokio::spawn(async move {
                let work = async |_| {
                    effects.fetch_add(1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    Ok::<_, Failure<String>>(42)
                };
                let outcome = engine.execute(&key, &request(), work).await;
                outcome.map(|outcome| outcome.value)
            })
        });
        let answers = all(tasks).await;
        assert_eq!(
            effects.load(Ordering::SeqCst),
            1,
            "G1: {TASKS} tasks over one key execute once"
        );
        answers
    }
}

async fn expect_answer<T>(engine: &Idempotency, key: &RecordKey, value: T, replayed: bool)
where
    T: Serialize + DeserializeOwned + Clone + PartialEq + Debug,
{
    let work = async |_| Ok::<_, Failure<String>>(value.clone());
    match engine.execute(key, &request(), work).await {
        Ok(outcome) => {
            assert_eq!(
                outcome.replayed, replayed,
                "G2: the second time is a replay"
            );
            assert_eq!(outcome.value, value, "G2: it replays as itself");
        }
        Err(error) => panic!("G2: an answer is an answer, but the caller is told {error:?}"),
    }
}
