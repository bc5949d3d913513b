use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use idem_core::{
    Failure, OnPanic, Outcome, Recording, Refused,
    error::ExecuteError,
    store::{State, StoreErrorKind},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::*;

type Answer<T, E = String> = Result<Outcome<T>, ExecuteError<E>>;

async fn answer<T>(idem: &Idempotency, name: &str, value: T) -> Answer<T>
where
    T: Serialize + DeserializeOwned,
{
    idem.execute(&key(name), &print("a"), async |_| Ok(value))
        .await
}

#[tokio::test(start_paused = true)]
async fn g2_the_second_call_gets_the_first_ones_value_and_runs_nothing() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    let first = answer(&idem, "k", 1).await.unwrap();
    assert_eq!(
        (first.value, first.replayed, first.recording),
        (1, false, Recording::Stored)
    );
    let second = answer(&idem, "k", 2).await.unwrap();
    assert_eq!((second.value, second.replayed), (1, true));
}

#[tokio::test(start_paused = true)]
async fn g2_falsy_empty_and_binary_results_replay_as_themselves() {
    async fn twice<T>(idem: &Idempotency, name: &str, value: T, other: T)
    where
        T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug + Clone,
    {
        assert_eq!(
            answer(idem, name, value.clone()).await.unwrap().value,
            value
        );
        let again = answer(idem, name, other).await.unwrap();
        assert_eq!((again.value, again.replayed), (value, true));
    }
    let idem = engine(&ScriptedStore::default());
    twice(&idem, "unit", (), ()).await;
    twice(&idem, "false", false, true).await;
    twice(&idem, "zero", 0, 1).await;
    twice(&idem, "none", None, Some(1)).await;
    twice(&idem, "empty text", String::new(), "x".into()).await;
    twice(&idem, "empty list", Vec::<u8>::new(), vec![1]).await;
    twice(&idem, "binary", (0..=255).collect::<Vec<u8>>(), vec![]).await;
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Declined {
    CardExpired { month: u8 },
}

#[tokio::test(start_paused = true)]
async fn a_final_failure_is_replayed_and_a_bare_error_is_final() {
    let idem = engine(&ScriptedStore::default());
    for replayed in [false, true] {
        let result: Answer<(), Declined> = idem
            .execute(&key("k"), &print("a"), async |_| {
                Err(Declined::CardExpired { month: 2 })?;
                Ok(())
            })
            .await;
        match result.unwrap_err() {
            ExecuteError::Failed {
                error,
                replayed: again,
            } => {
                assert_eq!(
                    (error, again),
                    (Declined::CardExpired { month: 2 }, replayed)
                );
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_retryable_failure_runs_again_with_the_next_attempt() {
    let idem = engine(&ScriptedStore::default());
    let first: Answer<u32> = idem
        .execute(&key("k"), &print("a"), async |_| {
            Err(Failure::Retryable("busy".to_owned()))
        })
        .await;
    assert!(matches!(first, Err(ExecuteError::Retryable(error)) if error == "busy"));
    let second: Answer<u32> = idem
        .execute(
            &key("k"),
            &print("a"),
            async |running| Ok(running.attempt()),
        )
        .await;
    assert_eq!(second.unwrap().value, 2);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_an_ending_and_never_a_stuck_key() {
    let idem = engine(&ScriptedStore::default());
    for again in [false, true] {
        let result: Answer<()> = idem
            .execute(&key("k"), &print("a"), async |_| panic!("card {}", 7))
            .await;
        match result.unwrap_err() {
            ExecuteError::Panicked { message, replayed } => {
                assert_eq!((message.as_str(), replayed), ("card 7", again));
            }
            other => panic!("{other:?}"),
        }
    }
    let retry = idem
        .with_policy(Policy::default().on_panic(OnPanic::Retry))
        .unwrap();
    let result: Answer<()> = retry
        .execute(&key("r"), &print("a"), async |_| panic!("x"))
        .await;
    assert!(matches!(
        result,
        Err(ExecuteError::Panicked {
            replayed: false,
            ..
        })
    ));
    assert!(!answer(&retry, "r", 1).await.unwrap().replayed);
}

#[tokio::test(start_paused = true)]
async fn a_panic_before_the_first_await_is_caught_as_well() {
    let idem = engine(&ScriptedStore::default());
    let work = |_| -> std::future::Ready<Result<(), Failure<String>>> { panic!("at once") };
    let result: Answer<()> = idem.execute(&key("k"), &print("a"), work).await;
    assert!(matches!(result, Err(ExecuteError::Panicked { .. })));
}

/// Serialises into an error: it ran, so it must not run again.
#[derive(Debug, Deserialize)]
struct Unserialisable;

impl Serialize for Unserialisable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("no form"))
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_stored_is_not_run_again() {
    let idem = engine(&ScriptedStore::default());
    let runs = AtomicUsize::new(0);
    for again in [false, true] {
        let result: Answer<Unserialisable> = idem
            .execute(&key("k"), &print("a"), async |_| {
                runs.fetch_add(1, Ordering::SeqCst);
                Ok(Unserialisable)
            })
            .await;
        match result.unwrap_err() {
            ExecuteError::Unstorable { message, replayed } => {
                assert!(
                    message.ends_with("it does not serialise: no form"),
                    "{message}"
                );
                assert_eq!(replayed, again);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(runs.into_inner(), 1);
}

/// The first caller and every repeat get the same value, or the same refusal.
async fn told_alike<T>(name: &str, value: T) -> Result<T, String>
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug + Clone,
{
    let idem = engine(&ScriptedStore::default());
    let mut told = Vec::new();
    for _ in 0..2 {
        told.push(match answer(&idem, name, value.clone()).await {
            Ok(outcome) => Ok(outcome.value),
            Err(ExecuteError::Unstorable { message, .. }) => Err(message),
            Err(other) => panic!("{name}: {other:?}"),
        });
    }
    assert_eq!(told[0], told[1], "{name}: the repeat differs");
    told.remove(0)
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Nested(Vec<Self>);

#[tokio::test(start_paused = true)]
async fn g2_the_first_caller_gets_the_value_that_every_repeat_gets() {
    for cents in 1..1_000_u32 {
        let price = f64::from(cents) * 1.19 / 100.0;
        assert_eq!(
            told_alike("float", price).await,
            Ok(price),
            "to the last bit"
        );
    }
    told_alike("no number", f64::NAN).await.unwrap_err();
    told_alike("infinite", [1.0, f64::INFINITY])
        .await
        .unwrap_err();
    assert_eq!(told_alike("some none", Some(None::<u8>)).await, Ok(None));
    assert_eq!(told_alike("large", u128::MAX).await, Ok(u128::MAX));
    let nested = |depth| (0..depth).fold(Nested(vec![]), |inner, _| Nested(vec![inner]));
    assert_eq!(told_alike("deep", nested(100)).await, Ok(nested(100)));
    told_alike("too deep", nested(200)).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn g2_a_failure_is_told_alike_too() {
    let idem = engine(&ScriptedStore::default());
    for again in [false, true] {
        let result: Answer<(), f64> = idem
            .execute(&key("k"), &print("a"), async |_| {
                Err(Failure::Final(f64::NAN))
            })
            .await;
        match result.unwrap_err() {
            ExecuteError::Unstorable { replayed, .. } => assert_eq!(replayed, again),
            other => panic!("{other:?}"),
        }
    }
}

/// Panics when it is written or read: its work ran, so its key is not to be left in flight.
#[derive(Debug)]
struct Explosive;

impl Serialize for Explosive {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("no form")
    }
}

impl<'de> Deserialize<'de> for Explosive {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("no form")
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_whose_serde_code_panics_ends_as_a_panic() {
    let idem = engine(&ScriptedStore::default());
    for again in [false, true] {
        let result: Answer<Explosive> = answer(&idem, "k", Explosive).await;
        match result.unwrap_err() {
            ExecuteError::Panicked { message, replayed } => {
                assert_eq!((message.as_str(), replayed), ("no form", again));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A deployment that changes an answer's type is told so, with the type and the way out.
#[tokio::test(start_paused = true)]
async fn an_answer_that_an_older_release_stored_is_read_or_told_by_its_type() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Receipt {
        id: u64,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct WithDefault {
        id: u64,
        #[serde(default)]
        currency: Option<String>,
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct WithoutDefault {
        id: u64,
        currency: String,
    }
    let idem = engine(&ScriptedStore::default());
    answer(&idem, "k", Receipt { id: 17 }).await.unwrap();
    let currency = None;
    let newer = answer(&idem, "k", WithDefault { id: 0, currency }).await;
    assert_eq!(newer.unwrap().value.id, 17);
    let currency = String::new();
    let strict = answer(&idem, "k", WithoutDefault { id: 0, currency }).await;
    let told = strict.unwrap_err().to_string();
    for part in ["WithoutDefault", "missing field `currency`", "still stored"] {
        assert!(told.contains(part), "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_another_type_is_an_error_and_stays_stored() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    answer(&idem, "k", "text".to_owned()).await.unwrap();
    let wrong: Answer<u32> = answer(&idem, "k", 1).await;
    assert!(matches!(wrong, Err(ExecuteError::Unreadable(_))));
    assert_eq!(
        answer(&idem, "k", String::new()).await.unwrap().value,
        "text"
    );
    assert_eq!(
        store.state(&key("k")),
        Some(State::Completed {
            payload: "\"text\"".into()
        })
    );
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_left_by_the_work_is_found_by_the_next_attempt() {
    let idem = engine(&ScriptedStore::default());
    let first: Answer<()> = idem
        .execute(&key("k"), &print("a"), async |running| {
            running.checkpoint("charged").await.unwrap();
            Err(Failure::Retryable("mail server down".to_owned()))
        })
        .await;
    first.unwrap_err();
    let second: Answer<String> = idem
        .execute(&key("k"), &print("a"), async |running| {
            Ok(String::from_utf8_lossy(running.previous_checkpoint().unwrap()).into_owned())
        })
        .await;
    assert_eq!(second.unwrap().value, "charged");
}

#[tokio::test(start_paused = true)]
async fn work_whose_answer_the_store_does_not_take_is_answered_as_pending() {
    let store = ScriptedStore::default();
    let idem = engine(&store);
    let outage = store.clone();
    let first: Answer<u32> = idem
        .execute(&key("k"), &print("a"), async move |_| {
            outage.down(StoreErrorKind::Unavailable);
            Ok(7)
        })
        .await;
    assert_eq!(first.unwrap().recording, Recording::Pending);
    store.up();
    assert_eq!(answer(&idem, "k", 8).await.unwrap().value, 7);
}

/// 100 tasks × 200 rounds on one key: 200 executions, every other answer a replay or in-flight.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn g1_a_hundred_at_once_execute_once() {
    let idem = engine(&ScriptedStore::default());
    let runs = Arc::new(AtomicUsize::new(0));
    for round in 0..200 {
        let racers: Vec<_> = (0..100)
            .map(|_| {
                let (idem, runs) = (idem.clone(), Arc::clone(&runs));
                tokio::spawn(async move {
                    idem.execute(&key(&round.to_string()), &print("a"), async move |_| {
                        tokio::task::yield_now().await;
                        Ok::<_, Failure<String>>(runs.fetch_add(1, Ordering::SeqCst))
                    })
                    .await
                })
            })
            .collect();
        let mut executed = 0;
        for racer in racers {
            match racer.await.unwrap() {
                Ok(outcome) => {
                    executed += usize::from(!outcome.replayed);
                    assert_eq!(outcome.value, round);
                }
                Err(ExecuteError::Refused(Refused::InFlight { .. })) => {}
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(executed, 1);
    }
    assert_eq!(runs.load(Ordering::SeqCst), 200);
}
