//! Ending without losing an execution.

use serde_json::json;

use crate::service::{Answer, Service, trouble};

/// The client is gone, the service is asked to end: the charge under way is finished first.
#[tokio::test]
async fn an_execution_without_a_client_is_awaited() {
    let service = Service::start(&[]).await;
    let slow = trouble(&json!({"delay_ms": 1000}));
    let request = tokio::spawn(Answer::try_of(service.payment("acme", "k", &slow)));
    service.at_work("acme").await;
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());

    let status = service.program.terminate().await.unwrap();
    assert!(status.success(), "{status}");
    let log = service.program.log();
    let moved = log.find("money moved").expect("the charge went through");
    let ended = log.find("nothing is left under way").unwrap();
    assert!(moved < ended, "{log}");
}

/// A client that waits for its answer gets it.
#[tokio::test]
async fn a_request_under_way_is_answered() {
    let service = Service::start(&[]).await;
    let slow = trouble(&json!({"delay_ms": 500}));
    let request = tokio::spawn(Answer::of(service.payment("acme", "k", &slow)));
    service.at_work("acme").await;
    let (status, answer) = tokio::join!(service.program.terminate(), request);
    assert!(status.unwrap().success());
    assert_eq!(answer.unwrap().status.as_u16(), 201);
}
