//! Every duration that a policy takes is refused by its check, or works: none panics, however long
//! or short.

use idem_core::{OnAbandoned, OnBusy, store::StoreErrorKind};
use proptest::{prelude::*, sample::select};

use super::{
    store::{Fault, Op},
    *,
};

/// The edges of every unit that something below a policy counts in.
fn durations() -> impl Strategy<Value = Duration> {
    const YEAR: u64 = 365 * 24 * 3600;
    select(vec![
        Duration::ZERO,
        Duration::from_nanos(1),
        Duration::from_millis(3),
        Duration::from_secs(1),
        Duration::from_secs(30),
        Duration::from_micros(u32::MAX.into()),
        Duration::from_millis(u32::MAX.into()),
        Duration::from_secs(YEAR),
        Duration::from_secs(100 * YEAR),
        Duration::from_secs(1000 * YEAR),
        Duration::from_nanos(u64::MAX),
        Duration::from_micros(u64::MAX),
        Duration::from_millis(u64::MAX),
        Duration::from_secs(u64::MAX),
        Duration::MAX,
    ])
}

fn policies() -> impl Strategy<Value = Policy> {
    let abandoned = select(vec![OnAbandoned::Reclaim, OnAbandoned::Halt]);
    let times = (
        durations(),
        durations(),
        durations(),
        durations(),
        durations(),
    );
    (times, abandoned).prop_map(|((lease, retention, budget, timeout, wait), abandoned)| {
        Policy::default()
            .lease(lease)
            .retention(retention)
            .retry_budget(budget)
            .call_timeout(timeout)
            .on_busy(OnBusy::Wait(wait))
            .on_abandoned(abandoned)
    })
}

/// What does not end by itself is left after a while of virtual time.
async fn for_a_while<T>(work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(Duration::from_secs(90), work)
        .await
        .ok()
}

/// Claims, waits, renews, fails to reach the store and ends, each for a while.
async fn live(policy: Policy) {
    let store = ScriptedStore::default();
    let Ok(idem) = Idempotency::builder(store.clone()).policy(policy).build() else {
        return;
    };
    let claim = |name: &'static str| {
        let idem = idem.clone();
        async move { for_a_while(idem.claim(&key(name), &print("a"))).await }
    };
    let Some(Ok(Claim::Acquired(execution))) = claim("k").await else {
        panic!("a key that nobody holds is acquired");
    };
    let waiter = tokio::spawn(claim("k"));
    let _ = for_a_while(execution.run(tokio::time::sleep(Duration::from_secs(60)))).await;
    let _ = for_a_while(execution.checkpoint("half")).await;
    store.fault(Op::Update, Fault::LoseReply);
    let _ = for_a_while(execution.complete("ok")).await;
    let _ = waiter.await.unwrap();

    drop(claim("dropped").await);
    let _ = claim("dropped").await;
    store.down(StoreErrorKind::Unknown);
    let _ = claim("away").await;
    store.fault(Op::Create, Fault::Hang);
    store.up();
    let _ = claim("hangs").await;
    let _ = for_a_while(idem.wait_idle()).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn no_duration_of_a_policy_panics(policy in policies()) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(live(policy));
    }
}
