//! Two idempotency layers on the way of one request.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod support;

use std::sync::Arc;

use axum::{Router, body::Body, extract::Request, routing::any};
use idem_core::Policy;
use support::{
    layer, memory,
    outage::cuttable,
    pay,
    shop::{Runs, created, payments, shop},
};
use tokio::sync::Semaphore;
use tower::ServiceExt;

/// A gateway with a layer of its own over another store, which passes requests on to the backend
/// as over a wire: nothing but status, headers and body comes back.
fn gateway(backend: Router) -> Router {
    let pass_on = move |request: Request| {
        let backend = backend.clone();
        async move {
            let (mut head, body) = request.into_parts();
            head.extensions.clear();
            let request = Request::from_parts(head, body);
            let mut response = backend.oneshot(request).await.unwrap();
            response.extensions_mut().clear();
            response
        }
    };
    let app = Router::new().fallback(any(pass_on));
    app.layer(layer(&memory()))
}

#[tokio::test]
async fn a_layer_that_meets_its_own_claim_passes_through() {
    let (app, runs) = payments(layer(&memory()));
    let idem = memory();
    let twice = app.layer(layer(&idem)).layer(layer(&idem));
    let first = pay("k").send(&twice).await;
    assert_eq!(first.status, 201);
    pay("k").send(&twice).await.assert_replays(&first);
    assert_eq!(runs.get(), 1);
}

fn gated() -> (Router, Runs, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let opens = Arc::clone(&gate);
    let (app, runs) = shop(layer(&memory()), move |run| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.unwrap().forget();
            created(run)
        }
    });
    (app, runs, opens)
}

#[tokio::test]
async fn a_gateway_does_not_store_the_in_flight_answer_of_its_backend() {
    let (backend, runs, gate) = gated();
    let first = tokio::spawn({
        let backend = backend.clone();
        async move { pay("k").send(&backend).await }
    });
    while runs.get() == 0 {
        tokio::task::yield_now().await;
    }
    let gateway = gateway(backend);
    for _ in 0..2 {
        assert_eq!(pay("k").send(&gateway).await.code(), "in-flight");
    }
    gate.add_permits(1);
    let first = first.await.unwrap();
    let through = pay("k").send(&gateway).await;
    assert_eq!((through.status, &through.body), (first.status, &first.body));
    pay("k").send(&gateway).await.assert_replays(&first);
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn a_gateway_does_not_store_that_the_store_of_its_backend_was_away() {
    let (idem, cable) = cuttable(Policy::default());
    let (backend, runs) = payments(layer(&idem));
    let gateway = gateway(backend);
    cable.cut();
    assert_eq!(pay("k").send(&gateway).await.code(), "store-unavailable");
    cable.mend();
    assert_eq!(pay("k").send(&gateway).await.status, 201);
    assert_eq!(runs.get(), 1);
}

/// The same in one process, where the extension says so.
#[tokio::test]
async fn an_outer_layer_does_not_store_the_problems_of_an_inner_one() {
    let (idem, cable) = cuttable(Policy::default());
    let (inner, runs) = payments(layer(&idem));
    // The context of the outer layer would make the inner one pass through.
    let inner = inner.layer(axum::middleware::map_request(async |request: Request| {
        let (mut head, body) = request.into_parts();
        head.extensions.remove::<idem_core::Context>();
        Request::<Body>::from_parts(head, body)
    }));
    let app = inner.layer(layer(&memory()));
    cable.cut();
    assert_eq!(pay("k").send(&app).await.code(), "store-unavailable");
    cable.mend();
    assert_eq!(pay("k").send(&app).await.status, 201);
    assert_eq!(runs.get(), 1);
}
