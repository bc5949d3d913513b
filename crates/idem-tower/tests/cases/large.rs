//! Bodies that are large, streamed, endless or broken.

use std::time::Duration;

use crate::support::{
    layer, memory, open,
    outage::cuttable,
    pay,
    shop::{created, shop},
};
use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use http_body_util::BodyExt;
use idem_core::{Idempotency, Policy, store::StoreErrorKind};
use idem_http::Profile;

const LARGE: usize = 3 << 19;

fn pieces(pieces: usize, size: usize) -> Body {
    let piece = Bytes::from(vec![b'x'; size]);
    let pieces = (0..pieces).map(move |_| Ok::<_, std::io::Error>(piece.clone()));
    Body::from_stream(stream::iter(pieces))
}

/// Sends one payment and two repeats to a handler whose answer is not kept whole.
async fn assert_omitted(
    idem: &Idempotency,
    body: impl Fn() -> Response + Clone + Send + Sync + 'static,
    len: usize,
) {
    let (app, runs) = shop(layer(idem), move |_| {
        let response = body();
        async move { (StatusCode::CREATED, [("location", "/payments/1")], response) }
    });
    let first = pay("k").send(&app).await;
    assert_eq!((first.status.as_u16(), first.body.len()), (201, len));
    assert!(first.body.iter().all(|byte| *byte == b'x'));
    assert_eq!(first.header("idempotent-replay-body"), None);
    for _ in 0..2 {
        let again = pay("k").send(&app).await;
        assert_eq!((again.status.as_u16(), again.body.len()), (201, 0));
        assert_eq!(again.header("location"), Some("/payments/1"));
        assert_eq!(again.header("idempotent-replay-body"), Some("omitted"));
        assert!(again.replayed());
    }
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn an_answer_of_one_and_a_half_mebibytes_runs_once_for_ever() {
    assert_omitted(&memory(), || "x".repeat(LARGE).into_response(), LARGE).await;
}

#[tokio::test]
async fn a_stream_that_outgrows_the_limit_is_passed_on_whole_and_runs_once_for_ever() {
    assert_omitted(&memory(), || pieces(48, LARGE / 48).into_response(), LARGE).await;
}

const REFUSALS: [StoreErrorKind; 2] = [StoreErrorKind::TooLarge, StoreErrorKind::Full];

/// Within the limit of the layer, and over that of the store or of its memory.
#[tokio::test]
async fn g2_an_answer_that_the_store_refuses_is_kept_without_its_body() {
    for refusal in REFUSALS {
        let (idem, cable) = cuttable(Policy::default());
        cable.refuse_over(1 << 10, refusal);
        assert_omitted(&idem, || "x".repeat(2048).into_response(), 2048).await;
    }
}

/// Where not even the status and the headers are taken, the key stays held.
#[tokio::test]
async fn g1_an_answer_of_which_nothing_is_kept_runs_once() {
    for refusal in REFUSALS {
        let (idem, cable) = cuttable(Policy::default());
        cable.refuse_over(0, refusal);
        let body = "x".repeat(2048);
        let (app, runs) = shop(layer(&idem), move |_| {
            let body = body.clone();
            async move { (StatusCode::CREATED, body) }
        });
        let first = pay("k").send(&app).await;
        assert_eq!((first.status.as_u16(), first.body.len()), (201, 2048));
        for _ in 0..2 {
            let again = pay("k").send(&app).await;
            assert_eq!(again.status, StatusCode::CONFLICT, "{refusal:?}");
            assert_eq!(again.code(), "in-flight");
        }
        cable.make_room();
        idem.wait_idle().await;
        let again = pay("k").send(&app).await;
        assert_eq!(again.status, StatusCode::CREATED);
        assert_eq!(again.header("idempotent-replay-body"), Some("omitted"));
        assert_eq!(runs.get(), 1);
    }
}

#[tokio::test]
async fn a_stream_within_the_limit_is_kept_whole() {
    let (app, runs) = shop(layer(&memory()), |_| async { pieces(16, 1 << 16) });
    let first = pay("k").send(&app).await;
    assert_eq!(first.body.len(), 1 << 20);
    pay("k").send(&app).await.assert_replays(&first);
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn a_gzip_answer_is_replayed_as_it_is() {
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    let (app, runs) = shop(layer(&memory()), move |_| async move {
        ([("content-encoding", "gzip")], gzip.as_slice())
    });
    let first = pay("k").send(&app).await;
    let again = pay("k").send(&app).await;
    again.assert_replays(&first);
    assert_eq!(again.body, gzip.as_slice());
    assert_eq!(again.header("content-encoding"), Some("gzip"));
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn the_limit_of_an_answer_can_be_set() {
    let (app, _) = shop(
        layer(&memory()).profile(Profile::default().response_limit(4)),
        |run| async move { if run == 1 { "1234" } else { "12345" } },
    );
    assert_eq!(pay("a").send(&app).await.body, "1234");
    assert_eq!(pay("a").send(&app).await.body, "1234");
    assert_eq!(pay("b").send(&app).await.body, "12345");
    assert_eq!(
        pay("b").send(&app).await.header("idempotent-replay-body"),
        Some("omitted")
    );
}

/// Its media type is taken without case.
#[tokio::test]
async fn an_event_stream_is_passed_on_at_once_and_is_in_flight_until_it_ends() {
    let held_back = Profile::default().stream_after(Duration::from_secs(3600), usize::MAX);
    let (app, runs) = shop(layer(&memory()).profile(held_back), |_| async {
        let event = stream::once(async { Ok::<_, std::io::Error>(Bytes::from("data: 1\n\n")) });
        // It has no end: to read it whole before passing it on would hang here.
        let events = futures_util::StreamExt::chain(event, stream::pending());
        (
            [("content-type", "Text/Event-Stream; charset=utf-8")],
            Body::from_stream(events),
        )
    });
    let request = pay("k").into_request::<Body>();
    let response = open(&app, request).await;
    let mut body = response.into_body();
    let frame = body.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "data: 1\n\n");
    assert_eq!(pay("k").send(&app).await.code(), "in-flight");
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_passed_on_as_it_is_and_runs_once_for_ever() {
    let (app, runs) = shop(layer(&memory()), |_| async {
        let pieces = [Ok(Bytes::from("half")), Err(std::io::Error::other("broke"))];
        Body::from_stream(stream::iter(pieces))
    });
    let request = pay("k").into_request::<Body>();
    let response = open(&app, request).await;
    let mut body = response.into_body();
    let frame = body.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "half");
    assert!(body.frame().await.unwrap().is_err());
    assert_eq!(
        pay("k").send(&app).await.header("idempotent-replay-body"),
        Some("omitted")
    );
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn a_request_over_the_limit_is_413_and_leaves_no_claim_behind() {
    let idem = memory();
    let (app, runs) = shop(
        layer(&idem).profile(Profile::default().request_limit(1000)),
        |run| async move { created(run) },
    );
    let refused = pay("k").body("x".repeat(1001)).send(&app).await;
    assert_eq!(
        (refused.status.as_u16(), refused.code().as_str()),
        (413, "body-too-large")
    );
    let mut streamed = pay("k").into_request::<Body>();
    *streamed.body_mut() = pieces(11, 100);
    let response = open(&app, streamed).await;
    assert_eq!(response.status(), 413);
    assert_eq!(runs.get(), 0);
    assert_eq!(pay("k").body("x".repeat(1000)).send(&app).await.status, 201);
    assert_eq!(runs.get(), 1);
}

/// Nothing is left to decode, so nothing says how.
#[tokio::test]
async fn an_answer_without_its_body_is_replayed_without_what_describes_the_body() {
    let profile = Profile::default().response_limit(4);
    let (app, _) = shop(layer(&memory()).profile(profile), |_| async {
        let headers = [("content-encoding", "gzip"), ("content-language", "en")];
        (headers, "12345")
    });
    assert_eq!(
        pay("k").send(&app).await.header("content-encoding"),
        Some("gzip")
    );
    let again = pay("k").send(&app).await;
    assert_eq!(again.header("idempotent-replay-body"), Some("omitted"));
    assert_eq!(again.header("content-encoding"), None);
    assert_eq!(again.header("content-language"), Some("en"));
}
