//! Trouble on request. The charge goes through before the trouble comes.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::service::{Answer, Service, order, trouble};

async fn twice(service: &Service, key: &str, sandbox: &Value) -> (Answer, Answer) {
    let body = trouble(sandbox);
    let first = service.pay("acme", key, &body).await;
    (first, service.pay("acme", key, &body).await)
}

/// An error after the charge is an answer like any other: stored, and never run again.
#[tokio::test]
async fn final_statuses_are_replayed_and_charge_once() {
    let service = Service::start(&[]).await;
    let statuses = [200, 202, 303, 402, 404, 408, 422, 500, 502, 503, 504];
    for (charges, status) in (1..).zip(statuses) {
        let (first, again) = twice(&service, &status.to_string(), &json!({"status": status})).await;
        assert_eq!(first.status.as_u16(), status);
        again.assert_replays(&first);
        service.charged("acme", charges).await;
    }
}

/// 401 and 429 refuse a request by their definition, so a repeat runs. In the sandbox that is a lie,
/// and the count shows what it costs.
#[tokio::test]
async fn statuses_that_say_nothing_happened_run_again() {
    let service = Service::start(&[]).await;
    for (charges, status) in (1..).zip([401, 403, 425, 429]) {
        let (first, again) = twice(&service, &status.to_string(), &json!({"status": status})).await;
        assert_eq!(first.status.as_u16(), status);
        assert_eq!(again.status.as_u16(), status);
        assert!(!again.is_replay());
        service.charged("acme", charges * 2).await;
    }
}

/// A panic is answered with 500, replayed, and takes nothing down with it.
#[tokio::test]
async fn a_panic_is_stored_as_a_500() {
    let service = Service::start(&[]).await;
    let (first, again) = twice(&service, "k", &json!({"panic": true})).await;
    assert_eq!(first.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(first.code(), "handler-failed");
    assert_eq!((again.status, again.code()), (first.status, first.code()));
    service.charged("acme", 1).await;
    let next = service.pay("acme", "next", &order()).await;
    assert_eq!(next.status, StatusCode::CREATED);
}

/// An answer too big to keep reaches its first caller whole; a repeat gets its head, and never a
/// second charge. Whether its length was known makes no difference.
#[tokio::test]
async fn an_answer_too_big_to_keep_never_runs_twice() {
    const BIG: usize = 3 << 19;
    let service = Service::start(&[]).await;
    for (charges, stream) in (1..).zip([false, true]) {
        let sandbox = json!({"response_bytes": BIG, "stream": stream});
        let (first, again) = twice(&service, &stream.to_string(), &sandbox).await;
        assert_eq!(first.status, StatusCode::CREATED);
        assert_eq!(first.body.len(), BIG);
        assert_eq!(first.header("content-length").is_none(), stream);
        assert_eq!(again.status, first.status);
        assert_eq!(again.header("location"), first.header("location"));
        assert_eq!(again.header("idempotent-replay-body"), Some("omitted"));
        assert!(again.body.is_empty());
        service.charged("acme", charges).await;
    }
}

/// A stream that fits is kept, and replayed, whole.
#[tokio::test]
async fn a_stream_that_fits_is_replayed_whole() {
    let service = Service::start(&[]).await;
    let sandbox = json!({"response_bytes": 100_000, "stream": true});
    let (first, again) = twice(&service, "k", &sandbox).await;
    assert_eq!(first.body.len(), 100_000);
    again.assert_replays(&first);
    service.charged("acme", 1).await;
}

/// Refunds have the same sandbox.
#[tokio::test]
async fn refunds_make_trouble_too() {
    let service = Service::start(&[]).await;
    let request = || {
        service
            .request("acme", Method::POST, "/v1/refunds")
            .header("Idempotency-Key", "k")
            .json(&trouble(&json!({"status": 502})))
    };
    let first = Answer::of(request()).await;
    assert_eq!(first.status, StatusCode::BAD_GATEWAY);
    Answer::of(request()).await.assert_replays(&first);
}
