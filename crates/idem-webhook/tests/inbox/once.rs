//! What was verified runs once.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use idem_conformance::{CallFault, Op};
use idem_core::{OnBusy, OnPanic, Policy};
use idem_webhook::{BoxError, Event, Receipt, Verifier};
use tokio::sync::Notify;

use crate::support::{GITHUB, NOW, STRIPE, World, by_github, by_stripe, delivery};

const FIRST: Receipt = Receipt::Done { repeat: false };
const REPEAT: Receipt = Receipt::Done { repeat: true };

async fn fails(_: Event) -> Result<(), BoxError> {
    Err("not today".into())
}

#[tokio::test]
async fn a_repeat_of_what_was_worked_off_does_not_run() {
    let world = World::new();
    let inbox = world.standard();
    assert_eq!(delivery(&inbox, "e").run(world.work()).await, FIRST);
    assert_eq!(delivery(&inbox, "e").run(world.work()).await, REPEAT);
    assert_eq!(delivery(&inbox, "e").accept(world.work()).await, REPEAT);
    assert_eq!(delivery(&inbox, "other").run(world.work()).await, FIRST);
    assert_eq!(world.runs(), 2);
}

#[tokio::test]
async fn an_accepted_event_is_answered_before_it_is_worked_off() {
    let policy = Policy::default().on_busy(OnBusy::Wait(Duration::from_secs(600)));
    let world = World::with(policy);
    let inbox = world.standard();
    let go = Arc::new(Notify::new());
    let (wait, work) = (Arc::clone(&go), world.work());
    let handler = async move |event: Event| {
        wait.notified().await;
        assert_eq!((event.attempt(), event.body().as_ref()), (1, &b"{}"[..]));
        work(event).await
    };
    let taken = delivery(&inbox, "e").accept(handler).await;
    assert_eq!((taken, world.runs()), (Receipt::Taken { repeat: false }, 0));
    assert_eq!(taken.status(), 202);

    // It is stored, so that is what a repeat is told, at once; whoever waits for the end is not.
    let repeat = delivery(&inbox, "e").accept(world.work()).await;
    assert_eq!(repeat, Receipt::Taken { repeat: true });
    let waiting = delivery(&inbox, "e").run(world.work()).await;
    assert!(matches!(waiting, Receipt::InWork { .. }));
    assert_eq!(waiting.status(), 409);

    go.notify_one();
    world.idem.wait_idle().await;
    assert_eq!(delivery(&inbox, "e").accept(world.work()).await, REPEAT);
    assert_eq!(world.runs(), 1);
}

/// What `run` has in work is not stored, so no repeat is told that it is.
#[tokio::test]
async fn only_what_is_stored_is_promised() {
    let world = World::new();
    let inbox = world.standard();
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, wait) = (Arc::clone(&begun), Arc::clone(&go));
    let first = tokio::spawn(delivery(&inbox, "e").run(async move |_| {
        begins.notify_one();
        wait.notified().await;
        Ok::<_, BoxError>(())
    }));
    begun.notified().await;
    // The sender hangs up, and the handler goes on.
    first.abort();
    let repeat = delivery(&inbox, "e").accept(world.work()).await;
    assert!(matches!(repeat, Receipt::InWork { .. }));
    go.notify_one();
    world.idem.wait_idle().await;
    assert_eq!(delivery(&inbox, "e").run(world.work()).await, REPEAT);
}

#[tokio::test]
async fn what_failed_runs_again_until_its_attempts_are_spent() {
    let world = World::with(Policy::default().max_attempts(NonZeroU32::new(2).unwrap()));
    let inbox = world.standard();
    assert_eq!(delivery(&inbox, "e").run(fails).await, Receipt::Failed);
    assert_eq!(delivery(&inbox, "e").run(world.work()).await, FIRST);

    for _ in 0..2 {
        assert_eq!(delivery(&inbox, "poison").run(fails).await, Receipt::Failed);
    }
    assert_eq!(
        delivery(&inbox, "poison").run(world.work()).await,
        Receipt::GivenUp
    );
    assert_eq!(world.runs(), 1);
}

