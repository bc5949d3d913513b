//! G7: the client or the server is killed (SIGKILL) at every point between the claim and the answer of
//! the transactional mode. Afterwards the user's table has one row for the key and the record says so,
//! or it has none and the key can be had again. Never two, and never an answer without its row.
//!
//! A client is this very program, started once more, on a runtime of one thread. Its points are the
//! moments at which that thread goes to sleep, with all that it had to say sent, and those at which it
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

macro_rules! matrix {
    ($($name:ident: $mode:ident, $victim:ident, $level:literal;)+) => {
        $(#[tokio::test]
        async fn $name() {
            if let Some(world) = World::open($level).await {
                matrix::crash_everywhere(world, Mode::$mode, Victim::$victim).await;
            }
        })+
    };
}

matrix! {
    g7_execute_in_tx_of_a_client_that_is_killed: Execute, Client, "read committed";
    g7_execute_in_tx_on_a_server_that_is_killed: Execute, Server, "read committed";
    g7_once_in_tx_of_a_client_that_is_killed: Once, Client, "read committed";
    g7_once_in_tx_on_a_server_that_is_killed: Once, Server, "read committed";
    g7_execute_in_tx_at_serializable_of_a_client_that_is_killed: Execute, Client, "serializable";
    g7_execute_in_tx_at_serializable_on_a_server_that_is_killed: Execute, Server, "serializable";
    g7_once_in_tx_at_serializable_of_a_client_that_is_killed: Once, Client, "serializable";
    g7_once_in_tx_at_serializable_on_a_server_that_is_killed: Once, Server, "serializable";
}
