//! The client against a server that misbehaves on the wire.
//!
//! Each connection takes one request and meets one fate. The server notes what arrived, so that a
//! test can tell what really ran from what the client says.
#![cfg(feature = "reqwest")]
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod server;

use std::time::{Duration, SystemTime};

use idem_core::IdempotencyKey;
use idem_http::{
    Code, Problem,
    client::{GaveUp, IdempotencyMiddleware, Intent, IntentError, KeyForm, RetryRules, StopReason},
};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error};
use server::{Fate, Server, created, html_503, replayed, says, silence};

/// Where nobody listens: a port of loopback that nothing is given by chance.
const NOBODY: &str = "http://127.0.0.1:1/";

fn rules() -> RetryRules {
    RetryRules::default()
        .first_pause(Duration::from_millis(2))
        .most_sendings(3)
}

fn client() -> ClientWithMiddleware {
    let middleware = IdempotencyMiddleware::new(rules());
    middleware.client(reqwest::Client::builder()).unwrap()
}

/// A client of the user's own that follows redirects.
fn following_client() -> ClientWithMiddleware {
    ClientBuilder::new(reqwest::Client::new())
        .with(IdempotencyMiddleware::new(rules()))
        .build()
}

async fn pay(client: &ClientWithMiddleware, url: &str) -> Result<reqwest::Response, Error> {
    client.post(url).body(r#"{"amount":500}"#).send().await
}

#[track_caller]
fn gave_up(result: Result<reqwest::Response, Error>) -> GaveUp {
    let error = result.unwrap_err();
    let error = IntentError::of(&error).expect("an error of the middleware");
    error.gave_up()
}

#[track_caller]
fn assert_unknown(result: Result<reqwest::Response, Error>) {
    let gave_up = gave_up(result);
    assert!(matches!(gave_up, GaveUp::OutcomeUnknown(_)), "{gave_up:?}");
}

#[tokio::test]
async fn a_502_of_a_proxy_that_delivered_it_leaves_the_outcome_unknown() {
    let bad_gateway = says("502 Bad Gateway", "content-type: text/html\r\n", "<h1>");
    let server = Server::new([bad_gateway]).await;
    let error = pay(&client(), &server.url()).await.unwrap_err();
    let error = IntentError::of(&error).unwrap();
    let unknown = GaveUp::OutcomeUnknown(StopReason::SendingsSpent);
    assert_eq!(error.gave_up(), unknown);
    assert_eq!(error.response().unwrap().status(), 502);
    assert_eq!(server.sendings(), 3);
    assert_eq!(server.key(), format!("\"{}\"", error.key().as_str()));
}

#[tokio::test]
async fn an_html_503_leaves_the_outcome_unknown() {
    let server = Server::new([html_503()]).await;
    assert_unknown(pay(&client(), &server.url()).await);
    assert_eq!(server.sendings(), 3);
}

#[tokio::test]
async fn a_503_of_the_layer_says_that_nothing_ran() {
    let problem = Problem::new(Code::StoreUnavailable).to_json();
    let problem = String::from_utf8(problem.to_vec()).unwrap();
    let away = |kind: &str| {
        let kind = format!("content-type: {kind}\r\n");
        says("503 Service Unavailable", &kind, &problem)
    };
    let server = Server::new([away("application/problem+json")]).await;
    let nothing = GaveUp::NothingRan(StopReason::SendingsSpent);
    assert_eq!(gave_up(pay(&client(), &server.url()).await), nothing);
    // The same body from something else.
    let server = Server::new([away("application/json")]).await;
    assert_unknown(pay(&client(), &server.url()).await);
    // One lost answer before it is enough.
    let server = Server::new([silence(), away("application/problem+json")]).await;
    assert_unknown(pay(&client(), &server.url()).await);
}

#[tokio::test]
async fn a_connection_reset_inside_of_a_body_is_sent_again() {
    let half = "HTTP/1.1 201 Created\r\ncontent-length: 8\r\n\r\n{\"id".to_owned();
    let server = Server::new([Fate::Resets(half), replayed()]).await;
    let answer = pay(&client(), &server.url()).await.unwrap();
    assert_eq!(answer.text().await.unwrap(), r#"{"id":1}"#);
    assert_eq!(server.sendings(), 2);
    server.key();
}

#[tokio::test]
async fn a_200_with_a_truncated_body_is_sent_again() {
    let short = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{\"id".to_owned();
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n{\"id\r\n".to_owned();
    let server = Server::new([Fate::Says(short), Fate::Says(chunked), replayed()]).await;
    let answer = pay(&client(), &server.url()).await.unwrap();
    assert_eq!(answer.text().await.unwrap(), r#"{"id":1}"#);
    assert_eq!(server.sendings(), 3);
    server.key();
}

#[tokio::test]
async fn a_409_without_a_body_is_a_refusal_unless_the_rules_say_in_flight() {
    let conflict = || says("409 Conflict", "", "");
    let server = Server::new([conflict()]).await;
    let answer = pay(&client(), &server.url()).await.unwrap();
    assert_eq!(answer.status(), 409);
    let server = Server::new([silence(), conflict()]).await;
    assert_unknown(pay(&client(), &server.url()).await);
    let server = Server::new([conflict(), replayed()]).await;
    let rules = rules().bare_conflict_is_in_flight(true);
    let client = IdempotencyMiddleware::new(rules).client(reqwest::Client::builder());
    let answer = pay(&client.unwrap(), &server.url()).await.unwrap();
    assert_eq!(answer.status(), 201);
}

#[tokio::test]
async fn a_refusal_after_a_lost_answer_is_unknown_and_comes_along() {
    for status in ["401 Unauthorized", "404 Not Found", "413 Content Too Large"] {
        let server = Server::new([silence(), says(status, "", "no")]).await;
        let error = pay(&client(), &server.url()).await.unwrap_err();
        let error = IntentError::of(&error).unwrap();
        let unknown = GaveUp::OutcomeUnknown(StopReason::Unanswered);
        assert_eq!(error.gave_up(), unknown, "{status}");
        let response = error.response().unwrap();
        assert_eq!(&response.body()[..], b"no");
        // Alone it is an answer as any other.
        let server = Server::new([says(status, "", "no")]).await;
        pay(&client(), &server.url()).await.unwrap();
    }
}

#[tokio::test]
async fn after_a_restart_a_refused_connection_proves_nothing() {
    let nothing = GaveUp::NothingRan(StopReason::SendingsSpent);
    assert_eq!(gave_up(pay(&client(), NOBODY).await), nothing);

    let now = SystemTime::now();
    let resumed = Intent::resume(IdempotencyKey::random(), now, now, rules());
    assert_unknown(client().post(NOBODY).with_extension(resumed).send().await);
    let own_header = client().post(NOBODY).header("idempotency-key", "order-1");
    assert_unknown(own_header.send().await);
}

#[tokio::test]
async fn a_resumed_intent_gets_the_answer_under_its_old_key() {
    let server = Server::new([replayed()]).await;
    let key = IdempotencyKey::new("order-1").unwrap();
    let now = SystemTime::now();
    let first_sent = now - Duration::from_secs(3600);
    let intent = Intent::resume(key, first_sent, now, rules().key_form(KeyForm::Bare));
    let request = client().post(server.url()).with_extension(intent);
    assert_eq!(request.send().await.unwrap().status(), 201);
    assert_eq!(server.key(), "order-1");
}

#[tokio::test]
async fn a_clock_that_was_set_back_sends_nothing() {
    let server = Server::new([created()]).await;
    let now = SystemTime::now();
    let first_sent = now + Duration::from_secs(3600);
    let intent = Intent::resume(IdempotencyKey::random(), first_sent, now, rules());
    let request = client().post(server.url()).with_extension(intent);
    assert_unknown(request.send().await);
    assert_eq!(server.sendings(), 0);
}

#[tokio::test]
async fn a_redirect_to_another_origin_is_handed_on_with_key_and_body_unsent() {
    let other = Server::new([created()]).await;
    let location = format!("location: {}\r\n", other.url());
    for status in [
        "307 Temporary Redirect",
        "308 Permanent Redirect",
        "302 Found",
    ] {
        let server = Server::new([says(status, &location, "")]).await;
        let answer = pay(&client(), &server.url()).await.unwrap();
        assert!(answer.status().is_redirection());
        // After a lost answer it does not settle anything.
        let server = Server::new([silence(), says(status, &location, "")]).await;
        assert_unknown(pay(&client(), &server.url()).await);
    }
    assert_eq!(other.sendings(), 0);
}

#[tokio::test]
async fn behind_a_followed_redirect_a_failed_connection_proves_nothing() {
    let dead = format!("location: {NOBODY}\r\n");
    for location in [&dead, "location: ftp://shop.example/\r\n"] {
        // The payment was made, and the answer is where nobody can get it.
        let server = Server::new([says("303 See Other", location, "")]).await;
        assert_unknown(pay(&following_client(), &server.url()).await);
        assert!(server.sendings() > 0);
        server.key();
    }
}

#[tokio::test]
async fn a_dropped_request_is_remembered_when_its_intent_is_sent_again() {
    let server = Server::new([created()]).await;
    let intent = Intent::new(rules());
    let mut sending = Box::pin(
        client()
            .post(server.url())
            .with_extension(intent.clone())
            .send(),
    );
    // Dropped as soon as it has arrived.
    while server.sendings() == 0 {
        tokio::select! {
            biased;
            _ = &mut sending => break,
            () = tokio::task::yield_now() => {}
        }
    }
    drop(sending);
    assert_unknown(client().post(NOBODY).with_extension(intent).send().await);
}

#[tokio::test]
async fn a_server_that_asks_to_wait_for_a_day_is_not_waited_for() {
    let away = says("503 Service Unavailable", "retry-after: 82800\r\n", "");
    let server = Server::new([away]).await;
    let day = Duration::from_secs(82_800);
    let unknown = GaveUp::OutcomeUnknown(StopReason::RetryAfterTooLong(day));
    assert_eq!(gave_up(pay(&client(), &server.url()).await), unknown);
    assert_eq!(server.sendings(), 1);
}
