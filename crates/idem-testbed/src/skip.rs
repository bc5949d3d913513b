//! The one rule for tests whose server is not installed.

use std::io::Write as _;

use crate::TestbedError;

/// Unwraps a server for a test, or says aloud that the test is skipped.
///
/// - The server started: `Some`.
/// - Its program is missing: `None`, after `skipped, because …` went to the terminal (past the test
///   harness, which hides the output of tests that pass). Where the environment says `CI=true` the
///   test fails instead, so that no build is green because of what it did not run.
/// - Anything else is a failure everywhere.
///
/// ```
/// # async fn example() {
/// let Some(redis) = idem_testbed::skip_or_fail(idem_testbed::Redis::start().await) else {
///     return;
/// };
/// # drop(redis);
/// # }
/// ```
///
/// # Panics
///
/// If the server is missing and `CI=true`, or if it is there and does not start.
#[track_caller]
pub fn skip_or_fail<T>(started: Result<T, TestbedError>) -> Option<T> {
    match started {
        Ok(server) => Some(server),
        Err(missing @ TestbedError::Missing { .. }) => {
            assert!(!in_ci(), "this test may not be skipped in CI: {missing}");
            let test = std::thread::current().name().unwrap_or("test").to_owned();
            // Not `eprintln!`: the harness captures that one. In one write, so that the lines of
            // tests that run at the same time stay whole; `cargo xtask test` counts them.
            let line = format!("{test}: skipped, because {missing}\n");
            let _ = std::io::stderr().write_all(line.as_bytes());
            None
        }
        Err(failure) => panic!("{failure}"),
    }
}

fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}