#[tokio::test]
async fn a_panic_ends_an_event_as_the_policy_says() {
    for (policy, first, second) in [
        (OnPanic::Fail, Receipt::GivenUp, Receipt::GivenUp),
        (OnPanic::Retry, Receipt::Failed, FIRST),
    ] {
        let world = World::with(Policy::default().on_panic(policy));
        let inbox = world.standard();
        async fn panics(_: Event) -> Result<(), BoxError> {
            panic!("a bug")
        }
        assert_eq!(delivery(&inbox, "e").run(panics).await, first);
        assert_eq!(delivery(&inbox, "e").run(world.work()).await, second);
    }
}

#[tokio::test]
async fn senders_and_endpoints_do_not_share_ids() {
    let world = World::new();
    for (sender, endpoint) in [("a", "x"), ("a", "y"), ("b", "x")] {
        let verifier = Verifier::standard([crate::support::STANDARD]).unwrap();
        let verifier = verifier.clock(crate::support::at(NOW));
        let inbox = idem_webhook::Inbox::new(&world.idem, sender, endpoint, verifier).unwrap();
        assert_eq!(delivery(&inbox, "e").run(world.work()).await, FIRST);
    }
    assert_eq!(world.runs(), 3);
}

/// Stripe counts in the body to how many endpoints an event is still to be delivered.
#[tokio::test]
async fn a_repeat_of_stripes_may_differ_in_its_body() {
    let world = World::new();
    let inbox = world.inbox(Verifier::stripe([STRIPE]).unwrap());
    for (pending, receipt) in [(2, FIRST), (1, REPEAT)] {
        let body = format!(r#"{{"id":"evt_1","pending_webhooks":{pending}}}"#);
        let delivery = inbox.verify(&by_stripe(&body), body.into()).unwrap();
        assert_eq!(delivery.run(world.work()).await, receipt);
    }
}

/// GitHub does not sign the id, so another event under it is not taken for a repeat.
#[tokio::test]
async fn g4_another_body_under_an_id_of_githubs_is_refused() {
    let world = World::new();
    let inbox = world.inbox(Verifier::github([GITHUB]).unwrap());
    for (body, receipt) in [("{}", FIRST), ("[]", Receipt::OtherEvent), ("{}", REPEAT)] {
        let delivery = inbox.verify(&by_github("g", body), body.into()).unwrap();
        assert_eq!(delivery.run(world.work()).await, receipt);
    }
}

#[tokio::test]
async fn g6_nothing_runs_while_the_store_is_away() {
    let world = World::with(Policy::default().retry_budget(Duration::ZERO));
    let inbox = world.standard();
    world.store.on_every_call(CallFault::Refuse);
    let away = delivery(&inbox, "e").accept(world.work()).await;
    assert_eq!(away, Receipt::StoreUnavailable);
    let answer = away.into_response();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["retry-after"]),
        (503, &"1".parse().unwrap())
    );
    world.store.heal();

    // It is claimed, and cannot be stored: no promise, and the next delivery runs.
    world.store.on_next(Op::Update, CallFault::Refuse);
    let half = delivery(&inbox, "e").accept(world.work()).await;
    assert_eq!((half, world.runs()), (Receipt::StoreUnavailable, 0));
    assert_eq!(delivery(&inbox, "e").run(world.work()).await, FIRST);
    assert_eq!(world.runs(), 1);
}

#[tokio::test]
async fn over_the_bound_nothing_is_taken() {
    let world = World::new();
    let inbox = world.standard().at_once(1);
    let never = async |_: Event| std::future::pending::<Result<(), BoxError>>().await;
    delivery(&inbox, "e").accept(never).await;
    let before = world.store.calls();
    assert_eq!(
        delivery(&inbox, "f").accept(world.work()).await,
        Receipt::Overloaded
    );
    assert_eq!(world.store.calls(), before);
}
