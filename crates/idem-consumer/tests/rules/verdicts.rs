//! One delivery, one verdict.

use std::time::Duration;

use idem_conformance::{CallFault, Op};
use idem_consumer::{Deferral, Message, Reason, Verdict};
use idem_core::{
    Claim, Context, Failure, Fingerprint, OnAbandoned, OnOutage, OnPanic, Policy, Resolution,
    store::Store as _,
};

use super::{LEASE, SECOND, builder, fine, message, never, three_attempts, world};

fn deferred(verdict: Verdict) -> (Duration, Deferral) {
    match verdict {
        Verdict::Defer { delay, cause } => (delay, cause),
        other => panic!("{other:?}"),
    }
}

fn dead(verdict: Verdict) -> Reason {
    match verdict {
        Verdict::DeadLetter(reason) => reason,
        other => panic!("{other:?}"),
    }
}

/// What the record's fingerprint is made of unless set otherwise.
fn print(message: &Message) -> Fingerprint {
    Fingerprint::of("idem-consumer/v1", message.body())
}

#[tokio::test(start_paused = true)]
async fn a_repeat_is_acknowledged_without_running_and_has_the_stored_answer() {
    let (_, idem) = world(Policy::default());
    let consumer = builder(&idem).build().unwrap();
    for replayed in [false, true] {
        let verdict = if replayed {
            consumer.handle(&message("a"), never).await
        } else {
            consumer.handle(&message("a"), fine).await
        };
        let Verdict::Ack(done) = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!((done.replayed, &*done.answer), (replayed, &b"1"[..]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_in_flight_is_deferred_by_what_is_left_of_the_lease() {
    let (_, idem) = world(Policy::default());
    let consumer = builder(&idem).build().unwrap();
    let key = consumer.key_of(&message("a")).unwrap();
    let held = idem.claim(&key, &print(&message("a"))).await.unwrap();
    for (passed, least) in [(0, 30), (20, 10), (9, 1)] {
        tokio::time::advance(passed * SECOND).await;
        let (delay, cause) = deferred(consumer.handle(&message("a"), never).await);
        assert!(matches!(cause, Deferral::InFlight), "{cause}");
        assert!(
            delay >= least * SECOND && delay <= least * SECOND * 5 / 4,
            "{delay:?}"
        );
    }
    // Never a hot loop, not even when the lease is over in a moment.
    tokio::time::advance(Duration::from_millis(999)).await;
    let (delay, _) = deferred(consumer.handle(&message("a"), never).await);
    assert!(delay >= SECOND, "{delay:?}");
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn another_body_under_the_same_key_is_a_dead_letter_whatever_became_of_the_first() {
    let (_, idem) = world(Policy::default());
    let consumer = builder(&idem).build().unwrap();
    let other = Message::new("5 usd").with_header("Idempotency-Key", "a");
    let during = consumer.clone();
    let wrong = other.clone();
    let first = message("a");
    let verdict = consumer.handle(&first, async move |_| {
        let reason = dead(during.handle(&wrong, never).await);
        assert!(matches!(reason, Reason::Mismatch), "{reason}");
        Ok::<_, Failure<String>>(())
    });
    assert_eq!(verdict.await.name(), "done");
    let reason = dead(consumer.handle(&other, never).await);
    assert!(matches!(reason, Reason::Mismatch), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn failures_without_effect_are_deferred_longer_each_time_and_end_with_the_attempts() {
    let (_, idem) = world(three_attempts());
    let consumer = builder(&idem).build().unwrap();
    let fail = async |_: Context| Err::<(), _>(Failure::Retryable("no route".to_owned()));
    for seconds in [1, 2] {
        let (delay, cause) = deferred(consumer.handle(&message("a"), fail).await);
        assert!(matches!(cause, Deferral::Failed { .. }), "{cause}");
        assert!(
            delay >= seconds * SECOND && delay < 2 * seconds * SECOND,
            "{delay:?}"
        );
    }
    let reason = dead(consumer.handle(&message("a"), fail).await);
    assert_eq!(
        reason.to_string(),
        "it has had all its 3 attempts; the last one failed: no route"
    );
    let reason = dead(consumer.handle(&message("a"), never).await);
    assert!(
        matches!(
            reason,
            Reason::Exhausted {
                attempts: 3,
                last: None
            }
        ),
        "{reason}"
    );
}

/// A message that kills its worker says nothing: its attempts are counted by the claims.
#[tokio::test(start_paused = true)]
async fn a_message_that_kills_its_workers_ends_with_the_attempts() {
    let (_, idem) = world(Policy::default());
    let consumer = builder(&idem).build().unwrap();
    let mut workers = 0;
    let reason = loop {
        let first = message("a");
        let killed = consumer.handle(&first, async |_| {
            std::future::pending::<()>().await;
            Ok::<_, Failure<String>>(())
        });
        match tokio::time::timeout(LEASE / 10, killed).await {
            Err(_) => workers += 1,
            Ok(verdict) => break dead(verdict),
        }
        tokio::time::advance(2 * LEASE).await;
    };
    assert_eq!(workers, 10, "the limit where the policy has none");
    assert!(
        matches!(reason, Reason::Exhausted { attempts: 10, .. }),
        "{reason}"
    );
}

#[tokio::test(start_paused = true)]
async fn final_failures_and_panics_are_dead_letters_now_and_for_every_repeat() {
    let (_, idem) = world(Policy::default());
    let consumer = builder(&idem).build().unwrap();
    let quiet = builder(&idem).ack_failures().build().unwrap();
    let declined = async |_: Context| Err::<(), _>(Failure::Final("declined".to_owned()));
    let reason = dead(consumer.handle(&message("a"), declined).await);
    assert_eq!(reason.to_string(), "the handler failed for good: declined");
    let repeat = dead(consumer.handle(&message("a"), never).await);
    assert!(matches!(&repeat, Reason::Failed { error, replayed: true } if error == "declined"));
    assert_eq!(quiet.handle(&message("a"), never).await.name(), "repeat");

    let reason = dead(consumer.handle(&message("b"), never).await);
    assert_eq!(reason.to_string(), "the handler panicked: the handler ran");
    let repeat = dead(consumer.handle(&message("b"), fine).await);
    assert!(
        matches!(repeat, Reason::Panicked { replayed: true, .. }),
        "{repeat}"
    );

    let forgiving = Policy::default().on_panic(OnPanic::Retry);
    let (_, idem) = world(forgiving);
    let consumer = builder(&idem).build().unwrap();
    let (_, cause) = deferred(consumer.handle(&message("c"), never).await);
    assert!(matches!(cause, Deferral::Failed { .. }), "{cause}");
    assert_eq!(consumer.handle(&message("c"), fine).await.name(), "done");
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_message_is_a_dead_letter_or_parked_until_its_key_is_settled() {
    let (_, idem) = world(Policy::default().on_abandoned(OnAbandoned::Halt));
    let consumer = builder(&idem).build().unwrap();
    let parking = builder(&idem).park_abandoned(300 * SECOND).build().unwrap();
    let key = consumer.key_of(&message("a")).unwrap();
    let Claim::Acquired(lost) = idem.claim(&key, &print(&message("a"))).await.unwrap() else {
        panic!("it is new");
    };
    drop(lost);
    tokio::time::advance(LEASE).await;
    let reason = dead(consumer.handle(&message("a"), never).await);
    assert!(
        matches!(reason, Reason::Abandoned { attempt: 1 }),
        "{reason}"
    );
    let (delay, cause) = deferred(parking.handle(&message("a"), never).await);
    assert!(
        matches!(cause, Deferral::Abandoned { attempt: 1 }),
        "{cause}"
    );
    assert!(delay >= 300 * SECOND, "{delay:?}");
    idem.resolve(&key, Resolution::completed(&17).unwrap())
        .await
        .unwrap();
    assert_eq!(parking.handle(&message("a"), never).await.name(), "repeat");
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_nothing_runs_and_delays_grow() {
    let (store, idem) = world(Policy::default());
    let consumer = builder(&idem).build().unwrap();
    store.on_every_call(CallFault::Refuse);
    let mut last = Duration::ZERO;
    for _ in 0..4 {
        let (delay, cause) = deferred(consumer.handle(&message("a"), never).await);
        assert!(matches!(cause, Deferral::StoreAway(_)), "{cause}");
        assert!(
            delay > last && delay <= 75 * SECOND,
            "{delay:?} after {last:?}"
        );
        last = delay;
        tokio::time::advance(last * 2).await;
    }
    store.heal();
    assert_eq!(consumer.handle(&message("a"), fine).await.name(), "done");
    store.on_every_call(CallFault::Refuse);
    let (delay, _) = deferred(consumer.handle(&message("b"), never).await);
    assert!(delay < 2 * SECOND, "a new outage begins anew: {delay:?}");
}

/// Not acknowledged, so the broker brings it again, and the repeat finds what was stored after all.
#[tokio::test(start_paused = true)]
async fn an_ending_of_unknown_outcome_is_not_acknowledged_and_its_repeat_is() {
    for fault in [CallFault::Refuse, CallFault::LoseReply] {
        for fails in [false, true] {
            let (store, idem) = world(Policy::default());
            let consumer = builder(&idem).build().unwrap();
            let faulty = store.clone();
            let first = message("a");
            let verdict = consumer.handle(&first, async move |_| {
                faulty.on_every_call(fault);
                match fails {
                    true => Err(Failure::Final("declined".to_owned())),
                    false => Ok(17),
                }
            });
            let (_, cause) = deferred(verdict.await);
            assert!(matches!(cause, Deferral::NotStored), "{fault:?}: {cause}");
            store.heal();
            idem.wait_idle().await;
            let verdict = consumer.handle(&message("a"), never).await;
            let expected = if fails { "dead-letter" } else { "repeat" };
            assert_eq!(verdict.name(), expected, "{fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_superseded_handler_is_not_acknowledged() {
    let (store, idem) = world(Policy::default());
    let consumer = builder(&idem).build().unwrap();
    let key = consumer.key_of(&message("a")).unwrap();
    let first = message("a");
    let verdict = consumer.handle(&first, async |_| {
        // The record goes behind the holder's back, and another worker does the message.
        let stored = store.inner().get(&key).await.unwrap().unwrap();
        store
            .inner()
            .delete(&key, stored.record.version)
            .await
            .unwrap();
        let Claim::Acquired(successor) = idem.claim(&key, &print(&first)).await.unwrap() else {
            panic!("the key is free");
        };
        successor.complete("2").await.unwrap();
        Ok::<_, Failure<String>>(1)
    });
    let (_, cause) = deferred(verdict.await);
    assert!(matches!(cause, Deferral::Superseded), "{cause}");
    let Verdict::Ack(done) = consumer.handle(&message("a"), never).await else {
        panic!("the successor's answer is stored");
    };
    assert_eq!(&*done.answer, b"2");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_the_store_refuses_is_done_without_it() {
    use idem_memory::{MemoryConfig, MemoryStore};
    let small = MemoryStore::with_config(MemoryConfig::default().max_bytes(4096));
    let idem = idem_core::Idempotency::new(small);
    let consumer = builder(&idem).build().unwrap();
    let large = async |_: Context| Ok::<_, Failure<String>>("x".repeat(10_000));
    for name in ["done", "repeat"] {
        let verdict = consumer.handle(&message("a"), large).await;
        assert_eq!(verdict.name(), name);
        assert!(matches!(verdict, Verdict::Ack(done) if &*done.answer == b"null"));
    }
}

#[tokio::test(start_paused = true)]
async fn under_fail_open_it_runs_without_a_record() {
    let (store, idem) = world(Policy::default().on_outage(OnOutage::FailOpen));
    let consumer = builder(&idem).build().unwrap();
    store.on_every_call(CallFault::Refuse);
    assert_eq!(consumer.handle(&message("a"), fine).await.name(), "done");
    let reason = dead(consumer.handle(&message("a"), never).await);
    assert!(matches!(reason, Reason::Panicked { .. }), "{reason}");
}

/// Checkpoints and derived keys are the handler's, over attempts.
#[tokio::test(start_paused = true)]
async fn the_next_attempt_finds_the_checkpoint_and_the_same_derived_key() {
    let (_, idem) = world(Policy::default());
    let consumer = builder(&idem).build().unwrap();
    let (mut keys, mut left) = (Vec::new(), None);
    for attempt in 1..=2 {
        let first = message("a");
        let verdict = consumer.handle(&first, async |context| {
            keys.push(context.derive_key("charge"));
            left = context.previous_checkpoint().cloned();
            context
                .checkpoint("page 7")
                .await
                .map_err(|e| e.to_string())?;
            match attempt {
                1 => Err(Failure::Retryable("no route".to_owned())),
                _ => Ok(()),
            }
        });
        drop(verdict.await);
    }
    assert_eq!(keys[0], keys[1]);
    assert_eq!(left.as_deref(), Some(&b"page 7"[..]));
}

/// Lost request or lost reply of the claim: the engine asks again, and it runs once.
#[tokio::test(start_paused = true)]
async fn a_claim_whose_reply_is_lost_runs_once() {
    for fault in [CallFault::LoseReply, CallFault::LoseRequest] {
        let (store, idem) = world(Policy::default());
        let consumer = builder(&idem).build().unwrap();
        store.on_next(Op::Create, fault);
        assert_eq!(consumer.handle(&message("a"), fine).await.name(), "done");
    }
}
