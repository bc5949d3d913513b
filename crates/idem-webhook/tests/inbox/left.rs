//! What a process left when it died is worked off by the next.

use std::{num::NonZeroU32, time::Duration};

use idem_core::{Idempotency, OnPanic, Policy};
use idem_memory::{ManualClock, MemoryConfig, MemoryStore};
use idem_webhook::{BoxError, Event, Inbox, Verifier, WorkedOff};
use tokio::runtime::{Builder, Runtime};

use crate::support::{GITHUB, by_github};

fn process() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn inbox(store: &MemoryStore, endpoint: &str) -> Inbox {
    let idem = Idempotency::builder(store.clone()).policy(Policy::default());
    let verifier = Verifier::github([GITHUB]).unwrap();
    Inbox::new(&idem.build().unwrap(), "github", endpoint, verifier).unwrap()
}

/// G8, for webhooks: an event that was answered with 202 outlives the process.
#[test]
fn an_event_that_was_taken_outlives_its_process() {
    let clock = ManualClock::new();
    let store = MemoryStore::with_config(MemoryConfig::default().clock(clock.clone()));
    let body = r#"{"ref":"main"}"#;

    let first = process();
    first.block_on(async {
        let inbox = inbox(&store, "ci");
        let delivery = inbox.verify(&by_github("g", body), body.into()).unwrap();
        let never = async |_: Event| std::future::pending::<Result<(), BoxError>>().await;
        assert_eq!(delivery.accept(never).await.status(), 202);
        // One that failed is left as well, and free at once.
        let other = inbox.verify(&by_github("h", "{}"), "{}".into()).unwrap();
        let fails = async |_: Event| Err::<(), _>(BoxError::from("not today"));
        assert_eq!(other.accept(fails).await.status(), 202);
        tokio::task::yield_now().await;
    });
    drop(first); // as a crash: nothing is ended

    process().block_on(async {
        let inbox = inbox(&store, "ci");
        let work = async |event: Event| {
            assert_eq!((event.attempt(), event.kind()), (2, Some("push")));
            assert_eq!(
                event.body().len(),
                if event.id().as_str() == "g" { 14 } else { 2 }
            );
            Ok::<_, BoxError>(())
        };
        let done = |done| WorkedOff { done, failed: 0 };
        // Another endpoint's events are not this one's, and what has a holder stays its holder's.
        let elsewhere = self::inbox(&store, "deploy");
        assert_eq!(elsewhere.work_off(&store, work).await.unwrap(), done(0));
        assert_eq!(inbox.work_off(&store, work).await.unwrap(), done(1));

        clock.advance(Duration::from_secs(31));
        assert_eq!(inbox.work_off(&store, work).await.unwrap(), done(1));
        assert_eq!(inbox.work_off(&store, work).await.unwrap(), done(0));
        let repeat = inbox.verify(&by_github("g", body), body.into()).unwrap();
        assert_eq!(repeat.accept(work).await.status(), 200);
    });
}

/// A panic is a bug of this service's, and the sender does not deliver again what it got a 202 for.
#[tokio::test]
async fn an_accepted_event_whose_handler_panics_runs_again_within_its_attempts() {
    let store = MemoryStore::new();
    let engine = |attempts| {
        let policy = Policy::default().on_panic(OnPanic::Fail);
        let policy = policy.max_attempts(NonZeroU32::new(attempts).unwrap());
        let idem = Idempotency::builder(store.clone()).policy(policy);
        idem.build().unwrap()
    };
    let inbox = |idem| {
        let verifier = Verifier::github([GITHUB]).unwrap();
        Inbox::new(idem, "github", "ci", verifier).unwrap()
    };
    async fn panics(_: Event) -> Result<(), BoxError> {
        panic!("a bug")
    }
    let idem = engine(2);
    let two = inbox(&idem);
    let delivery = two.verify(&by_github("g", "{}"), "{}".into()).unwrap();
    assert_eq!(delivery.accept(panics).await.status(), 202);
    idem.wait_idle().await;

    let failed = |failed| WorkedOff { done: 0, failed };
    assert_eq!(two.work_off(&store, panics).await.unwrap(), failed(1));
    let work = async |event: Event| {
        assert_eq!((event.attempt(), &event.body()[..]), (3, &b"{}"[..]));
        Ok::<_, BoxError>(())
    };
    // Both attempts were used up, and the event is there still.
    assert_eq!(two.work_off(&store, work).await.unwrap(), failed(1));
    let three = inbox(&engine(3));
    let done = WorkedOff { done: 1, failed: 0 };
    assert_eq!(three.work_off(&store, work).await.unwrap(), done);
}
