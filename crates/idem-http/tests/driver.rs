//! The driver under a shell whose futures are not `Send`.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::{cell::Cell, rc::Rc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, request::Parts};
use idem_conformance::DURATIONS;
use idem_core::{Idempotency, Scope};
use idem_http::{
    Code, IDEMPOTENCY_KEY, Profile,
    driver::{
        Admission, Answer, Begin, BoxError, Guard, Head, PathFrom, Reply, Run, Source, Target,
        Whole,
    },
};
use idem_memory::MemoryStore;
use tokio::{
    sync::Notify,
    task::{LocalSet, spawn_local},
    time::sleep,
};

fn guard() -> Guard {
    let idem = Idempotency::builder(MemoryStore::default());
    Guard::new(idem.build().unwrap())
}

fn payment() -> Parts {
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    let key = HeaderValue::from_static("k");
    request.headers_mut().insert(IDEMPOTENCY_KEY, key);
    request.into_parts().0
}

async fn begin(guard: &Guard, parts: &Parts) -> Begin {
    match guard.admit(&Head::from(parts), || Ok(Scope::global())) {
        Admission::Protect(ticket) => {
            let body = Whole::from(Bytes::from("500 usd"));
            guard.begin(ticket, Head::from(parts), body).await
        }
        Admission::Answer(answer) => Begin::Answer(answer),
        other => panic!("{other:?}"),
    }
}

fn run(begin: Begin) -> Run {
    match begin {
        Begin::Run(run, body) => {
            assert_eq!(body.data, "500 usd");
            run
        }
        other => panic!("{other:?}"),
    }
}

fn answer(begin: Begin) -> Answer {
    match begin {
        Begin::Answer(answer) => answer,
        other => panic!("{other:?}"),
    }
}

/// A handler that waits, on a task that cannot leave its thread.
async fn pay(guard: Guard, run: Run, gate: Rc<Notify>, runs: Rc<Cell<u32>>) -> Answer {
    let work = async move {
        runs.set(runs.get() + 1);
        gate.notified().await;
        Ok::<_, BoxError>(Response::new(Whole::from(Bytes::from("paid"))))
    };
    let spawn = |task| drop(spawn_local(task));
    match guard
        .detach_local(|reply| run.drive(work, reply), spawn)
        .await
    {
        Ok(Reply::Answer(answer)) => answer,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "current_thread")]
async fn what_is_not_send_goes_on_without_its_client_and_is_waited_for() {
    let local = LocalSet::new();
    let waited = local.run_until(async {
        let guard = guard().path_from(PathFrom::AsSeen);
        let (gate, runs) = (Rc::new(Notify::new()), Rc::new(Cell::new(0)));
        let parts = payment();
        let running = run(begin(&guard, &parts).await);
        let client = pay(guard.clone(), running, Rc::clone(&gate), Rc::clone(&runs));
        let client = spawn_local(client);
        tokio::task::yield_now().await;
        client.abort();
        assert!(client.await.unwrap_err().is_cancelled());

        let idle = spawn_local({
            let idem = guard.idempotency().clone();
            async move { idem.wait_idle().await }
        });
        tokio::task::yield_now().await;
        assert!(!idle.is_finished(), "the handler goes on");
        gate.notify_one();
        idle.await.unwrap();

        let replay = answer(begin(&guard, &parts).await);
        assert_eq!(replay.headers()["idempotent-replayed"], "true");
        assert_eq!(replay.body().size().exact, Some(4));
        assert_eq!(runs.get(), 1);
    });
    waited.await;
}

#[tokio::test]
async fn g4_a_request_whose_path_nobody_noted_does_not_run() {
    let guard = guard().on_error(|problem| {
        assert_eq!(problem.code, Code::Misconfigured);
        problem.into_response()
    });
    let mut parts = payment();
    let refused = answer(begin(&guard, &parts).await);
    assert_eq!(refused.status(), 500);
    assert_eq!(refused.headers()["idempotency-disposition"], "retryable");
    parts
        .extensions
        .insert(Target("/v1/payments".parse().unwrap()));
    let running = run(begin(&guard, &parts).await);
    assert!(running.context().is_protected());
    drop(running);
}

/// A run of a second, and a repeat beside it.
#[tokio::test(start_paused = true)]
async fn no_duration_of_a_profile_panics() {
    const SECOND: Duration = Duration::from_secs(1);
    let pay = async |knob: Duration| {
        let profile = Profile::default()
            .request_time(Some(knob))
            .in_flight_retry(knob)
            .stream_after(knob, 1)
            .longest_run(Some(knob));
        let guard = guard().path_from(PathFrom::AsSeen).profile(profile);
        let parts = payment();
        let running = run(begin(&guard, &parts).await);
        let busy = answer(begin(&guard, &parts).await);
        assert_eq!(busy.status(), 409, "{knob:?}");
        assert!(busy.headers().contains_key("retry-after"), "{knob:?}");
        let work = async {
            sleep(SECOND).await;
            Ok::<_, BoxError>(Response::new(Whole::from(Bytes::from("paid"))))
        };
        let spawn = |task| drop(spawn_local(task));
        let driven = guard.detach_local(|reply| running.drive(work, reply), spawn);
        let Ok(Reply::Answer(answer)) = driven.await else {
            panic!("{knob:?}: no answer");
        };
        let expected = if knob > SECOND { 200 } else { 500 };
        assert_eq!(answer.status(), expected, "{knob:?}");
    };
    let all = async {
        for knob in DURATIONS {
            pay(knob).await;
        }
    };
    LocalSet::new().run_until(all).await;
}
