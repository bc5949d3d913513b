//! A handler's transaction commits together with the stored answer, or not at all (G7).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    response::{IntoResponse, Response},
    routing::any,
};
use futures_util::StreamExt;
use http::StatusCode;
use idem_core::{
    Idempotency, OnOutage, Policy,
    error::{CommitError, Superseded},
    store::{State, StoreError},
};
use idem_tower::{CommitWith, IdempotencyLayer, NotTaken, Profile, StoredResponse};
use support::{
    Answer, engine, layer, memory, outage::cuttable, pay, record, shop::Runs, table::Table,
};
use tokio::sync::Semaphore;

/// A shop whose runs write one row each, and then answer.
struct Shop {
    bare: Router,
    app: Router,
    table: Table,
    runs: Runs,
    idem: Idempotency,
}

impl Shop {
    fn open<R: IntoResponse>(
        idem: Idempotency,
        answer: impl Fn(usize) -> R + Clone + Send + Sync + 'static,
    ) -> Self {
        let (table, runs) = (Table::default(), Runs::default());
        let (writing, counting) = (table.clone(), runs.clone());
        let handler = move |Extension(record): Extension<CommitWith>| {
            let run = counting.count();
            let handed_over = record.hand_over(writing.insert(run));
            let answer = answer.clone();
            async move {
                handed_over.unwrap();
                answer(run).into_response()
            }
        };
        let bare = Router::new().fallback(any(handler));
        Self {
            app: bare.clone().layer(layer(&idem).transactions()),
            bare,
            table,
            runs,
            idem,
        }
    }

    fn router(&self, layer: IdempotencyLayer) -> Router {
        self.bare.clone().layer(layer)
    }

    async fn pay(&self) -> Answer {
        pay("k").send(&self.app).await
    }
}

#[tokio::test]
async fn g7_a_final_answer_commits_what_was_written_whatever_its_status() {
    for status in [200, 201, 303, 402, 404, 422, 500] {
        let status = StatusCode::from_u16(status).unwrap();
        let shop = Shop::open(memory(), move |run| (status, format!("run {run}")));
        let first = shop.pay().await;
        assert_eq!(first.status, status);
        shop.pay().await.assert_replays(&first);
        assert_eq!((shop.table.rows(), shop.runs.get()), (vec![1], 1));
        let state = record(&shop.idem, "k").await.unwrap().state;
        match status.as_u16() {
            400.. => assert!(matches!(state, State::Failed { .. }), "{state:?}"),
            _ => assert!(matches!(state, State::Completed { .. }), "{state:?}"),
        }
    }
}

#[tokio::test]
async fn g7_an_answer_that_says_nothing_happened_rolls_back() {
    let answers = |run| match run {
        1 => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::CREATED,
    };
    let shop = Shop::open(memory(), answers);
    assert_eq!(shop.pay().await.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(shop.table.rows().is_empty());
    assert_eq!(shop.pay().await.status, StatusCode::CREATED);
    assert_eq!(shop.table.rows(), [2]);
}

#[tokio::test]
async fn g7_a_panic_rolls_back_and_is_stored_by_the_policy() {
    let shop = Shop::open(memory(), |_| -> Response { panic!("trouble") });
    for _ in 0..2 {
        let answer = shop.pay().await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer.code(), "handler-failed");
    }
    assert_eq!((shop.table.rows(), shop.runs.get()), (vec![], 1));
}

#[tokio::test]
async fn g7_an_answer_too_large_to_keep_commits_all_the_same() {
    const BIG: usize = 3 << 19;
    let shop = Shop::open(memory(), |_| vec![b'x'; BIG]);
    assert_eq!(shop.pay().await.body.len(), BIG);
    let again = shop.pay().await;
    assert_eq!(again.header("idempotent-replay-body"), Some("omitted"));
    assert_eq!((shop.table.rows(), shop.runs.get()), (vec![1], 1));
}

#[tokio::test]
async fn g7_a_client_is_not_told_an_answer_that_was_rolled_back() {
    let shop = Shop::open(memory(), |_| StatusCode::CREATED);
    let lost = || StoreError::unavailable("a conflict");
    for (error, code) in [
        (CommitError::RolledBack(lost()), "rolled-back"),
        (CommitError::Unknown(lost()), "commit-unknown"),
    ] {
        shop.table.fail_once(error);
        let answer = shop.pay().await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.code(), code);
        assert!(answer.header("retry-after").is_some());
    }
    assert!(shop.table.rows().is_empty());
    assert_eq!(shop.pay().await.status, StatusCode::CREATED);
    assert_eq!(shop.table.rows(), [3]);
}

