//! The middleware over scripted replies, with a paused clock.

mod network;

use std::time::{Duration, SystemTime};

use idem_core::IdempotencyKey;
use reqwest::Body;
use tokio::time::Instant;

use self::network::{Breaks, Endless, Network, Reply, answer, created, lost};
use super::*;
use crate::{
    Malformed,
    client::{KeyForm, RetryBudget},
};

fn middleware() -> IdempotencyMiddleware {
    IdempotencyMiddleware::default()
}

const URL: &str = "http://shop.example/payments";

async fn pay(client: &ClientWithMiddleware) -> Result<Response> {
    client.post(URL).body("500").send().await
}

#[tokio::test(start_paused = true)]
async fn every_sending_has_the_same_key_and_the_same_body() {
    let network = Network::new([lost as fn() -> Reply, || answer(503, ""), created]);
    let answer = pay(&network.client(middleware())).await.unwrap();
    let keys = network.keys();
    assert!(keys.len() == 3 && keys.iter().all(|key| key == &keys[0]));
    let sent = network.sent.lock().unwrap();
    let bodies = sent.iter().map(|(_, body)| body.as_deref());
    assert!(bodies.eq([Some(&b"500"[..]); 3]));
    let key: &IdempotencyKey = answer.extensions().get().unwrap();
    assert_eq!(keys[0], format!("\"{}\"", key.as_str()));
}

