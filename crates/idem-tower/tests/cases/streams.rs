//! Answers that go out while their handler is still making them.

use std::{sync::Arc, time::Duration};

use crate::support::{
    App, layer, memory, open, pay,
    shop::{Runs, shop},
};
use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use idem_core::Idempotency;
use idem_http::Profile;
use tokio::sync::Semaphore;

/// Goes out as soon as something has to be waited for.
fn eager() -> Profile {
    Profile::default().stream_after(Duration::ZERO, 64 << 10)
}

/// A shop whose answers are `first`, and then as many times "more" as the gate lets through, up to
/// `more`.
fn streaming(
    idem: &Idempotency,
    profile: Profile,
    first: Bytes,
    more: usize,
) -> (App, Runs, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let opens = Arc::clone(&gate);
    let (app, runs) = shop(layer(idem).profile(profile), move |_| {
        let gate = Arc::clone(&gate);
        let rest = stream::iter(0..more).then(move |_| {
            let gate = Arc::clone(&gate);
            async move {
                gate.acquire().await.unwrap().forget();
                Ok(Bytes::from("more"))
            }
        });
        let first = stream::iter([Ok::<_, std::io::Error>(first.clone())]);
        let body = Body::from_stream(first.chain(rest));
        async move { body }
    });
    (app, runs, opens)
}

async fn send(app: &App) -> Response {
    let request = pay("k").into_request::<Body>();
    open(app, request).await
}

async fn next_frame(body: &mut Body) -> Bytes {
    let frame = body.frame().await.unwrap().unwrap();
    frame.into_data().unwrap()
}

#[tokio::test]
async fn an_answer_that_is_not_whole_in_time_goes_out_as_it_comes_and_is_replayed_whole() {
    for profile in [eager(), Profile::default()] {
        let idem = memory();
        let (app, runs, gate) = streaming(&idem, profile, Bytes::from("first"), 2);
        let mut body = send(&app).await.into_body();
        assert_eq!(next_frame(&mut body).await, "first");
        assert_eq!(pay("k").send(&app).await.code(), "in-flight");
        gate.add_permits(2);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "moremore");
        let again = pay("k").send(&app).await;
        assert_eq!(
            (&again.body[..], again.replayed()),
            (&b"firstmoremore"[..], true)
        );
        assert_eq!(runs.get(), 1);
    }
}

#[tokio::test]
async fn an_answer_of_unknown_length_goes_out_once_it_is_large() {
    let patient = Profile::default().stream_after(Duration::from_secs(3600), 64 << 10);
    let large = Bytes::from(vec![b'x'; (64 << 10) + 1]);
    let (app, _, _gate) = streaming(&memory(), patient, large.clone(), 1);
    let mut body = send(&app).await.into_body();
    let mut read = Vec::new();
    while read.len() < large.len() {
        read.extend(next_frame(&mut body).await);
    }
    assert_eq!(read, large);
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_its_answer_stops_nothing() {
    let idem = memory();
    let (app, runs, gate) = streaming(&idem, eager(), Bytes::from("first"), 50);
    drop(send(&app).await);
    gate.add_permits(50);
    idem.wait_idle().await;
    let again = pay("k").send(&app).await;
    assert_eq!((again.body.len(), again.replayed()), (5 + 50 * 4, true));
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn a_live_answer_over_the_limit_reaches_its_client_whole_and_is_stored_without_its_body() {
    let idem = memory();
    let profile = eager().response_limit(8);
    let (app, runs, gate) = streaming(&idem, profile, Bytes::from("first"), 2);
    let body = send(&app).await.into_body();
    gate.add_permits(2);
    assert_eq!(body.collect().await.unwrap().to_bytes(), "firstmoremore");
    let again = pay("k").send(&app).await;
    assert_eq!(again.header("idempotent-replay-body"), Some("omitted"));
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn an_endless_answer_is_cut_off_after_the_longest_run_and_stored_without_its_body() {
    let idem = memory();
    let profile = eager().longest_run(Some(Duration::from_millis(20)));
    let (app, runs, _gate) = streaming(&idem, profile, Bytes::from("first"), 1);
    let mut body = send(&app).await.into_body();
    assert_eq!(next_frame(&mut body).await, "first");
    assert!(body.collect().await.is_err());
    idem.wait_idle().await;
    let again = pay("k").send(&app).await;
    assert_eq!(again.header("idempotent-replay-body"), Some("omitted"));
    assert_eq!((again.status.as_u16(), runs.get()), (200, 1));
}

#[tokio::test]
async fn a_handler_that_runs_for_too_long_is_stopped_and_is_a_stored_500() {
    let idem = memory();
    let profile = Profile::default().longest_run(Some(Duration::from_millis(20)));
    let (app, runs) = shop(layer(&idem).profile(profile), |_| {
        std::future::pending::<()>()
    });
    let first = pay("k").send(&app).await;
    assert_eq!(first.code(), "handler-failed");
    pay("k").send(&app).await.assert_replays(&first);
    assert_eq!(runs.get(), 1);
    idem.wait_idle().await;
}

#[tokio::test]
async fn an_answer_whose_body_panics_is_cut_off_and_runs_once_for_ever() {
    let idem = memory();
    let (app, runs) = shop(layer(&idem).profile(eager()), |_| async {
        let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from("first"))]);
        let panics = stream::once(async {
            tokio::task::yield_now().await;
            panic!("on fire")
        });
        Body::from_stream(first.chain(panics))
    });
    let mut body = send(&app).await.into_body();
    assert_eq!(next_frame(&mut body).await, "first");
    assert!(body.collect().await.is_err());
    idem.wait_idle().await;
    let again = pay("k").send(&app).await;
    assert_eq!(again.header("idempotent-replay-body"), Some("omitted"));
    assert_eq!(runs.get(), 1);
}
