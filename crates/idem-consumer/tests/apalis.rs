//! The layer for apalis, on its own workers and its storage in memory.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use apalis_core::{
    backend::{TaskSink, memory::MemoryStorage},
    error::{AbortError, BoxDynError, RetryAfterError},
    task::{Task, builder::TaskBuilder, data::Data},
    worker::{builder::WorkerBuilder, context::WorkerContext},
};
use idem_consumer::{
    Consumer, KeyFrom,
    apalis::{IdempotencyLayer, KEY},
};
use idem_core::{Context, Idempotency, Scope};
use idem_memory::{MemoryConfig, MemoryStore};
use tower_layer::Layer as _;
use tower_service::Service;

fn layer() -> IdempotencyLayer {
    layer_over(MemoryStore::new())
}

fn layer_over(store: MemoryStore) -> IdempotencyLayer {
    let idem = Idempotency::new(store);
    let scope = Scope::new("parcels").unwrap();
    IdempotencyLayer::new(
        Consumer::builder(idem, scope, KeyFrom::header(KEY))
            .build()
            .unwrap(),
    )
}

fn task(key: &str, args: u32) -> Task<u32> {
    TaskBuilder::new(args).idempotency_key(key).build()
}

/// A service that ends as its task's arguments say, and counts.
#[derive(Clone, Default)]
struct Ending(Arc<AtomicUsize>);

impl Service<Task<u32>> for Ending {
    type Response = String;
    type Error = BoxDynError;
    type Future = std::future::Ready<Result<String, BoxDynError>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), BoxDynError>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, task: Task<u32>) -> Self::Future {
        let ran = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        std::future::ready(match task.args {
            1 => Ok(format!("answer {ran}")),
            2 => Err(AbortError::new("declined").into()),
            4 => Ok("x".repeat(10_000)),
            _ => Err("no route".into()),
        })
    }
}

#[tokio::test]
async fn a_repeat_gets_the_stored_response_and_errors_are_mapped() {
    let ending = Ending::default();
    let mut service = layer().layer(ending.clone());
    for _ in 0..2 {
        assert_eq!(service.call(task("a", 1)).await.unwrap(), "answer 1");
    }
    for (key, args, expected) in [
        ("a", 2, "another message"),
        ("b", 2, "declined"),
        ("b", 2, "declined"),
    ] {
        let error = service.call(task(key, args)).await.unwrap_err();
        assert!(error.downcast_ref::<AbortError>().is_some(), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    for attempt in ["attempt 1", "attempt 2"] {
        let error = service.call(task("c", 3)).await.unwrap_err();
        let again = error.downcast_ref::<RetryAfterError>().unwrap();
        assert!(again.to_string().contains(attempt), "{again}");
        assert!(!again.get_duration().is_zero());
    }
    let error = service.call(Task::new(1)).await.unwrap_err();
    assert!(error.to_string().contains("no key"), "{error}");
    assert_eq!(ending.0.load(Ordering::Relaxed), 4, "a, b, and c twice");
}

/// The task is done: it is not run again for the sake of its response.
#[tokio::test]
async fn a_response_that_was_too_large_is_the_first_ones_and_a_repeat_is_told() {
    let small = MemoryStore::with_config(MemoryConfig::default().max_bytes(4096));
    let ending = Ending::default();
    let mut service = layer_over(small).layer(ending.clone());
    let first = service.call(task("a", 4)).await.unwrap();
    assert_eq!(first.len(), 10_000);
    let error = service.call(task("a", 4)).await.unwrap_err();
    assert!(error.downcast_ref::<AbortError>().is_some(), "{error}");
    assert!(error.to_string().contains("was done before"), "{error}");
    assert_eq!(ending.0.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_worker_runs_each_task_once_and_its_handler_has_the_context() {
    let mut parcels = MemoryStorage::new();
    for (key, parcel) in [("a", 1), ("a", 1), ("b", 2)] {
        parcels.push_task(task(key, parcel)).await.unwrap();
    }
    let ran = Arc::new(AtomicUsize::new(0));
    let handler = {
        async |parcel: u32,
               context: Data<Context>,
               ran: Data<Arc<AtomicUsize>>,
               worker: WorkerContext| {
            assert_eq!(context.key().key(), if parcel == 1 { "a" } else { "b" });
            ran.fetch_add(1, Ordering::Relaxed);
            if parcel == 2 {
                worker.stop().unwrap();
            }
        }
    };
    let worker = WorkerBuilder::new("packer")
        .backend(parcels)
        .data(Arc::clone(&ran))
        .layer(layer())
        .build(handler);
    worker.run().await.unwrap();
    assert_eq!(ran.load(Ordering::Relaxed), 2);
}
