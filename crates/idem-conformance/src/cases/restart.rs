//! S4, S6, G3 over a restart of the server.

use std::time::Duration;

use idem_core::{Claim, Recording, Refused};
use tokio::time::Instant;

use crate::{
    Harness, Verdict,
    call::{expect_record, look, put, scaled, when_back},
    case::needs,
    engine::{self, acquire, expect_replay, patient, request},
    sample::{self, Keys, LONG},
};

const WHAT: &str = "server that restarts with its data";

/// How old a record is at least when its server restarts.
const AGED: Duration = Duration::from_millis(300);

/// **S6.** Records outlive a restart, whole.
pub async fn s6_records_outlive_a_restart(harness: &dyn Harness) -> Verdict {
    let server = needs(harness.restart().await, WHAT)?;
    let (store, keys) = (server.store().await, Keys::draw(harness));
    let (one, other) = (keys.random(), keys.random());
    let (claim, done) = (
        sample::claim(),
        sample::completed(&sample::claim(), "answer"),
    );
    put(&*store, &one, &claim, LONG).await;
    put(&*store, &other, &done, LONG).await;
    server.restart().await;
    let store = server.store().await;
    when_back(harness, "get", || store.get(&one)).await;
    expect_record(&*store, &one, &claim, "S6: it outlives a restart").await;
    expect_record(&*store, &other, &done, "S6: it outlives a restart").await;
    Ok(())
}

/// **S4.** The age goes on over a restart: it counts the time that the server was away.
pub async fn s4_the_age_goes_on_over_a_restart(harness: &dyn Harness) -> Verdict {
    let server = needs(harness.restart().await, WHAT)?;
    let (store, key) = (server.store().await, Keys::draw(harness).random());
    put(&*store, &key, &sample::claim(), LONG).await;
    let written = Instant::now();
    // Long enough to be seen: a restart by itself may take no time at all.
    tokio::time::sleep(scaled(harness, AGED)).await;
    server.restart().await;
    let asked = Instant::now();
    let store = server.store().await;
    let found = when_back(harness, "get", || store.get(&key)).await;
    let age = found.and_then(|stored| stored.age);
    let age = age.expect("S4: a record in flight has an age");
    let passed = asked.duration_since(written);
    // Files and log entries may stamp whole milliseconds, twice.
    let grain = Duration::from_millis(10);
    assert!(
        age + grain >= passed,
        "S4: {passed:?} passed over a restart, but the age is {age:?}"
    );
    Ok(())
}

/// **S10.** A handle from before a restart finds its way back.
pub async fn s10_a_handle_outlives_a_restart(harness: &dyn Harness) -> Verdict {
    let server = needs(harness.restart().await, WHAT)?;
    let (store, key) = (server.store().await, Keys::draw(harness).random());
    let claim = sample::claim();
    put(&*store, &key, &claim, LONG).await;
    server.restart().await;
    let found = when_back(harness, "get", || store.get(&key)).await;
    assert_eq!(
        found.map(|stored| stored.record),
        Some(claim),
        "S6: it is there"
    );
    let other = Keys::draw(harness).random();
    assert_eq!(look(&*store, &other).await, None);
    put(&*store, &other, &sample::claim(), LONG).await;
    Ok(())
}

/// **G1, G5.** An execution outlives a restart between its claim and its ending: nobody else runs,
/// and the ending lands.
pub async fn g1_an_execution_outlives_a_restart(harness: &dyn Harness) -> Verdict {
    let server = needs(harness.restart().await, WHAT)?;
    let (store, key) = (server.store().await, Keys::draw(harness).random());
    let ours = engine::over(store, patient(harness));
    let execution = acquire(&ours, &key).await;
    server.restart().await;
    let theirs = engine::over(server.store().await, patient(harness));
    let told = when_back(harness, "claim", async || {
        theirs
            .claim(&key, &request())
            .await
            .map_err(|error| error.source)
    });
    match told.await {
        Claim::Refused(Refused::InFlight { .. }) => {}
        other => panic!("G1: somebody runs it, but the claim is told {other:?}"),
    }
    match execution.complete("done").await {
        Ok(Recording::Stored | Recording::Pending) => ours.wait_idle().await,
        other => panic!("G5: nobody took over, but the holder is told {other:?}"),
    }
    expect_replay(&theirs, &key, b"done").await;
    Ok(())
}
