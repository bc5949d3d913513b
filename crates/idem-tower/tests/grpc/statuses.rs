//! Which statuses of a handler are stored, and which let the next call run.

use idem_tower::{Disposition, GrpcCode, Profile};
use tonic::{Code, Response, Status};

use crate::{
    client::{is_replay, keyed},
    shop::{Shop, layer, memory, paid},
};

const ALL: [Code; 16] = [
    Code::Cancelled,
    Code::Unknown,
    Code::InvalidArgument,
    Code::DeadlineExceeded,
    Code::NotFound,
    Code::AlreadyExists,
    Code::PermissionDenied,
    Code::ResourceExhausted,
    Code::FailedPrecondition,
    Code::Aborted,
    Code::OutOfRange,
    Code::Unimplemented,
    Code::Internal,
    Code::Unavailable,
    Code::DataLoss,
    Code::Unauthenticated,
];

/// What refuses a call by its definition lets the next one run; all others prove nothing.
#[tokio::test]
async fn g5_a_status_is_final_unless_it_refuses_by_its_definition() {
    let refusals = [
        Code::PermissionDenied,
        Code::ResourceExhausted,
        Code::Unimplemented,
        Code::Unauthenticated,
    ];
    for code in ALL {
        let shop = Shop::failing(code);
        let client = shop.serve(layer(&memory())).await;
        let first = client.pay(keyed("k", 1)).await.unwrap_err();
        let again = client.pay(keyed("k", 1)).await.unwrap_err();
        assert_eq!((first.code(), again.code()), (code, code));
        let runs_again = refusals.contains(&code);
        assert_eq!(is_replay(again.metadata()), !runs_again, "{code:?}");
        assert_eq!(shop.runs(), 1 + usize::from(runs_again), "{code:?}");
        let run = if runs_again { 2 } else { 1 };
        assert_eq!(again.message(), format!("run {run}: 50 % of π"));
    }
}

/// A stream whose first word is an error has its status in the trailers.
#[tokio::test]
async fn a_status_in_the_trailers_counts_as_one_in_the_headers_does() {
    for (code, runs) in [(Code::PermissionDenied, 2), (Code::Unavailable, 1)] {
        let shop = Shop::new().watch(move |_, _| async move {
            let refused = futures_util::stream::iter([Err(Status::new(code, "no"))]);
            Ok(Response::new(Box::pin(refused) as crate::shop::Answers))
        });
        let client = shop.serve(layer(&memory())).await;
        for _ in 0..2 {
            let (receipts, _, ended) = client.watch_all(keyed("k", 1)).await;
            assert_eq!((receipts.len(), ended), (0, code));
        }
        assert_eq!(shop.runs(), runs, "{code:?}");
    }
}

/// The same where the answer goes out before its status is known.
#[tokio::test]
async fn a_status_in_the_trailers_of_a_live_answer_counts_too() {
    for (code, runs) in [(Code::PermissionDenied, 2), (Code::Unavailable, 1)] {
        let shop = Shop::new().watch(move |_, _| async move {
            let refused = futures_util::stream::once(async move {
                tokio::time::sleep(crate::client::SHORT).await;
                Err(Status::new(code, "no"))
            });
            Ok(Response::new(Box::pin(refused) as crate::shop::Answers))
        });
        let profile = Profile::grpc().stream_after(std::time::Duration::ZERO, 0);
        let client = shop.serve(layer(&memory()).profile(profile)).await;
        for _ in 0..2 {
            let (receipts, _, ended) = client.watch_all(keyed("k", 1)).await;
            assert_eq!((receipts.len(), ended), (0, code));
        }
        assert_eq!(shop.runs(), runs, "{code:?}");
    }
}

#[tokio::test]
async fn an_answer_with_a_message_in_it_is_final_whatever_its_status() {
    let shop = Shop::new().watch(async |_, run| {
        let parts = [
            Ok(paid(format!("run {run}"))),
            Err(Status::permission_denied("no more")),
        ];
        Ok(Response::new(
            Box::pin(futures_util::stream::iter(parts)) as crate::shop::Answers
        ))
    });
    let client = shop.serve(layer(&memory())).await;
    for _ in 0..2 {
        let (receipts, _, ended) = client.watch_all(keyed("k", 1)).await;
        assert_eq!(
            (receipts, ended),
            (vec!["run 1".to_owned()], Code::PermissionDenied)
        );
    }
    assert_eq!(shop.runs(), 1);
}

#[tokio::test]
async fn a_handler_says_in_its_metadata_how_its_status_is_recorded() {
    let said = [
        ("retryable", Code::Unavailable, 1, 2),
        ("release", Code::InvalidArgument, 2, 2),
        ("retryable", Code::InvalidArgument, 2, 1),
        ("final", Code::PermissionDenied, 1, 1),
        ("nonsense", Code::Unavailable, 1, 1),
    ];
    for (said, code, second, runs) in said {
        let shop = Shop::new().pay(move |_, _| async move {
            let mut status = Status::new(code, "no");
            let said = said.parse().unwrap();
            status
                .metadata_mut()
                .insert("idempotency-disposition", said);
            Err(status)
        });
        let client = shop.serve(layer(&memory())).await;
        client.pay(keyed("k", 1)).await.unwrap_err();
        client.pay(keyed("k", second)).await.unwrap_err();
        assert_eq!(shop.runs(), runs, "{said} {code:?}");
    }
}

#[tokio::test]
async fn a_handler_says_in_its_extensions_how_its_response_is_recorded() {
    let shop = Shop::new().pay(async |_, run| {
        let mut response = Response::new(paid(format!("run {run}")));
        response.extensions_mut().insert(Disposition::Retryable);
        Ok(response)
    });
    let client = shop.serve(layer(&memory())).await;
    for run in 1..3 {
        let answer = client.pay(keyed("k", 1)).await.unwrap();
        assert_eq!(answer.get_ref(), &paid(format!("run {run}")));
    }
}

#[tokio::test]
async fn a_service_moves_a_status_either_way() {
    let profile = Profile::grpc()
        .grpc_status(GrpcCode::Unavailable, Disposition::Retryable)
        .grpc_status(GrpcCode::PermissionDenied, Disposition::Final);
    for (code, runs) in [(Code::Unavailable, 2), (Code::PermissionDenied, 1)] {
        let shop = Shop::failing(code);
        let client = shop.serve(layer(&memory()).profile(profile.clone())).await;
        client.pay(keyed("k", 1)).await.unwrap_err();
        client.pay(keyed("k", 1)).await.unwrap_err();
        assert_eq!(shop.runs(), runs);
    }
}

#[tokio::test]
async fn a_panic_is_internal_and_final() {
    let shop = Shop::new().pay(async |_, _| panic!("on purpose"));
    let client = shop.serve(layer(&memory())).await;
    for replayed in [false, true] {
        let status = client.pay(keyed("k", 1)).await.unwrap_err();
        let told = crate::client::entry(status.metadata(), "idempotency-problem");
        assert_eq!(
            (status.code(), told),
            (Code::Internal, Some("handler-failed"))
        );
        assert_eq!(is_replay(status.metadata()), replayed);
    }
    assert_eq!(shop.runs(), 1);
}
