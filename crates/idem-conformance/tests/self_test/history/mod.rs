//! The history checker, tested on histories that are right, that are wrong, and that were run.

mod executions;
mod register;
mod runs;

use std::time::Duration;

use idem_conformance::history::Call;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A call from `invoked` to `at`, with a known reply.
fn replied<C, R>(client: usize, invoked: u64, at: u64, call: C, reply: R) -> Call<C, R> {
    Call {
        client,
        invoked: ms(invoked),
        replied: Some((ms(at), reply)),
        void_after: None,
        call,
    }
}

/// A call whose reply never came.
fn unknown<C, R>(client: usize, invoked: u64, call: C) -> Call<C, R> {
    Call {
        client,
        invoked: ms(invoked),
        replied: None,
        void_after: None,
        call,
    }
}
