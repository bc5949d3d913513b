//! Processes and servers that die half-way: a charge and its answer are both there, or neither.

use std::time::Duration;

use idem_testbed::{Postgres, skip_or_fail};
use reqwest::StatusCode;
use serde_json::json;
use tokio::time::sleep;

use super::database::{Database, Left};
use crate::service::{Answer, Service, trouble, until};

/// Killed between the row and its commit (G7): neither is there, and the repeat pays once.
#[tokio::test]
async fn g7_a_payment_killed_before_its_commit_leaves_nothing() {
    let Some(database) = Database::fresh().await else {
        return;
    };
    let slow = trouble(&json!({"answer_delay_ms": 5_000}));
    let killed = database.service(&["--lease", "500ms"]).await;
    let request = tokio::spawn(Answer::try_of(killed.payment("acme", "k", &slow)));
    killed.moved("acme").await;
    killed.program.kill();
    assert!(request.await.unwrap().is_err(), "nobody is left to answer");
    assert_eq!(database.left("acme", "k").pair(), Left::UNDER_WAY);

    let next = database.service(&["--on-busy", "wait:60s"]).await;
    let paid = next.pay("acme", "k", &slow).await;
    assert_eq!(paid.status, StatusCode::CREATED);
    assert!(!paid.is_replay());
    assert_eq!(paid.json()["execution"]["attempt"], 2);
    assert_eq!(database.left("acme", "k").pair(), Left::COMMITTED);
    next.pay("acme", "k", &slow).await.assert_replays(&paid);
    assert_eq!(next.charges("acme").await, 1);
}

/// Killed at sixteen moments from claim to answer (G7): whatever is left, both are or neither is,
/// and the repeat leaves one charge.
#[tokio::test]
async fn g7_killed_at_any_moment_a_payment_is_there_with_its_answer_or_not_at_all() {
    let Some(database) = Database::fresh().await else {
        return;
    };
    let body = trouble(&json!({"delay_ms": 15, "answer_delay_ms": 15}));
    let next = database.service(&["--on-busy", "wait:60s"]).await;
    for round in 0..16 {
        let name = format!("round-{round}");
        let killed = database.service(&["--lease", "300ms"]).await;
        let request = tokio::spawn(Answer::try_of(killed.payment(&name, &name, &body)));
        killed.at_work(&name).await;
        sleep(Duration::from_millis(3) * round).await;
        killed.program.kill();
        let answered = request.await.unwrap();
        let left = database.left(&name, &name);
        if answered.is_ok() {
            assert_eq!(left.pair(), Left::COMMITTED, "{name} was answered");
        }
        assert!(
            [Left::COMMITTED, Left::UNDER_WAY].contains(&left.pair()),
            "{name}: {left:?}"
        );

        let again = next.pay(&name, &name, &body).await;
        assert_eq!(again.status, StatusCode::CREATED, "{name}");
        assert_eq!(again.is_replay(), left.pair() == Left::COMMITTED, "{name}");
        assert_eq!(database.left(&name, &name).pair(), Left::COMMITTED);
    }
}

/// The database dies between the row and its commit: the client is not told that it paid, and its
/// repeat pays once.
#[tokio::test]
async fn g7_a_database_that_dies_before_the_commit_leaves_nothing() {
    let Some(server) = skip_or_fail(Postgres::start().await) else {
        return;
    };
    let service = Service::start(&["--store", &server.url(), "--lease", "2s"]).await;
    let slow = trouble(&json!({"answer_delay_ms": 1_000}));
    let request = tokio::spawn(Answer::of(service.payment("acme", "k", &slow)));
    service.moved("acme").await;
    server.kill();
    let refused = request.await.unwrap();
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    let code = refused.code();
    assert!(
        ["rolled-back", "commit-unknown"].contains(&&*code),
        "{code}"
    );

    server.restart().await.unwrap();
    let paid = until(async || {
        let answer = service.pay("acme", "k", &slow).await;
        // The layer's own; a `books-unavailable` says that nothing was written.
        (answer.status.as_u16() != 503 && answer.code() != "in-flight").then_some(answer)
    })
    .await;
    assert_eq!(paid.status, StatusCode::CREATED);
    service.charged("acme", 1).await;
}
