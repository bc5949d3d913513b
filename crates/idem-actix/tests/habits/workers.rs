//! Several workers and several servers over one store.

use std::time::Duration;

use futures_util::future::join_all;
use idem_core::{Idempotency, OnBusy, Policy};
use idem_memory::MemoryStore;

use crate::support::{
    Answer, App, engine_over, layer, pay,
    shop::{Runs, created},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_of_one_key_at_two_servers_with_two_workers_each_one_runs() {
    let store = MemoryStore::default();
    let runs = Runs::default();
    let policy = Policy::default().on_busy(OnBusy::Wait(Duration::from_secs(600)));
    let serve = || {
        let (idem, runs): (Idempotency, _) =
            (engine_over(store.clone(), policy.clone()), runs.clone());
        crate::support::serving(layer(&idem), move || {
            let run = runs.count();
            async move {
                tokio::task::yield_now().await;
                created(run)
            }
        })
    };
    let servers: [App; 2] = [serve(), serve()];
    for key in 1..=20 {
        let key = format!("k{key}");
        let paying = (0..16).map(|client| pay(&key).send(&servers[client % 2]));
        let answers = join_all(paying).await;
        let (repeats, first): (Vec<_>, Vec<_>) = answers.into_iter().partition(Answer::replayed);
        assert_eq!(first.len(), 1);
        for repeat in repeats {
            repeat.assert_replays(&first[0]);
        }
    }
    assert_eq!(runs.get(), 20);
}
