//! Both halves together: the client's middleware against the server's layer, with trouble between.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod support;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Extension, Router, response::Response};
use http::StatusCode;
use idem_http::Disposition;
use idem_http::client::{GaveUp, IdempotencyMiddleware, RetryRules};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error};
use support::{
    layer, memory,
    shop::{Runs, created, payments, shop},
    wire::serve,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

fn client(most_sendings: u32) -> ClientWithMiddleware {
    let mut rules = RetryRules::default();
    rules.first_pause = Duration::from_millis(2);
    rules.most_sendings = most_sendings;
    ClientBuilder::new(reqwest::Client::new())
        .with(IdempotencyMiddleware::new(rules))
        .build()
}

async fn pay(
    client: &ClientWithMiddleware,
    address: SocketAddr,
) -> Result<reqwest::Response, Error> {
    let url = format!("http://{address}/payments");
    client.post(url).body(r#"{"amount":500}"#).send().await
}

/// A proxy that passes requests on, and loses the answers to the first `lost` of them.
async fn losing_answers(server: SocketAddr, lost: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for connection in 0.. {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut upstream = TcpStream::connect(server).await.unwrap();
            if connection < lost {
                let mut bytes = [0; 4096];
                let request = client.read(&mut bytes).await.unwrap();
                upstream.write_all(&bytes[..request]).await.unwrap();
                // The answer arrives here, so the payment was made; the client never sees it.
                assert!(upstream.read(&mut bytes).await.unwrap() > 0);
            } else {
                tokio::spawn(async move {
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
                });
            }
        }
    });
    address
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_and_the_payment_is_made_once() {
    let (app, runs) = payments(layer(&memory()));
    let proxy = losing_answers(serve(app).await, 2).await;
    let answer = pay(&client(8), proxy).await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert_eq!(answer.headers()["idempotent-replayed"], "true");
    assert_eq!(answer.text().await.unwrap(), r#"{"id":1}"#);
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn two_intents_have_two_keys() {
    let (app, runs) = payments(layer(&memory()));
    let (client, address) = (client(8), serve(app).await);
    for _ in 0..2 {
        let answer = pay(&client, address).await.unwrap();
        assert!(!answer.headers().contains_key("idempotent-replayed"));
    }
    assert_eq!(runs.get(), 2);
}

#[tokio::test]
async fn a_503_is_sent_again_and_a_422_is_not() {
    let (app, runs) = shop(layer(&memory()), |run| async move {
        match run {
            1 => (
                StatusCode::SERVICE_UNAVAILABLE,
                Extension(Disposition::Retryable),
            ),
            _ => (
                StatusCode::UNPROCESSABLE_ENTITY,
                Extension(Disposition::Final),
            ),
        }
    });
    let answer = pay(&client(8), serve(app).await).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(runs.get(), 2);
}

/// A shop whose first run waits for the gate.
fn gated(gate: &Arc<Semaphore>) -> (Router, Runs) {
    let gate = Arc::clone(gate);
    shop(layer(&memory()), move |run| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.unwrap().forget();
            created(run)
        }
    })
}

#[tokio::test]
async fn an_in_flight_409_is_sent_again_until_the_answer_is_there() {
    let gate = Arc::new(Semaphore::new(0));
    let (app, runs) = gated(&gate);
    let address = serve(conflicts_open(app, &gate)).await;
    let key = ("idempotency-key", "\"order-1\"");
    let send = |client: ClientWithMiddleware| async move {
        let url = format!("http://{address}/payments");
        client.post(url).header(key.0, key.1).send().await.unwrap()
    };
    let first = tokio::spawn(send(client(1)));
    while runs.get() == 0 {
        tokio::task::yield_now().await;
    }
    let second = send(client(8)).await;
    assert_eq!(second.status(), StatusCode::CREATED);
    assert_eq!(second.headers()["idempotent-replayed"], "true");
    assert_eq!(
        first.await.unwrap().text().await.unwrap(),
        second.text().await.unwrap()
    );
    assert_eq!(runs.get(), 1);
}

/// Opens the gate with the first 409, and asks to come back at once.
fn conflicts_open(app: Router, gate: &Arc<Semaphore>) -> Router {
    let gate = Arc::clone(gate);
    app.layer(axum::middleware::map_response(
        move |mut response: Response| {
            let gate = Arc::clone(&gate);
            async move {
                if response.status() == StatusCode::CONFLICT {
                    response.headers_mut().insert("retry-after", 0.into());
                    gate.add_permits(1);
                }
                response
            }
        },
    ))
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_that_says_that_nothing_ran() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let error = pay(&client(3), address).await.unwrap_err();
    assert!(error.is_connect(), "{error:?}");
}

#[tokio::test]
async fn giving_up_on_lost_answers_says_that_the_outcome_is_unknown() {
    let (app, runs) = payments(layer(&memory()));
    let proxy = losing_answers(serve(app).await, usize::MAX).await;
    let error = pay(&client(3), proxy).await.unwrap_err();
    let Error::Middleware(error) = error else {
        panic!("{error:?}");
    };
    assert_eq!(error.downcast_ref(), Some(&GaveUp::OutcomeUnknown));
    assert_eq!(runs.get(), 1);
}