#[tokio::test(start_paused = true)]
async fn a_success_whose_body_breaks_off_is_sent_again() {
    let network = Network::new([
        (|| answer(201, Body::wrap(Breaks(false)))) as fn() -> Reply,
        created,
    ]);
    let response = pay(&network.client(middleware())).await.unwrap();
    assert_eq!(response.text().await.unwrap(), r#"{"id":1}"#);
    assert_eq!(network.sendings(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_body_can_be_handed_on_unread_and_then_the_key_is_on_the_answer() {
    let network = Network::new([(|| answer(201, Body::wrap(Breaks(false)))) as fn() -> Reply]);
    let response = pay(&network.client(middleware().body_limit(0)))
        .await
        .unwrap();
    assert!(response.extensions().get::<IdempotencyKey>().is_some());
    assert!(response.bytes().await.is_err());
    assert_eq!(network.sendings(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_over_the_limit_is_handed_on_whole() {
    let network = Network::new([(|| answer(200, "0123456789")) as fn() -> Reply]);
    for limit in [0, 1, 9, 10, 11] {
        let client = network.client(middleware().body_limit(limit));
        let response = pay(&client).await.unwrap();
        assert_eq!(response.url().as_str(), "http://no.url.provided.local/");
        assert_eq!(response.content_length(), Some(10));
        assert_eq!(response.text().await.unwrap(), "0123456789", "{limit}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_stream_is_not_waited_for() {
    fn stream() -> Reply {
        let mut reply = answer(200, Body::wrap(Endless))?;
        let kind = "Text/Event-Stream; charset=utf-8".parse().unwrap();
        reply.headers_mut().insert("content-type", kind);
        Ok(reply)
    }
    let network = Network::new([stream as fn() -> Reply]);
    let response = pay(&network.client(middleware())).await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn an_error_has_the_key_and_the_last_answer() {
    let network = Network::new([lost as fn() -> Reply, || answer(401, "who are you?")]);
    let error = pay(&network.client(middleware())).await.unwrap_err();
    let error = IntentError::of(&error).unwrap();
    assert_eq!(
        error.gave_up(),
        GaveUp::OutcomeUnknown(StopReason::Unanswered)
    );
    let response = error.response().unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(&response.body()[..], b"who are you?");
    assert_eq!(network.keys()[0], format!("\"{}\"", error.key().as_str()));
}

#[tokio::test(start_paused = true)]
async fn an_error_has_the_last_error_as_its_source() {
    let network = Network::new([lost as fn() -> Reply]);
    let error = pay(&network.client(middleware())).await.unwrap_err();
    let error = IntentError::of(&error).unwrap();
    let reason = error.gave_up().reason();
    assert_eq!(reason, StopReason::SendingsSpent);
    let source = std::error::Error::source(error).unwrap();
    assert_eq!(source.to_string(), "connection reset");
    assert_eq!(network.sendings(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_key_of_the_callers_own_is_kept_for_any_method() {
    let network = Network::new([created as fn() -> Reply]);
    let client = network.client(middleware());
    let put = client.put(URL).header("idempotency-key", "order-1");
    put.send().await.unwrap();
    client.put(URL).send().await.unwrap();
    let sent = network.sent.lock().unwrap();
    assert_eq!(sent[0].0["idempotency-key"], "order-1");
    assert!(!sent[1].0.contains_key("idempotency-key"));
}

#[tokio::test(start_paused = true)]
async fn a_key_of_the_callers_own_may_have_run_before() {
    fn away() -> Reply {
        let problem = crate::Problem::new(crate::Code::StoreUnavailable);
        Ok(problem.into_response().map(Body::from))
    }
    let network = Network::new([away as fn() -> Reply]);
    let rules = RetryRules::default().most_sendings(1);
    let client = network.client(IdempotencyMiddleware::new(rules.clone()));
    let gave_up =
        |result: Result<Response>| IntentError::of(&result.unwrap_err()).unwrap().gave_up();

    let reason = StopReason::SendingsSpent;
    assert_eq!(gave_up(pay(&client).await), GaveUp::NothingRan(reason));
    let given = client.post(URL).header("idempotency-key", "order-1");
    assert_eq!(gave_up(given.send().await), GaveUp::OutcomeUnknown(reason));
    let intent = Intent::fresh(IdempotencyKey::new("order-1").unwrap(), rules);
    let fresh = client.post(URL).with_extension(intent);
    assert_eq!(gave_up(fresh.send().await), GaveUp::NothingRan(reason));
}

#[tokio::test(start_paused = true)]
async fn a_malformed_key_is_an_error_before_anything_is_sent() {
    let network = Network::default();
    let client = network.client(middleware());
    let error = client
        .post(URL)
        .header("idempotency-key", "a, b")
        .send()
        .await;
    let Err(Error::Middleware(error)) = error else {
        panic!("{error:?}");
    };
    assert_eq!(error.downcast_ref(), Some(&Malformed::Characters));
    assert_eq!(network.sendings(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_intent_brings_its_key_and_its_rules() {
    let network = Network::new([lost as fn() -> Reply]);
    let rules = RetryRules::default()
        .most_sendings(2)
        .key_form(KeyForm::Bare);
    let intent = Intent::new(rules);
    let client = network.client(middleware());
    let request = client.get(URL).with_extension(intent.clone());
    request.send().await.unwrap_err();
    assert_eq!(network.keys(), [intent.key().as_str(); 2]);
    assert!(intent.may_have_run());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_sending_is_remembered_by_the_intent_that_was_kept() {
    fn never() -> Reply {
        answer(201, Body::wrap(Endless))
    }
    let network = Network::new([never as fn() -> Reply]);
    let client = network.client(middleware());
    let intent = Intent::new(RetryRules::default());
    let sending = client.post(URL).with_extension(intent.clone()).send();
    let minute = Duration::from_secs(60);
    assert!(tokio::time::timeout(minute, sending).await.is_err());
    assert_eq!(network.sendings(), 1);
    assert!(intent.may_have_run());
}

#[tokio::test(start_paused = true)]
async fn a_streamed_request_is_sent_once_and_its_key_is_in_the_error() {
    let network = Network::new([lost as fn() -> Reply]);
    let client = network.client(middleware());
    let stream = Body::wrap(Breaks(false));
    let error = client.post(URL).body(stream).send().await.unwrap_err();
    let error = IntentError::of(&error).unwrap();
    assert_eq!(
        error.gave_up(),
        GaveUp::OutcomeUnknown(StopReason::NotSendable)
    );
    assert_eq!(network.keys(), [format!("\"{}\"", error.key().as_str())]);
}

#[tokio::test(start_paused = true)]
async fn it_stops_before_the_server_forgets_the_key() {
    let network = Network::new([lost as fn() -> Reply]);
    let rules = RetryRules::default()
        .most_sendings(u32::MAX)
        .retention(Duration::from_secs(600));
    let client = network.client(IdempotencyMiddleware::new(rules));
    let began = Instant::now();
    let error = pay(&client).await.unwrap_err();
    let gave_up = IntentError::of(&error).unwrap().gave_up();
    assert_eq!(gave_up, GaveUp::OutcomeUnknown(StopReason::RetentionOver));
    assert!(began.elapsed() < Duration::from_secs(540));
}

#[tokio::test(start_paused = true)]
async fn an_old_intent_is_not_sent_at_all() {
    let network = Network::default();
    let now = SystemTime::now();
    let day = Duration::from_secs(24 * 3600);
    for first_sent in [now - day, now + day] {
        let key = IdempotencyKey::random();
        let intent = Intent::resume(key.clone(), first_sent, now, RetryRules::default());
        let request = network
            .client(middleware())
            .post(URL)
            .with_extension(intent);
        let error = request.send().await.unwrap_err();
        let error = IntentError::of(&error).unwrap();
        let over = GaveUp::OutcomeUnknown(StopReason::RetentionOver);
        assert_eq!((error.key(), error.gave_up()), (&key, over));
    }
    assert_eq!(network.sendings(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_client_has_one_budget() {
    let network = Network::new([lost as fn() -> Reply]);
    let rules = RetryRules::default().budget(RetryBudget::new(10, 0));
    let client = network.client(IdempotencyMiddleware::new(rules));
    for _ in 0..5 {
        pay(&client).await.unwrap_err();
    }
    assert_eq!(network.sendings(), 5 + 10);
}

#[tokio::test(start_paused = true)]
async fn a_failed_connection_is_proof_only_where_nothing_below_sends_again() {
    // Port 1 of loopback: nobody listens there.
    let url = "http://127.0.0.1:1/";
    let gave_up = |result: Result<Response>| {
        let error = result.unwrap_err();
        let error = IntentError::of(&error).unwrap();
        let source = std::error::Error::source(error).unwrap();
        let source: &Error = source.downcast_ref().unwrap();
        assert!(source.is_connect(), "{source:?}");
        error.gave_up()
    };
    let reason = StopReason::SendingsSpent;
    let rules = RetryRules::default().most_sendings(2);
    let middleware = IdempotencyMiddleware::new(rules);
    let proof = middleware
        .clone()
        .client(reqwest::Client::builder())
        .unwrap();
    assert_eq!(
        gave_up(proof.post(url).send().await),
        GaveUp::NothingRan(reason)
    );
    let other = ClientBuilder::new(reqwest::Client::new()).with(middleware);
    let sent = other.build().post(url).send().await;
    assert_eq!(gave_up(sent), GaveUp::OutcomeUnknown(reason));
}

#[tokio::test(start_paused = true)]
async fn an_invalid_request_is_not_tried_again() {
    let client = middleware().client(reqwest::Client::builder()).unwrap();
    let began = Instant::now();
    let error = client.post("ftp://shop.example/").send().await.unwrap_err();
    let gave_up = IntentError::of(&error).unwrap().gave_up();
    assert_eq!(gave_up, GaveUp::NothingRan(StopReason::NotSendable));
    assert_eq!(began.elapsed(), Duration::ZERO);
}
