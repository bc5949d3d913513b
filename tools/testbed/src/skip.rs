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
    match judge(started, in_ci()) {
        Ok(server) => Some(server),
        Err(Verdict::Fail(why)) => panic!("{why}"),
        Err(Verdict::Skip(why)) => {
            let test = std::thread::current().name().unwrap_or("test").to_owned();
            // Not `eprintln!`: the harness captures that one. In one write, so that the lines of
            // tests that run at the same time stay whole; `cargo xtask test` counts them.
            let line = format!("{test}: skipped, because {why}\n");
            let _ = std::io::stderr().write_all(line.as_bytes());
            None
        }
    }
}

/// What becomes of a test without its server, and why.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Skip(String),
    Fail(String),
}

fn judge<T>(started: Result<T, TestbedError>, in_ci: bool) -> Result<T, Verdict> {
    started.map_err(|error| match error {
        TestbedError::Missing { .. } if in_ci => {
            Verdict::Fail(format!("this test may not be skipped in CI: {error}"))
        }
        TestbedError::Missing { .. } => Verdict::Skip(error.to_string()),
        failure => Verdict::Fail(failure.to_string()),
    })
}

fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

#[cfg(test)]
mod tests {
    use super::{Verdict, judge};
    use crate::TestbedError;

    fn missing() -> Result<(), TestbedError> {
        Err(TestbedError::Missing {
            program: "a server".to_owned(),
            hint: "install it".to_owned(),
        })
    }

    #[test]
    fn a_missing_server_skips_the_test_at_home_and_fails_it_in_ci() {
        assert!(
            matches!(judge(missing(), false), Err(Verdict::Skip(why)) if why.contains("install it"))
        );
        assert!(
            matches!(judge(missing(), true), Err(Verdict::Fail(why)) if why.contains("install it"))
        );
    }

    #[test]
    fn a_server_that_does_not_start_fails_the_test_everywhere() {
        for in_ci in [false, true] {
            let failure: Result<(), _> = Err(TestbedError::Start {
                server: "a server".to_owned(),
                reason: "it ended".to_owned(),
                log: "because".to_owned(),
            });
            let verdict = judge(failure, in_ci);
            assert!(matches!(verdict, Err(Verdict::Fail(why)) if why.contains("because")));
        }
    }

    #[test]
    fn a_server_that_started_is_handed_over() {
        assert_eq!(judge(Ok(7), true), Ok(7));
    }
}
