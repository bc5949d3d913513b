//! Clients that hang up, and shutdown.

mod support;

use std::sync::Arc;

use axum::{extract::Request, middleware::Next};
use idem_tower::Profile;
use support::{
    layer, memory, pay,
    shop::{gated, spawn_payment, until},
    wire,
};
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::Notify};

/// HTTP/2 rapid reset: requests whose clients go at once.
#[tokio::test]
async fn executions_whose_clients_are_gone_are_bounded() {
    let idem = memory();
    let (app, runs, gate) = gated(layer(&idem).profile(Profile::default().abandoned_limit(3)));
    for key in 0..100 {
        let answer = pay(&format!("k{key}")).send(&app);
        if let Some(refused) = futures_util::FutureExt::now_or_never(answer) {
            assert_eq!(refused.code(), "overloaded");
            assert_eq!(refused.header("retry-after"), Some("1"));
        }
    }
    assert_eq!(runs.get(), 3);
    gate.add_permits(100);
    idem.wait_idle().await;
    assert_eq!(pay("k99").send(&app).await.status, 201);
}

/// Says when the server is done with a request, or gave it up.
struct Over(Arc<Notify>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// Over the wire: writes a payment, hangs up once it runs, waits until the server has noticed and
/// dropped the request, and only then lets the handler go on.
#[tokio::test]
async fn a_client_that_hangs_up_mid_handler_cancels_nothing_and_its_retry_gets_the_answer() {
    let idem = memory();
    let (app, runs, gate) = gated(layer(&idem));
    let over = Arc::new(Notify::new());
    let dropped = Arc::clone(&over);
    let app = app.layer(axum::middleware::from_fn(
        move |request: Request, next: Next| {
            let over = Over(Arc::clone(&over));
            async move {
                let response = next.run(request).await;
                drop(over);
                response
            }
        },
    ));
    let address = wire::serve(app).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let body = r#"{"amount":500}"#;
    let request = format!(
        "POST /payments HTTP/1.1\r\nhost: shop\r\nidempotency-key: k\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    client.write_all(request.as_bytes()).await.unwrap();
    until(|| runs.get() == 1).await;
    drop(client);
    dropped.notified().await;
    gate.add_permits(1);
    idem.wait_idle().await;
    let retry = wire::send_call(address, pay("k")).await;
    assert!(retry.replayed());
    assert_eq!(retry.body, r#"{"id":1}"#);
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn a_future_that_is_dropped_mid_handler_cancels_nothing() {
    let idem = memory();
    let (app, runs, gate) = gated(layer(&idem));
    let first = spawn_payment(&app);
    until(|| runs.get() == 1).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    gate.add_permits(1);
    idem.wait_idle().await;
    assert!(pay("k").send(&app).await.replayed());
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn a_graceful_shutdown_waits_for_handlers_whose_clients_are_gone() {
    let idem = memory();
    let (app, runs, gate) = gated(layer(&idem));
    let first = spawn_payment(&app);
    until(|| runs.get() == 1).await;
    first.abort();
    let mut drained = std::pin::pin!(idem.wait_idle());
    assert!(futures_util::FutureExt::now_or_never(drained.as_mut()).is_none());
    gate.add_permits(1);
    drained.await;
    assert!(pay("k").send(&app).await.replayed());
}
