//! A tonic handler's transaction commits together with the stored answer, or not at all (G7).

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use idem_core::{
    Context, Execution, error::CommitError, machine::Ending, spi::OpenTransaction,
    store::StoreError,
};
use idem_tower::CommitWith;
use tonic::{Code, Request, Response, Status};

use crate::{
    client::{entry, is_replay, keyed, problem},
    shop::{Pay, Shop, layer, memory, paid},
};

/// A row that is not committed yet.
struct Row(Arc<Mutex<Vec<usize>>>, usize);

#[async_trait]
impl OpenTransaction for Row {
    async fn end(self: Box<Self>, execution: Execution, ending: Ending) -> Result<(), CommitError> {
        let is_final = ending.is_final();
        execution.end(ending).await?;
        if is_final {
            self.0.lock().unwrap().push(self.1);
        }
        Ok(())
    }

    async fn commit_unprotected(self: Box<Self>) -> Result<(), CommitError> {
        self.0.lock().unwrap().push(self.1);
        Ok(())
    }
}

#[tokio::test]
async fn g7_a_final_status_commits_and_a_refusal_rolls_back() {
    let ends = [
        (None, vec![1], 1),
        (Some(Code::Internal), vec![1], 1),
        (Some(Code::PermissionDenied), vec![], 2),
    ];
    for (code, rows, runs) in ends {
        let table = Arc::new(Mutex::new(Vec::new()));
        let to = table.clone();
        let shop = Shop::new().pay(move |call: Request<Pay>, run| {
            let row = Row(to.clone(), run);
            async move {
                let commit_with = call.extensions().get::<CommitWith>().unwrap();
                commit_with.hand_over(row).unwrap();
                match code {
                    None => Ok(Response::new(paid("paid"))),
                    Some(code) => Err(Status::new(code, "no")),
                }
            }
        });
        let client = shop.serve(layer(&memory()).transactions()).await;
        for _ in 0..2 {
            let ended = client.pay(keyed("k", 1)).await;
            assert_eq!(ended.err().map(|status| status.code()), code);
        }
        assert_eq!((table.lock().unwrap().clone(), shop.runs()), (rows, runs));
    }
}

/// A row whose commit fails.
struct Unlucky(CommitError);

#[async_trait]
impl OpenTransaction for Unlucky {
    async fn end(self: Box<Self>, execution: Execution, _: Ending) -> Result<(), CommitError> {
        execution.fail_retryable().await?;
        Err(self.0)
    }

    async fn commit_unprotected(self: Box<Self>) -> Result<(), CommitError> {
        Err(self.0)
    }
}

#[tokio::test]
async fn g7_a_client_is_never_told_ok_of_what_was_not_committed() {
    let lost = || StoreError::unavailable("the line is dead");
    let troubles = [
        (
            CommitError::RolledBack(lost()),
            (Code::Aborted, "rolled-back"),
        ),
        (
            CommitError::Unknown(lost()),
            (Code::Unavailable, "commit-unknown"),
        ),
    ];
    for (trouble, told) in troubles {
        let trouble = Arc::new(Mutex::new(Some(trouble)));
        let shop = Shop::new().pay(move |call: Request<Pay>, run| {
            let trouble = trouble.lock().unwrap().take();
            async move {
                let commit_with = call.extensions().get::<CommitWith>().unwrap();
                if let Some(trouble) = trouble {
                    commit_with.hand_over(Unlucky(trouble)).unwrap();
                }
                Ok(Response::new(paid(format!("run {run}"))))
            }
        });
        let client = shop.serve(layer(&memory()).transactions()).await;
        let status = client.pay(keyed("k", 1)).await.unwrap_err();
        assert_eq!(problem(&status), told);
        assert_eq!(
            entry(status.metadata(), "grpc-retry-pushback-ms"),
            Some("1000")
        );
        let again = client.pay(keyed("k", 1)).await.unwrap();
        assert_eq!(again.get_ref(), &paid("run 2"));
    }
}

#[tokio::test]
async fn a_handler_finds_its_context_in_the_extensions_of_its_call() {
    let shop = Shop::new().pay(async |call: Request<Pay>, _| {
        let context = call.extensions().get::<Context>().unwrap();
        assert!(context.is_protected());
        let key = context.derive_key("charge");
        Ok(Response::new(paid(format!(
            "attempt {}, {}",
            context.attempt(),
            key.as_str().len()
        ))))
    });
    let client = shop.serve(layer(&memory())).await;
    for replayed in [false, true] {
        let answer = client.pay(keyed("k", 1)).await.unwrap();
        assert_eq!(answer.get_ref(), &paid("attempt 1, 36"));
        assert_eq!(is_replay(answer.metadata()), replayed);
    }
}