#[tokio::test]
async fn g3_a_superseded_answer_is_told_to_come_back() {
    let shop = Shop::open(engine(Policy::default()), |_| StatusCode::CREATED);
    shop.table.fail_once(CommitError::Superseded(Superseded));
    let answer = shop.pay().await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert_eq!(answer.code(), "in-flight");
    assert!(shop.table.rows().is_empty());
}

#[tokio::test]
async fn g2_a_superseded_caller_gets_the_answer_of_the_winner() {
    let shop = Shop::open(memory(), |_| StatusCode::CREATED);
    let winner = StoredResponse::new(StatusCode::OK, "the winner's");
    *shop.table.winner.lock().unwrap() = Some(winner.encode());
    let answer = shop.pay().await;
    assert_eq!(
        (answer.status, &answer.body[..]),
        (StatusCode::OK, &b"the winner's"[..])
    );
    assert!(answer.replayed());
    assert!(shop.table.rows().is_empty());
}

/// What is seen of an answer is what was committed.
#[tokio::test]
async fn g7_an_answer_with_a_transaction_is_never_seen_before_the_commit() {
    let (table, gate) = (Table::default(), Arc::new(Semaphore::new(0)));
    let (writing, opens) = (table.clone(), Arc::clone(&gate));
    let handler = move |Extension(record): Extension<CommitWith>| {
        record.hand_over(writing.insert(1)).unwrap();
        let gate = Arc::clone(&gate);
        let rest = async move {
            gate.acquire().await.unwrap().forget();
            Ok::<_, std::io::Error>(Bytes::from("rest"))
        };
        let first = futures_util::stream::iter([Ok(Bytes::from("first, "))]);
        let body = first.chain(futures_util::stream::once(rest));
        async move { Body::from_stream(body) }
    };
    let eager = Profile::default().stream_after(Duration::ZERO, 1);
    let app = Router::new().fallback(any(handler));
    let app = app.layer(layer(&memory()).profile(eager).transactions());
    let paying = tokio::spawn(async move { pay("k").send(&app).await });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!paying.is_finished() && table.rows().is_empty());
    opens.add_permits(1);
    assert_eq!(paying.await.unwrap().body, "first, rest");
    assert_eq!(table.rows(), [1]);
}

/// An answer commits with one transaction, and only while the handler is at it.
#[tokio::test]
async fn a_second_transaction_and_a_late_one_are_not_taken() {
    let (table, kept) = (Table::default(), Arc::new(Mutex::new(None)));
    let (writing, keeping) = (table.clone(), Arc::clone(&kept));
    let handler = move |Extension(record): Extension<CommitWith>| {
        let answers = [1, 2].map(|row| record.hand_over(writing.insert(row)));
        *keeping.lock().unwrap() = Some(record);
        async move { assert_eq!(answers, [Ok(()), Err(NotTaken::Second)]) }
    };
    let app = Router::new().fallback(any(handler));
    let app = app.layer(layer(&memory()).transactions());
    assert_eq!(pay("k").send(&app).await.status, StatusCode::OK);
    let record = kept.lock().unwrap().take().unwrap();
    assert_eq!(
        record.hand_over(table.insert(3)),
        Err(NotTaken::Late),
        "the handler is over"
    );
    assert_eq!(table.rows(), [1]);
}

/// Without a record, what was handed over is committed alone, by the same rule.
#[tokio::test]
async fn what_runs_unprotected_commits_what_it_handed_over() {
    let (idem, cable) = cuttable(Policy::default().on_outage(OnOutage::FailOpen));
    let answers = |run| match run {
        2 => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::CREATED,
    };
    let mut shop = Shop::open(idem.clone(), answers);
    shop.app = shop.router(
        layer(&idem)
            .profile(Profile::default().optional())
            .transactions(),
    );
    let without_key = support::call(http::Method::POST, "/payments");
    assert_eq!(
        without_key.send(&shop.app).await.status,
        StatusCode::CREATED
    );
    assert_eq!(shop.table.rows(), [1]);
    cable.cut();
    assert_eq!(shop.pay().await.status, StatusCode::TOO_MANY_REQUESTS);
    let paid = shop.pay().await;
    assert_eq!(paid.status, StatusCode::CREATED);
    assert_eq!(paid.header("idempotency-degraded"), Some("true"));
    assert_eq!(shop.table.rows(), [1, 3]);
    let error = CommitError::RolledBack(StoreError::unavailable("a conflict"));
    shop.table.fail_once(error);
    assert_eq!(shop.pay().await.code(), "rolled-back");
}

/// A request pays for a place to hand over to only where the layer was told that handlers use it.
#[tokio::test]
async fn a_layer_without_transactions_gives_no_place_to_hand_over_to() {
    let handler = async |record: Option<Extension<CommitWith>>| record.is_some().to_string();
    let app: Router = Router::new().fallback(any(handler));
    let app = app.layer(layer(&memory()));
    assert_eq!(pay("k").send(&app).await.body, "false");
}
