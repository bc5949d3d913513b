//! Waiting for a server to reach a state: asking it, over and over, never sleeping a guessed time.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::TestbedError;

/// Far beyond what any wait takes on a machine that works; only a failure ever lasts this long.
const DEADLINE: Duration = Duration::from_secs(60);

/// Between two questions.
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// Why the state is not there.
pub(crate) enum Not {
    /// With what was seen instead; ask again.
    Yet(String),
    /// Asking again is of no use.
    Ever(TestbedError),
}

/// What is waited for, for the message should it not come.
pub(crate) struct Wait<'a> {
    pub(crate) server: &'a str,
    pub(crate) what: &'a str,
    pub(crate) log: &'a dyn Fn() -> String,
}

impl Wait<'_> {
    /// Asks until `question` is answered.
    pub(crate) fn until<T>(
        &self,
        mut question: impl FnMut() -> Result<T, Not>,
    ) -> Result<T, TestbedError> {
        let started = Instant::now();
        loop {
            let seen = match question() {
                Ok(answer) => return Ok(answer),
                Err(Not::Ever(failure)) => return Err(failure),
                Err(Not::Yet(seen)) => seen,
            };
            if started.elapsed() >= DEADLINE {
                return Err(self.timed_out(seen));
            }
            thread::sleep(ASK_AGAIN);
        }
    }

    fn timed_out(&self, seen: String) -> TestbedError {
        TestbedError::Timeout {
            server: self.server.to_owned(),
            waiting_for: self.what.to_owned(),
            after: DEADLINE,
            seen,
            log: (self.log)(),
        }
    }
}
