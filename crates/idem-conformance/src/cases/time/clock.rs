//! S4 where clocks differ: those of two processes, and one that steps.

use std::time::Duration;

use super::age::Written;
use crate::{Harness, Verdict, call::scaled, case::needs, sample::Keys};

const AGED: Duration = Duration::from_millis(50);
const HOUR: Duration = Duration::from_secs(3600);

/// **S4.** Another process tells the age that this one tells: a clock that begins with a process tells
/// each of them another time.
pub async fn s4_another_process_tells_the_same_age(harness: &dyn Harness) -> Verdict {
    let theirs = needs(
        harness.elsewhere().await,
        "handle of another process, for a store that processes open by themselves",
    )?;
    let (ours, keys) = (harness.store().await, Keys::draw(harness));
    for (writer, reader) in [(&ours, &theirs), (&theirs, &ours)] {
        let key = keys.random();
        let written = Written::create(&**writer, &key).await;
        tokio::time::sleep(scaled(harness, AGED)).await;
        written.expect_age_of(&**reader, &key).await;
        written.expect_age_of(&**writer, &key).await;
    }
    Ok(())
}

/// **S4.** The clock is set forward by an hour, back by two, and forward again: an age is the time that
/// passed, and so no live lease lapses and no dead one is kept.
pub async fn s4_a_step_of_the_clock_changes_no_age(harness: &dyn Harness) -> Verdict {
    let clock = needs(
        harness.clock().await,
        "clock that steps, for a store whose ages no step changes",
    )?;
    let (store, key) = (clock.store().await, Keys::draw(harness).random());
    let written = Written::create(&*store, &key).await;
    tokio::time::sleep(scaled(harness, AGED)).await;
    clock.forward(HOUR).await;
    written.expect_age_of(&*store, &key).await;
    clock.back(2 * HOUR).await;
    tokio::time::sleep(scaled(harness, AGED)).await;
    written.expect_age_of(&*store, &key).await;
    // What is written while the clock is wrong has an age as well once it is right.
    let key = Keys::draw(harness).random();
    let written = Written::create(&*store, &key).await;
    clock.forward(HOUR).await;
    tokio::time::sleep(scaled(harness, AGED)).await;
    written.expect_age_of(&*store, &key).await;
    Ok(())
}
