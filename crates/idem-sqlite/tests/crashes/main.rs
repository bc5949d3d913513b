//! G7: the process is killed (SIGKILL) at every point between the claim and the answer of
//! the transactional mode. Afterwards the user's table has one row for the key and the record says so,
//! or it has none and the key can be had again. Never two, and never an answer without its row.
//!
//! A client is this very program, started once more, on a runtime of one thread. Its points are the
//! moments at which that thread goes to sleep, with all that it had to say sent to the
//! threads that speak to SQLite, and those at which it
//! wakes up, with an answer there and not yet read: every await of every task that waits for anything
//! is one of the former.
//!
//! `IDEM_CRASH_ROUNDS` repeats the matrix so many times; a single round by default.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../idem-sql/tests/crashes/client.rs"]
mod client;
#[path = "../../../idem-sql/tests/crashes/matrix.rs"]
mod matrix;
mod world;

use client::{Mode, Victim};
use world::World;

#[tokio::test]
async fn g7_execute_in_tx_of_a_process_that_is_killed() {
    let world = World::open().await;
    matrix::crash_everywhere(world, Mode::Execute, Victim::Client).await;
}

#[tokio::test]
async fn g7_once_in_tx_of_a_process_that_is_killed() {
    let world = World::open().await;
    matrix::crash_everywhere(world, Mode::Once, Victim::Client).await;
}
