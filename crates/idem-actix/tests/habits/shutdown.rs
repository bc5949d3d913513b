//! Clients that hang up, and workers that stop.

use std::{future::pending, sync::Arc};

use actix_web::{HttpResponse, web};
use idem_core::Idempotency;
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::Semaphore};

use crate::support::{App, layer, memory, pay, shop::Runs};

struct Shop {
    app: App,
    runs: Runs,
    gate: Arc<Semaphore>,
}

/// A shop whose handler holds what cannot leave its thread, and waits for a permit of the gate.
fn gated(idem: &Idempotency) -> Shop {
    let (runs, gate) = (Runs::default(), Arc::new(Semaphore::new(0)));
    let (counting, waiting, layer) = (runs.clone(), Arc::clone(&gate), layer(idem));
    let app = App::start(2, move |config| {
        let (counting, waiting) = (counting.clone(), Arc::clone(&waiting));
        let handler = move || {
            let (run, gate) = (counting.count(), Arc::clone(&waiting));
            async move {
                let local = std::rc::Rc::new(run);
                gate.acquire().await.unwrap().forget();
                HttpResponse::Created().body(format!("run {local}"))
            }
        };
        let scope = web::scope("").wrap(layer.clone());
        config.service(scope.default_service(web::to(handler)));
    });
    Shop { app, runs, gate }
}

async fn until(mut happened: impl FnMut() -> bool) {
    while !happened() {
        tokio::task::yield_now().await;
    }
}

impl Shop {
    /// Sends a payment and hangs up once it runs.
    async fn pay_and_hang_up(&self) {
        let mut client = TcpStream::connect(self.app.address()).await.unwrap();
        let body = r#"{"amount":500}"#;
        let request = format!(
            "POST /payments HTTP/1.1\r\nhost: shop\r\nidempotency-key: k\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        client.write_all(request.as_bytes()).await.unwrap();
        let before = self.runs.get();
        until(|| self.runs.get() > before).await;
    }
}

#[tokio::test]
async fn g1_a_client_that_hangs_up_mid_handler_cancels_nothing_and_its_retry_gets_the_answer() {
    let idem = memory();
    let shop = gated(&idem);
    shop.pay_and_hang_up().await;
    assert_eq!(pay("k").send(&shop.app).await.code(), "in-flight");
    shop.gate.add_permits(1);
    let retry = loop {
        let retry = pay("k").send(&shop.app).await;
        if retry.status != 409 {
            break retry;
        }
    };
    assert_eq!((&retry.body[..], retry.replayed()), (&b"run 1"[..], true));
    assert_eq!(shop.runs.get(), 1);
}

/// Workers stop once their connections are gone, and with them what runs without a client.
#[tokio::test]
async fn a_shutdown_that_waits_for_idle_lets_handlers_end_whose_clients_are_gone() {
    let idem = memory();
    let shop = gated(&idem);
    shop.pay_and_hang_up().await;
    // It counts as background work from its first pause on.
    assert_eq!(pay("k").send(&shop.app).await.code(), "in-flight");
    let handle = shop.app.handle();
    handle.pause().await;
    let stopping = tokio::spawn({
        let (idem, handle) = (idem.clone(), handle);
        async move {
            idem.wait_idle().await;
            handle.stop(true).await;
        }
    });
    tokio::task::yield_now().await;
    assert!(!stopping.is_finished());
    shop.gate.add_permits(1);
    stopping.await.unwrap();

    let next = gated(&idem);
    let retry = pay("k").send(&next.app).await;
    assert_eq!((&retry.body[..], retry.replayed()), (&b"run 1"[..], true));
    assert_eq!((shop.runs.get(), next.runs.get()), (1, 0));
}

/// The lease of a handler that went down with its worker holds: nothing runs beside it.
#[tokio::test]
async fn g1_a_handler_that_goes_down_with_its_worker_keeps_its_key() {
    let idem = memory();
    let shop = gated(&idem);
    shop.pay_and_hang_up().await;
    shop.app.handle().stop(false).await;
    idem.wait_idle().await;
    let next = gated(&idem);
    assert_eq!(pay("k").send(&next.app).await.code(), "in-flight");
    assert_eq!(next.runs.get(), 0);
}

/// A server whose handlers never end stops all the same.
#[tokio::test]
async fn a_forced_stop_waits_for_no_handler() {
    let layer = layer(&memory());
    let runs = Runs::default();
    let counting = runs.clone();
    let app = App::start(1, move |config| {
        let counting = counting.clone();
        let handler = move || {
            counting.count();
            pending::<HttpResponse>()
        };
        let scope = web::scope("").wrap(layer.clone());
        config.service(scope.default_service(web::to(handler)));
    });
    let paying = tokio::spawn({
        let app = app.clone();
        async move { crate::support::wire::try_open(app.address(), pay("k")).await }
    });
    until(|| runs.get() == 1).await;
    app.handle().stop(false).await;
    assert!(paying.await.unwrap().is_err());
}
