//! What a handler takes.

use actix_web::{HttpResponse, web};
use http::Method;
use idem_actix::{CommitWith, IdempotencyMiddleware, NotTaken, Profile, Running};
use idem_core::{
    OnOutage, Policy,
    error::CommitError,
    store::{State, StoreError},
};

use crate::support::{
    App, Layer, call, global_layer, layer, memory, outage::cuttable, pay, record, shop::Runs,
    table::Table,
};

fn behind<F, Args>(layer: Layer, handler: F) -> App
where
    F: actix_web::Handler<Args> + Send,
    Args: actix_web::FromRequest + 'static,
    F::Output: actix_web::Responder + 'static,
{
    App::start(1, move |config| {
        let route = web::scope("").wrap(layer.clone());
        config.service(route.default_service(web::to(handler.clone())));
    })
}

#[tokio::test]
async fn a_handler_finds_the_facts_of_its_execution_and_the_body_as_it_was_sent() {
    let app = behind(
        global_layer(memory()),
        async |running: Running, body: web::Json<serde_json::Value>| {
            format!(
                "{} {} {} {}",
                running.is_protected(),
                running.attempt(),
                running.key().key(),
                body["amount"]
            )
        },
    );
    let first = pay("k").send(&app).await;
    assert_eq!(first.body, "true 1 k 500");
    pay("k").send(&app).await.assert_replays(&first);
}

#[tokio::test]
async fn where_a_key_is_optional_a_handler_finds_that_it_is_not_protected() {
    let layer = global_layer(memory()).profile(Profile::default().optional());
    let app = behind(layer, async |running: Running| {
        format!("{} {}", running.is_protected(), running.attempt())
    });
    let without = call(Method::POST, "/payments").send(&app).await;
    assert_eq!(without.body, "false 0");
    assert_eq!(pay("k").send(&app).await.body, "true 1");
}

#[tokio::test]
async fn on_a_method_that_is_not_protected_there_is_nothing_to_take() {
    let app = behind(global_layer(memory()), async |_: Running| "paid");
    let get = || call(Method::GET, "/payments");
    assert_eq!(get().send(&app).await.status, 500);
    let app = behind(global_layer(memory()), async |running: Option<Running>| {
        running.is_some().to_string()
    });
    assert_eq!(get().send(&app).await.body, "false");
    assert_eq!(pay("k").send(&app).await.body, "true");
}

/// A shop whose runs write one row each, and then answer with the next of these statuses.
fn writing(layer: Layer, statuses: &'static [u16]) -> (App, Table, Runs) {
    let (table, runs) = (Table::default(), Runs::default());
    let (inserting, counting) = (table.clone(), runs.clone());
    let handler = move |commit_with: CommitWith| {
        let run = counting.count();
        let handed_over = commit_with.hand_over(inserting.insert(run));
        async move {
            handed_over?;
            let status = actix_web::http::StatusCode::from_u16(statuses[run - 1]).unwrap();
            Ok::<_, NotTaken>(HttpResponse::new(status))
        }
    };
    (behind(layer.transactions(), handler), table, runs)
}

#[tokio::test]
async fn g7_a_final_answer_commits_what_was_written_whatever_its_status() {
    for status in [&[201], &[402], &[500]] {
        let idem = memory();
        let (app, table, runs) = writing(layer(&idem), status);
        let first = pay("k").send(&app).await;
        assert_eq!(first.status, status[0]);
        pay("k").send(&app).await.assert_replays(&first);
        assert_eq!((table.rows(), runs.get()), (vec![1], 1));
        let state = record(&idem, "k").await.unwrap().state;
        let is_failure = matches!(state, State::Failed { .. });
        assert_eq!(is_failure, status[0] >= 400);
    }
}

#[tokio::test]
async fn g7_an_answer_that_says_nothing_happened_rolls_back() {
    let (app, table, _) = writing(layer(&memory()), &[429, 201]);
    assert_eq!(pay("k").send(&app).await.status, 429);
    assert!(table.rows().is_empty());
    assert_eq!(pay("k").send(&app).await.status, 201);
    assert_eq!(table.rows(), [2]);
}

#[tokio::test]
async fn g7_a_client_is_not_told_an_answer_that_was_rolled_back() {
    let (app, table, _) = writing(layer(&memory()), &[201, 201]);
    table.fail_once(CommitError::RolledBack(StoreError::unavailable(
        "a conflict",
    )));
    let refused = pay("k").send(&app).await;
    assert_eq!(
        (refused.status.as_u16(), &*refused.code()),
        (503, "rolled-back")
    );
    assert_eq!(pay("k").send(&app).await.status, 201);
    assert_eq!(table.rows(), [2]);
}

#[tokio::test]
async fn what_runs_unprotected_commits_what_it_handed_over() {
    let (idem, cable) = cuttable(Policy::default().on_outage(OnOutage::FailOpen));
    let optional = layer(&idem).profile(Profile::default().optional());
    let (app, table, _) = writing(optional, &[201, 429, 201]);
    let without_key = call(Method::POST, "/payments").send(&app).await;
    assert_eq!(without_key.status, 201);
    cable.cut();
    assert_eq!(pay("k").send(&app).await.status, 429);
    let paid = pay("k").send(&app).await;
    assert_eq!(paid.header("idempotency-degraded"), Some("true"));
    assert_eq!(table.rows(), [1, 3]);
}

#[tokio::test]
async fn a_second_transaction_is_not_taken_and_no_place_is_a_500() {
    let table = Table::default();
    let handler = move |commit_with: CommitWith| {
        let answers = [1, 2].map(|row| commit_with.hand_over(table.insert(row)).is_ok());
        async move { format!("{answers:?}") }
    };
    let app = behind(global_layer(memory()).transactions(), handler.clone());
    assert_eq!(pay("k").send(&app).await.body, "[true, false]");
    let without: IdempotencyMiddleware = global_layer(memory());
    let app = behind(without, handler);
    assert_eq!(pay("k").send(&app).await.status, 500);
}
