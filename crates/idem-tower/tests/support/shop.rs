//! The handlers, and how often they ran.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::response::{IntoResponse, Response};
use tokio::{sync::Semaphore, task::JoinHandle};

use super::{Answer, App, Layer, pay, serving};

/// Counts the executions that really happened.
#[derive(Clone, Default)]
pub struct Runs(Arc<AtomicUsize>);

impl Runs {
    /// Counts one more, and gives its number: 1 for the first.
    pub fn count(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A service with one handler for every path and method, and the count of its runs.
pub fn shop<F, R>(
    layer: Layer,
    answer: impl Fn(usize) -> F + Clone + Send + Sync + 'static,
) -> (App, Runs)
where
    F: Future<Output = R> + Send + 'static,
    R: IntoResponse + 'static,
{
    let runs = Runs::default();
    let counting = runs.clone();
    let handler = move || {
        let (answer, run) = (answer.clone(), counting.count());
        async move { answer(run).await.into_response() }
    };
    (serving(layer, handler), runs)
}

/// A shop where each run makes a payment of its own.
pub fn payments(layer: Layer) -> (App, Runs) {
    shop(layer, |run| async move { created(run) })
}

/// A shop whose handler waits for a permit of the gate.
pub fn gated(layer: Layer) -> (App, Runs, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let opens = Arc::clone(&gate);
    let (app, runs) = shop(layer, move |run| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.unwrap().forget();
            created(run)
        }
    });
    (app, runs, opens)
}

pub async fn until(mut happened: impl FnMut() -> bool) {
    while !happened() {
        tokio::task::yield_now().await;
    }
}

/// Pays under the key `k`, on a task of its own.
pub fn spawn_payment(app: &App) -> JoinHandle<Answer> {
    let app = app.clone();
    tokio::spawn(async move { pay("k").send(&app).await })
}

pub fn created(run: usize) -> Response {
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("location", format!("/payments/{run}")),
        ("etag", format!("\"{run}\"")),
    ];
    (
        http::StatusCode::CREATED,
        headers,
        format!("{{\"id\":{run}}}"),
    )
        .into_response()
}
