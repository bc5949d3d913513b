//! Both halves together: the client's middleware against the server's layer, with trouble between.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod support;
#[path = "client/tower.rs"]
mod tower;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::any,
};
use http::StatusCode;
use idem_core::{IdempotencyKey, Policy};
use idem_http::{
    Profile,
    client::{GaveUp, IdempotencyMiddleware, Intent, IntentError, RetryRules, StopReason},
};
use idem_tower::IdempotencyLayer;
use reqwest_middleware::{ClientWithMiddleware, Error};
use support::{
    layer, memory,
    outage::cuttable,
    shop::{Runs, created, payments, shop},
    wire::serve,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

fn rules(most_sendings: u32) -> RetryRules {
    RetryRules::default()
        .first_pause(Duration::from_millis(2))
        .most_sendings(most_sendings)
}

fn client(most_sendings: u32) -> ClientWithMiddleware {
    let middleware = IdempotencyMiddleware::new(rules(most_sendings));
    middleware.client(reqwest::Client::builder()).unwrap()
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
async fn a_429_is_sent_again_and_a_422_is_not() {
    let (app, runs) = shop(layer(&memory()), |run| async move {
        match run {
            1 => StatusCode::TOO_MANY_REQUESTS.into_response(),
            2 => created(run),
            _ => StatusCode::UNPROCESSABLE_ENTITY.into_response(),
        }
    });
    let address = serve(app).await;
    let answer = pay(&client(8), address).await.unwrap();
    assert_eq!((answer.status(), runs.get()), (StatusCode::CREATED, 2));
    let answer = pay(&client(8), address).await.unwrap();
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    assert_eq!((answer.status(), runs.get()), (unprocessable, 3));
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

/// A shop that charges, and is then cut off by a timeout inside of the layer: the answer is a 408.
fn cut_off(layer: IdempotencyLayer) -> (Router, Runs) {
    let runs = Runs::default();
    let charges = runs.clone();
    let charge = move || {
        charges.count();
        std::future::pending::<StatusCode>()
    };
    let timeout = from_fn(|request: Request, next: Next| async {
        let answer = tokio::time::timeout(Duration::from_millis(5), next.run(request));
        answer
            .await
            .unwrap_or_else(|_| StatusCode::REQUEST_TIMEOUT.into_response())
    });
    let app = Router::new().fallback(any(charge));
    (app.layer(timeout).layer(layer), runs)
}

#[tokio::test]
async fn a_timeout_inside_of_the_layer_charges_once_and_its_408_is_the_outcome() {
    let mut profile = Profile::seed();
    profile.statuses = profile.statuses.stored(StatusCode::REQUEST_TIMEOUT);
    let (app, runs) = cut_off(layer(&memory()).profile(profile));
    let answer = pay(&client(8), serve(app).await).await.unwrap();
    assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
    assert_eq!(answer.headers()["idempotent-replayed"], "true");
    assert_eq!(runs.get(), 1);
}

/// A route that says that its 408s are without effect is wrong here. The client does not believe it.
#[tokio::test]
async fn charges_behind_a_408_that_runs_again_are_never_said_not_to_have_run() {
    let mut profile = Profile::seed();
    profile.statuses = profile.statuses.retryable(StatusCode::REQUEST_TIMEOUT);
    let (app, runs) = cut_off(layer(&memory()).profile(profile));
    let error = pay(&client(8), serve(app).await).await.unwrap_err();
    let unknown = GaveUp::OutcomeUnknown(StopReason::SendingsSpent);
    assert_eq!(IntentError::of(&error).unwrap().gave_up(), unknown);
    assert_eq!(runs.get(), 8);
}

#[tokio::test]
async fn a_client_that_restarts_gets_the_answer_of_the_sending_before() {
    let (app, runs) = payments(layer(&memory()));
    let proxy = losing_answers(serve(app).await, 1).await;
    let url = format!("http://{proxy}/payments");
    let key = IdempotencyKey::random();
    let send = |intent: Intent| client(1).post(&url).with_extension(intent).send();
    let now = SystemTime::now();
    let fresh = Intent::fresh(key.clone(), rules(1));
    send(fresh).await.unwrap_err();
    let resumed = Intent::resume(key.clone(), now, now, rules(1));
    let answer = send(resumed).await.unwrap();
    assert_eq!(answer.headers()["idempotent-replayed"], "true");
    assert_eq!(answer.extensions().get(), Some(&key));
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn a_store_that_is_away_is_told_as_nothing_ran() {
    let (idem, cable) = cuttable(Policy::default());
    let (app, runs) = payments(layer(&idem));
    cable.cut();
    let error = pay(&client(1), serve(app).await).await.unwrap_err();
    let error = IntentError::of(&error).unwrap();
    let nothing = GaveUp::NothingRan(StopReason::SendingsSpent);
    assert_eq!(error.gave_up(), nothing);
    assert_eq!(error.response().unwrap().status(), 503);
    assert_eq!(runs.get(), 0);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_that_says_that_nothing_ran() {
    // Port 1 of loopback: nobody listens there.
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    let error = pay(&client(3), address).await.unwrap_err();
    let nothing = GaveUp::NothingRan(StopReason::SendingsSpent);
    assert_eq!(IntentError::of(&error).unwrap().gave_up(), nothing);
}

#[tokio::test]
async fn giving_up_on_lost_answers_says_that_the_outcome_is_unknown() {
    let (app, runs) = payments(layer(&memory()));
    let proxy = losing_answers(serve(app).await, usize::MAX).await;
    let error = pay(&client(3), proxy).await.unwrap_err();
    let unknown = GaveUp::OutcomeUnknown(StopReason::SendingsSpent);
    assert_eq!(IntentError::of(&error).unwrap().gave_up(), unknown);
    assert_eq!(runs.get(), 1);
}
