//! What a process left when it died is worked off by the next.

use std::time::Duration;

use idem_core::{Idempotency, Policy};
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
