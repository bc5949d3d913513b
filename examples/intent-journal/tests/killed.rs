//! The client is killed after its request was worked off, and before it has the answer.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::{
    process::{Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, routing::post};
use idem::{Idempotency, memory::MemoryStore, tower::IdempotencyLayer};
use tokio::{net::TcpListener, process::Command, sync::mpsc};

/// A server that says when it has worked something off, and answers the first time never.
async fn server() -> (String, Arc<AtomicUsize>, mpsc::Receiver<()>) {
    let (worked, told) = mpsc::channel(8);
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let layer = IdempotencyLayer::global(Idempotency::new(MemoryStore::new()));
    let pay = async move |order: String| {
        let run = counted.fetch_add(1, Ordering::SeqCst) + 1;
        format!("run {run} of {order}")
    };
    // Outside of the layer: the answer is stored, and does not reach the first client.
    let hold = axum::middleware::from_fn(move |request, next: axum::middleware::Next| {
        let worked = worked.clone();
        async move {
            let answer = next.run(request).await;
            let replayed = answer.headers().contains_key("idempotent-replayed");
            if !replayed {
                worked.send(()).await.unwrap();
                std::future::pending::<()>().await;
            }
            answer
        }
    });
    let app = Router::new()
        .route("/", post(pay).route_layer(layer))
        .layer(hold);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, runs, told)
}

fn client(journal: &str, url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_intent-journal"));
    command.args([journal, url]).kill_on_drop(true);
    command
}

fn said(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn an_intent_survives_the_kill_of_its_client_and_runs_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let (file, table) = (
        format!("{path}/intents"),
        format!("sqlite:{path}/intents.db"),
    );
    for journal in [file, table] {
        let (url, runs, mut told) = server().await;
        let mut first = client(&journal, &url)
            .arg("order-1")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        told.recv().await.unwrap();
        first.kill().await.unwrap();

        let second = said(client(&journal, &url).output().await.unwrap());
        let expected = "resumed; it may have run: true\n200 OK: run 1 of order-1\n";
        assert_eq!((&*second, runs.load(Ordering::SeqCst)), (expected, 1));
        // The journal is empty then.
        assert_eq!(said(client(&journal, &url).output().await.unwrap()), "");
    }
}
